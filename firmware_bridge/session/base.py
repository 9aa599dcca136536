"""One end of a session: send and receive messages, and wait for them, for buffer space and for acknowledgements.

How time passes meanwhile is all that the kinds leave open: `firmware_bridge.session.threaded` has threads on a real
link, `firmware_bridge.session.simulated` has a cable in virtual time. So what is proven in virtual time holds for the
waiting over real links. Knows nothing of what the messages mean.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from firmware_bridge.errors import BridgeError
from firmware_bridge.protocol.connection import Connection, Statistics
from firmware_bridge.protocol.messages import Message
from firmware_bridge.protocol.states import State

__all__ = ["Session"]


class Session(ABC):
    """One end of a link with its session: send and receive messages, from any thread.

    Attributes:
        name: the link's name.
    """

    def __init__(self, name: str, connection: Connection, clock: Callable[[], float], *, reliable: bool) -> None:
        """Open the session.

        Args:
            name: the link's name.
            connection: this end's session, not used before.
            clock: seconds from any origin, monotonic: all times of the session run on it.
            reliable: whether what has been written counts as arrived.
        """
        self.name = name
        self._connection = connection
        self._clock = clock
        self._reliable = reliable
        self._guard = threading.RLock()  # of the connection
        connection.open()

    @property
    def generation(self) -> int:
        """How many sessions this end has begun."""
        return self._connection.generation

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._connection.state

    @property
    def statistics(self) -> Statistics:
        """What the session has cost so far."""
        with self._guard:
            return self._connection.statistics

    @property
    def acked_bytes(self) -> int:
        """How much of the sent stream the peer has."""
        return self._connection.acked_bytes

    @property
    def unsent_bytes(self) -> int:
        """Encoded bytes of messages that have not left yet."""
        return self._connection.unsent_bytes

    @property
    def all_sent(self) -> bool:
        """Whether nothing more must be written: the peer has all, or a reliable pipe has taken all."""
        return not (self._connection.unsent_bytes if self._reliable else self._connection.pending_bytes)

    def use_version(self, version: int, *, generation: int | None = None) -> None:
        """Encode for a peer that speaks this version of the messages; ``generation`` as in `send`."""
        with self._guard:
            if generation in (None, self._connection.generation):
                self._connection.messages_version = version

    def send(self, message: Message, *, generation: int | None = None, more: bool = False) -> int:
        """Queue ``message`` and write what the peer has credit for.

        Args:
            message: what to send.
            generation: the session that it belongs to; of another one, the message is dropped.
            more: another message follows at once, so that nothing is written before a frame is full.

        Returns:
            The stream's length after it, to be compared with `acked_bytes`.

        Raises:
            TransferError: the link or the session is broken.
            BenchError: the link leads to no board.
        """
        with self._guard:
            self._check()
            if generation is not None and generation != self._connection.generation:
                return self._connection.acked_bytes
            end = self._connection.send(message, more=more)
            waits = more and self._connection.unsent_bytes < self._connection.frame_bytes
        if not waits:
            self._flush()
        return end

    def wait_writable(self, ahead_bytes: int, timeout_s: float) -> bool:
        """Wait until fewer than ``ahead_bytes`` are unsent, so that a long transfer does not pile up.

        Returns:
            Whether they are; on a broken session `receive` raises the reason.
        """
        deadline_s = self._clock() + timeout_s
        with self._guard:
            while self._connection.unsent_bytes >= ahead_bytes:
                left_s = deadline_s - self._clock()
                if left_s <= 0 or self._connection.failure is not None or self._fault() is not None:
                    return False
                self._wait(left_s)
        return True

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message, or None after ``timeout_s`` seconds without one.

        Raises:
            TransferError: the link or the session is broken.
            BenchError: the link leads to no board.
        """
        deadline_s = self._clock() + timeout_s
        with self._guard:
            while (message := self._connection.next_message()) is None:
                self._check()
                left_s = deadline_s - self._clock()
                if left_s <= 0:
                    return None
                self._wait(left_s)
            has_news = self._connection.has_news  # e.g. new credit for the peer
        if has_news:
            self._flush()
        return message

    def drain(self, timeout_s: float) -> bool:
        """Wait until the peer has everything (unreliable links) or all of it has left; returns whether it did."""
        deadline_s = self._clock() + timeout_s
        with self._guard:
            while not self.all_sent:
                left_s = deadline_s - self._clock()
                if left_s <= 0 or self._connection.state is not State.OPEN or self._fault() is not None:
                    return False
                self._wait(left_s)
        return True

    @abstractmethod
    def close(self, reason: str = "") -> None:
        """End the session, tell the peer, and close the link; closing twice is allowed."""

    @abstractmethod
    def _wait(self, most_s: float) -> None:
        """Let time pass until something may have changed; called with the guard, which others may have meanwhile."""

    @abstractmethod
    def _flush(self) -> None:
        """Write what may leave, if that does not happen by itself."""

    @abstractmethod
    def _fault(self) -> BridgeError | None:
        """Return why the link carries nothing any more, or None; faults of the session are the connection's."""

    def _check(self) -> None:
        if (fault := self._fault()) is not None:
            raise fault
