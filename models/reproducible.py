"""What makes the same training give other weights on another machine, and is settled here before TensorFlow starts.

TensorFlow adds up in an order that depends on the number of its threads (by default that of the cores), in kernels that
it chooses by the processor's vector unit, and from AVX-512 VNNI on it puts oneDNN's operations in place of its own. See
docs/evaluation.md for what was measured. Everything is a default: a variable that is set already stays.
"""

from __future__ import annotations

import os

__all__ = ["THREADS", "settle", "settle_threads", "threads"]

THREADS = "KS100_THREADS"
"""Name of the variable with the number of TensorFlow's threads; all cores when it is not set."""

_DEFAULTS = {
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # of the matrix product under convolutions
}
_POOLS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def settle() -> None:
    """Give every machine the same kernels, and the number of threads that ``KS100_THREADS`` names."""
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if _number(THREADS):
        settle_threads(_number(THREADS))


def settle_threads(count: int) -> None:
    """Take ``count`` threads unless ``KS100_THREADS`` names another number; call it before TensorFlow's first step."""
    for pool in _POOLS:
        os.environ.setdefault(pool, str(_number(THREADS) or count))


def threads() -> int:
    """Return how many threads TensorFlow takes: with another number the last digits of a training differ."""
    return _number(_POOLS[0]) or len(os.sched_getaffinity(0))


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else 0
