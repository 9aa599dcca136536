"""Drives a `Connection` over a `Link`: one thread reads, another answers, keeps alive and repeats what was lost.

They are two because a write blocks while the line is full, and acknowledgements must be read meanwhile. Owns the
threads and the clock that the sans-I/O connection refuses to know. Both ends of a cable use it. Knows nothing of what
the messages mean.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from firmware_bridge.errors import BenchError, BridgeError, TransferError
from firmware_bridge.links.link import Link, RatedLink
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.states import State
from firmware_bridge.session.base import Session

__all__ = ["ThreadedSession"]

_POLL_S = 0.5  # how late a thread notices an end that nobody signals
_CLOSE_S = 1.0  # how long a closing end waits for its last bytes to leave


class ThreadedSession(Session):
    """A session over a real link, in real time."""

    def __init__(self, link: Link, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the session.

        Args:
            link: the pipe; closed with the session.
            connection: this end's session, not used before.
            clock: seconds from any origin, real and monotonic: the link's timers run on it.
        """
        super().__init__(link.name, connection, clock, reliable=link.reliable)
        self._link = link
        self._baud = connection.baud
        self._changed = threading.Condition(self._guard)  # for waiting for messages or buffer space
        self._to_write = threading.Condition(self._guard)  # for the writing thread
        self._wanted = False  # there may be something to write
        self._sending = threading.Lock()  # keeps the order of what data_to_send returned
        self._stopped = False
        self._broken: BridgeError | None = None
        self._threads = [
            threading.Thread(target=self._read_on, name=f"read {link.name}", daemon=True),
            threading.Thread(target=self._write_on, name=f"write {link.name}", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self, reason: str = "") -> None:
        """End the session, tell the peer, and close the link; closing twice is allowed."""
        with self._changed:
            already, self._stopped = self._stopped, True
            if not already:
                self._connection.close(reason)
            self._changed.notify_all()
            self._to_write.notify_all()
        if not already and self._sending.acquire(timeout=_CLOSE_S):
            try:
                self._write_all()
            except (TransferError, BenchError):
                pass  # the peer is gone already, which is what closing is about
            finally:
                self._sending.release()
        self._link.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=2 * _CLOSE_S)

    def _wait(self, most_s: float) -> None:
        self._changed.wait(min(most_s, _POLL_S))

    def _fault(self) -> BridgeError | None:
        if self._broken is None and (self._stopped or self._connection.state is State.CLOSED):
            return TransferError(f"{self.name} is closed; open the board again")
        return self._broken

    def _flush(self) -> None:
        """Write from this thread, which saves a change of threads; when another is at it, leave it to the writer."""
        if not self._sending.acquire(blocking=False):
            self._want()
            return
        try:
            self._write_all()
        except (TransferError, BenchError) as error:
            self._break(error)
        finally:
            self._sending.release()

    def _want(self) -> None:
        with self._to_write:
            self._wanted = True
            self._to_write.notify()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                baud = self._connection.baud
                data = self._connection.data_to_send(self._clock()) if baud == self._baud else b""
                if self._connection.failure is not None:
                    self._changed.notify_all()
            if baud != self._baud:
                self._set_baud(baud)
            elif data:
                self._link.write(data)
                with self._changed:
                    self._changed.notify_all()
            elif self._connection.baud == baud:
                return

    def _set_baud(self, baud: int) -> None:
        if isinstance(self._link, RatedLink):
            self._link.set_baud(baud)
        self._baud = baud

    def _break(self, error: BridgeError) -> None:
        with self._changed:
            if self._broken is None:
                self._broken = error
            self._changed.notify_all()
            self._to_write.notify_all()

    def _read_on(self) -> None:
        try:
            while not self._stopped and self._broken is None:
                data = self._link.read(_POLL_S)
                if data:
                    with self._changed:
                        self._connection.receive_data(data, self._clock())
                        self._changed.notify_all()
                        has_news = self._connection.has_news
                    if has_news:
                        self._want()
        except (TransferError, BenchError) as error:
            self._break(error)

    def _write_on(self) -> None:
        try:
            while not self._stopped and self._broken is None:
                with self._sending:
                    self._write_all()
                with self._to_write:
                    if not self._wanted and not self._stopped and self._broken is None:
                        self._to_write.wait(self._connection.next_timeout_s(self._clock()))
                    self._wanted = False
        except (TransferError, BenchError) as error:
            self._break(error)
