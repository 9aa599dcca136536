"""Which groups of layers quantization hurts, where, and how sure that is. Imports TensorFlow only to measure.

groups ── screen (all groups, one backward pass) ──▶ race (those that matter, measured) ──▶ map
                                                 └─▶ shares of blocks (Shapley)         ──▶ map
"""
