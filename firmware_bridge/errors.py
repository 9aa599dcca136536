"""The lowest layer's errors, split by whose fault it is.

    BridgeError
    ├── InputError             the user's: a file, an address or an argument is wrong
    ├── RejectedError          the package's: a rule of trust or compatibility refuses it
    ├── BoardError             the board's: it answered, and cannot do it
    │   └── BoardBusyError     another host holds it
    ├── BenchError             the bench's: no board, no port, no host, no tool
    │   └── InUseError         another program has the port
    └── TransferError          the link's: it broke, or stayed silent, in the middle of a session
        └── ProtocolError      the peer's bytes break the protocol

A vendor's exception is translated where it enters (``raise ... from``) and never crosses a module twice.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_bridge.package.reasons import RejectReason

__all__ = [
    "BenchError",
    "BoardBusyError",
    "BoardError",
    "BridgeError",
    "FaultKind",
    "InUseError",
    "InputError",
    "ProtocolError",
    "RejectedError",
    "TransferError",
]


class BridgeError(Exception):
    """Base of every error that this layer raises; its text is one line that names what, where and what to do."""


class InputError(BridgeError):
    """What the user gave (a file, an address, an argument) is wrong."""


class RejectedError(BridgeError):
    """A package, key or trust store is refused by a named rule.

    Attributes:
        reason: the closed, stable reason.
        detail: what exactly was found, e.g. expected and got.
    """

    def __init__(self, reason: RejectReason, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.code}: {reason.text}" + (f" ({detail})" if detail else ""))


class FaultKind(Enum):
    """Why a board cannot carry out a request, as it crosses the link."""

    STATE = "state"
    """The request does not fit the board's present state."""
    USAGE = "usage"
    """The request itself is wrong."""
    STORAGE = "storage"
    """The board's disk is full or damaged, or what it stores is."""
    RUNTIME = "runtime"
    """The inference runtime failed."""
    INTERNAL = "internal"
    """A defect of the agent; its log has the details."""
    BUSY = "busy"
    """Another host uses the board: only in version 1 of the messages, later ones have `Busy`."""
    OTHER = "other"
    """A kind that only a newer peer knows."""

    @classmethod
    def _missing_(cls, _value: object) -> FaultKind:
        return cls.OTHER


class BoardError(BridgeError):
    """The board answered, and cannot carry out the request.

    Attributes:
        kind: why not.
    """

    kind = FaultKind.STATE

    def __init__(self, text: str, kind: FaultKind | None = None) -> None:
        self.kind = kind or self.kind
        super().__init__(text)


class BoardBusyError(BoardError):
    """Another host uses the board.

    Attributes:
        holder: the name that this host gave itself.
        since_s: for how long, in seconds.
    """

    def __init__(self, holder: str, since_s: float) -> None:
        self.holder = holder
        self.since_s = since_s
        super().__init__(f"the board has been in use by {holder} for {since_s:.0f} s; wait, or end that session")


class BenchError(BridgeError):
    """The bench is not ready: no such board, port, host or tool."""


class InUseError(BenchError):
    """Another program has the port."""


class TransferError(BridgeError):
    """The link broke, or stayed silent, in the middle of a session; the transfer can be resumed."""


class ProtocolError(TransferError):
    """The peer's bytes break the protocol."""
