"""Arithmetic that is bit-identical on every processor, so that equal seeds give equal captures everywhere.

Sums, products and square roots of IEEE 754 are the same on all machines. Functions of single precision and products of
matrices are not: NumPy and BLAS choose their code by the processor's vector unit, and the last bits differ. Here
functions are computed in double precision and rounded once, which hides those bits, and products are written out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["exp", "sines", "times"]


def exp(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return e to the power of each value, float32 of any shape."""
    return np.exp(values.astype(np.float64)).astype(np.float32)


def sines(angles_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sine of each of a few angles, float64 [n]."""
    return np.array([math.sin(angle) for angle in angles_rad.tolist()])


def times(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``points`` [n, 3] times ``matrix`` [3] or [3, m]: float64 [n] or [n, m]."""
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    if matrix.ndim == 1:
        flat: NDArray[np.float64] = x * matrix[0] + y * matrix[1] + z * matrix[2]
        return flat
    return np.stack([x * a + y * b + z * c for a, b, c in matrix.T], axis=1)
