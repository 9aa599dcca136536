"""Sensitivity of groups of layers to quantization, by condition, with intervals. Imports TensorFlow only to measure.

groups ── screen (all groups, one backward pass) ──▶ race (the most sensitive, measured) ──▶ map
                                                 └─▶ shares of blocks (Shapley)         ──▶ map
"""
