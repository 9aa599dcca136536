"""What a host and a board need of a session on its way: send and receive messages, and know what has arrived.

`firmware_bridge.links.conversation` is the one over real links, `firmware_bridge.links.virtual_time` the one of tests.
"""

from __future__ import annotations

from typing import Protocol

from firmware_bridge.protocol.connection import Statistics
from firmware_bridge.protocol.messages import Message
from firmware_bridge.protocol.states import State

__all__ = ["ServedTalk", "Talk"]


class Talk(Protocol):
    """One end of a session."""

    @property
    def name(self) -> str:
        """The link's name."""
        ...

    @property
    def statistics(self) -> Statistics:
        """What the session has cost so far."""
        ...

    @property
    def acked_bytes(self) -> int:
        """How much of the sent stream the peer has."""
        ...

    @property
    def all_left(self) -> bool:
        """Whether nothing more must be written: the peer has all, or a reliable pipe has taken all."""
        ...

    def send(self, message: Message, *, epoch: int | None = None) -> int:
        """Queue ``message``; returns the stream's length after it. Raises TransferError when the session is broken."""
        ...

    def wait_room(self, ahead_bytes: int, timeout_s: float) -> bool:
        """Wait until fewer than ``ahead_bytes`` are unsent; returns whether. Why there is none, `receive` says."""
        ...

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message, or None after ``timeout_s`` seconds; raises TransferError when broken."""
        ...

    def close(self, reason: str = "") -> None:
        """End the session; closing twice is allowed."""
        ...


class ServedTalk(Talk, Protocol):
    """A board's end, where one session follows the other."""

    @property
    def epoch(self) -> int:
        """How many sessions this end has begun."""
        ...

    @property
    def state(self) -> State:
        """Where the session is."""
        ...

    def drain(self, timeout_s: float) -> bool:
        """Wait until the peer has everything; returns whether it has."""
        ...
