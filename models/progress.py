"""Progress of long work: callbacks for a fraction and for a count, and conversions between them."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Count", "Progress", "counted", "shifted", "silent"]

Progress = Callable[[float, str], None]
"""Called with the finished fraction (0 to 1) and the current activity."""

Count = Callable[[int, int], None]
"""Called with (done, total)."""


def silent(fraction: float, text: str) -> None:
    """Ignore progress."""


def counted(progress: Progress, text: str, start: float = 0.0, part: float = 1.0) -> Count:
    """Return a count callback that advances ``progress`` from ``start`` by up to ``part``.

    Args:
        progress: of the whole.
        text: the activity; may contain ``{done}`` and ``{total}``.
        start: fraction finished before.
        part: fraction of the whole.
    """

    def count(done: int, total: int) -> None:
        words = text.replace("{done}", str(done)).replace("{total}", str(total))
        progress(start + part * done / max(1, total), words)

    return count


def shifted(count: Count | None, before: int, total: int) -> Count | None:
    """Return a count callback for a part of ``total``, with ``before`` items done at its start."""
    return None if count is None else lambda done, _: count(before + done, total)
