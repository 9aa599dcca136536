"""Rewriting operations that have no integer form as others that have one, without changing what a float graph computes.

editor      adding constants, tensors and operations to the object form of a graph
rewrites    what stands for each operation
legalise    the walk over a graph, and the list of what was rewritten
"""
