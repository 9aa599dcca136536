"""Sizes on the two kinds of link: segments, frames, windows."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GREETING_WINDOW_BYTES", "RELIABLE", "SEGMENT_RANGE", "UNRELIABLE", "Sizes"]

GREETING_WINDOW_BYTES = 64 * 1024
"""Memory that a peer may use before its greeting."""

SEGMENT_RANGE = range(16, 65537)
"""Sizes of a segment; below, headers dominate; above, one segment would be a memory of its own."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes in bytes.

    Attributes:
        segment_bytes: unit of acknowledgement; the host's choice holds for both ends.
        frame_bytes: largest payload of a frame.
        window_bytes: what this end can hold before the other must wait.
    """

    segment_bytes: int
    frame_bytes: int
    window_bytes: int


UNRELIABLE = Sizes(segment_bytes=128, frame_bytes=4096, window_bytes=64 * 1024)
"""For serial lines: 64 KiB cover a stall of 0.7 s at 921600 baud, 128 bytes get through at error rates of 1 in 1000.

Frames begin at about 1 KiB, reach 4 KiB on a line without errors, and shrink to one segment on a bad one."""


RELIABLE = Sizes(segment_bytes=16 * 1024, frame_bytes=64 * 1024, window_bytes=2048 * 1024)
"""For pipes that repair losses: few, large frames; 2 MiB cover 160 ms at 100 Mbit/s, and SSH channels have as much."""
