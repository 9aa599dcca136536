"""A deadline for what no Python code can end: a graph that computes for ever, or a runtime that hangs in native code.

The kernel ends the whole process by SIGALRM, whoever has the interpreter's lock then. The service manager starts the
agent anew, and the slot, which was marked before it was tried, counts as failed. One deadline at a time.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

__all__ = ["no_deadline", "process_deadline"]


@contextlib.contextmanager
def process_deadline(seconds: float) -> Iterator[None]:
    """End this process unless the block ends within ``seconds``; SIGALRM must have its default action."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


@contextlib.contextmanager
def no_deadline(seconds: float) -> Iterator[None]:  # noqa: ARG001 - in the place of `process_deadline`
    """Let the block take its time: for a board that shares its process with others."""
    yield
