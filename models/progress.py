"""How long work says how far it is: one way for a whole that has parts, one for a count; and from one to the other."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Count", "Progress", "counted", "shifted", "silent"]

Progress = Callable[[float, str], None]
"""Called with the finished fraction (0 to 1) and what is being done, as often as the work likes."""

Count = Callable[[int, int], None]
"""Called with how many of how many are done."""


def silent(fraction: float, text: str) -> None:
    """Say nothing."""


def counted(progress: Progress, text: str, start: float = 0.0, part: float = 1.0) -> Count:
    """Return the count that moves ``progress`` from ``start`` on by ``part``.

    Args:
        progress: of the whole.
        text: what is being done; may name ``{done}`` and ``{total}``.
        start: fraction that is finished before.
        part: fraction that this work is of the whole.
    """

    def count(done: int, total: int) -> None:
        words = text.replace("{done}", str(done)).replace("{total}", str(total))
        progress(start + part * done / max(1, total), words)

    return count


def shifted(count: Count | None, before: int, total: int) -> Count | None:
    """Return the count of a part of ``total``, of which ``before`` are done when it begins."""
    return None if count is None else lambda done, _: count(before + done, total)
