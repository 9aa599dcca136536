"""One integer simulation of any float graph under a plan: differentiable, batched, many variants at once.

node            the operations of a graph, with options and constants
arithmetic      what each computes in real numbers
rounding        grids in steps, and the roundings of kernels
tables          the functions that kernels take from tables
kernels         each operation on steps, as TFLite's reference kernels compute it
assignment      which grid each tensor is on when every operation has a precision
engine          running it, any number of ways at once
against_runtime the comparison with the real integer graph
"""
