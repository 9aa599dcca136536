"""The facts of a board that the rules ask for, as a value: the rules themselves look nothing up."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.device.runtime_info import RuntimeInfo

__all__ = ["BoardContext"]


@dataclass(frozen=True, slots=True)
class BoardContext:
    """The facts about a board that the rules need; None without a board.

    Attributes:
        board: kind of board, e.g. ``ks100``.
        program: the program that the board belongs to.
        runtime: its runtime and what that runs.
        floor: lowest security version that it accepts.
        capacity_bytes: largest payload that fits.
        time_s: the time, seconds since 1970, only where it is trusted; None on a board without a trusted clock.
    """

    board: str | None
    program: str | None
    runtime: RuntimeInfo | None
    floor: int = 0
    capacity_bytes: int | None = None
    time_s: float | None = None

    @classmethod
    def any_board(cls, program: str | None = None, time_s: float | None = None) -> BoardContext:
        """Return the context of a host that verifies without a board."""
        return cls(board=None, program=program, runtime=None, time_s=time_s)
