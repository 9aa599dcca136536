"""Settings that make training reproducible across machines, applied before TensorFlow starts.

TensorFlow sums in an order that depends on the number of threads (by default that of the cores), in kernels chosen by
the processor's vector unit, and replaces operations by oneDNN's from AVX-512 VNNI on. docs/evaluation.md has the
measurements. All settings are defaults: variables that are already set are not changed.
"""

from __future__ import annotations

import os

__all__ = ["THREADS", "settle", "settle_threads", "threads"]

THREADS = "KS100_THREADS"
"""Environment variable with the number of TensorFlow's threads; all cores by default."""

_DEFAULTS = {
    "TF_ENABLE_ONEDNN_OPTS": "1",  # 1.4 times as fast as TensorFlow's own convolutions
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
_POOLS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def settle() -> None:
    """Select the same kernels on every machine, and the number of threads in ``KS100_THREADS``."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if _number(THREADS):
        settle_threads(_number(THREADS))


def settle_threads(count: int) -> None:
    """Use ``count`` threads unless ``KS100_THREADS`` is set; call it before TensorFlow's first operation."""
    for pool in _POOLS:
        os.environ.setdefault(pool, str(_number(THREADS) or count))


def threads() -> int:
    """Return the number of TensorFlow's threads, on which the last digits of a training depend."""
    return _number(_POOLS[0]) or len(os.sched_getaffinity(0))


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0
