"""What the agent cannot do, by kind; the kind is what stands in the `Fault` that the host gets."""

from __future__ import annotations

from firmware_bridge.errors import BoardError, FaultKind

__all__ = ["DamagedError", "EngineError", "StateError", "UsageError"]


class StateError(BoardError):
    """The request does not fit the board's present state."""

    kind = FaultKind.STATE


class UsageError(BoardError):
    """The request itself is wrong."""

    kind = FaultKind.USAGE


class DamagedError(BoardError):
    """What the board has stored is damaged."""

    kind = FaultKind.STORAGE


class EngineError(BoardError):
    """The inference runtime failed."""

    kind = FaultKind.RUNTIME
