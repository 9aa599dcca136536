"""Offers a board's service on its links: a unix socket (SSH sessions come through it) and a serial line.

Owns the threads, one a session, and their end. One writer at a time over all links is the server's lock.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.agent.server import BoardOperations, SessionEnd, serve
from firmware_bridge.agent.session_rules import Place, Places, SessionLock
from firmware_bridge.agent.sockets import listen_unix
from firmware_bridge.errors import BenchError
from firmware_bridge.links.link import Link
from firmware_bridge.links.socket import socket_link
from firmware_bridge.links.tty import FASTEST_BAUD, tty_link
from firmware_bridge.protocol.codec import MAX_MESSAGE_BYTES
from firmware_bridge.protocol.stream import MemoryBudget

__all__ = ["SerialLine", "run_daemon"]

_log = logging.getLogger(__name__)

_SESSIONS_LIMIT = 16  # a session costs a few threads and buffers: a host that opens many must not take the board down
_MESSAGES_BYTES = MAX_MESSAGE_BYTES + MAX_MESSAGE_BYTES // 2  # one of the largest, and pairs of frames beside it
_REOPEN_S = 1.0


@dataclass(frozen=True, slots=True)
class SerialLine:
    """A terminal that a host's serial port is connected to.

    Attributes:
        path: of the terminal.
        baud: rate at which sessions begin.
        fastest: how far hosts may raise it.
    """

    path: str
    baud: int
    fastest: int = FASTEST_BAUD


def run_daemon(
    service: BoardOperations,
    socket_path: str,
    serial: SerialLine | None = None,
    *,
    stop: threading.Event,
    ready: Callable[[], None] = lambda: None,
) -> SessionEnd:
    """Serve until ``stop`` is set or a host asks for a restart.

    Args:
        service: the board.
        socket_path: where to listen; the folder is created for this user alone.
        serial: the serial line, if there is one.
        stop: set by the caller, also from another thread or a signal's handler, to end.
        ready: called once hosts can connect.

    Returns:
        REBOOT when the caller should start anew, STOPPED otherwise.

    Raises:
        OSError: the socket cannot be bound.
    """
    listener = listen_unix(socket_path)
    daemon = _Daemon(service, stop)
    threads = [threading.Thread(target=daemon.accept, args=(listener,), name="accept", daemon=True)]
    if serial is not None:
        threads.append(threading.Thread(target=daemon.serve_line, args=(serial,), name="serial", daemon=True))
    for thread in threads:
        thread.start()
    ready()
    stop.wait()
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
    for thread in threads:
        thread.join(timeout=5)
    daemon.join()
    listener.close()
    return daemon.end


class _Daemon:
    """The sessions of one board."""

    def __init__(self, service: BoardOperations, stop: threading.Event) -> None:
        self._service = service
        self._stop = stop
        self._lock = SessionLock()
        self._places = Places(_SESSIONS_LIMIT)
        self._budget = MemoryBudget(_MESSAGES_BYTES)
        self._threads: set[threading.Thread] = set()
        self.end = SessionEnd.STOPPED

    def accept(self, listener: socket.socket) -> None:
        while not self._stop.is_set():
            try:
                connected, _ = listener.accept()
            except OSError:
                if not self._stop.wait(0.05):  # too many open files: wait for a session to end
                    continue
                return
            place = self._places.take()
            if place is None:
                _log.warning("a session was turned away: %d are open, and at work", _SESSIONS_LIMIT)
                connected.close()
                continue
            thread = threading.Thread(target=self._session, args=(connected, place), name="session", daemon=True)
            self._threads.add(thread)
            thread.start()

    def serve_line(self, line: SerialLine) -> None:
        while not self._stop.is_set():
            try:
                self._serve(tty_link(line.path, line.baud, fastest=line.fastest))
            except BenchError as error:
                _log.warning("%s; trying again", error)
            self._stop.wait(_REOPEN_S)

    def join(self) -> None:
        for thread in list(self._threads):
            thread.join(timeout=5)

    def _session(self, connected: socket.socket, place: Place) -> None:
        try:
            self._serve(socket_link(connected), place)
        finally:
            self._places.leave(place)
            self._threads.discard(threading.current_thread())

    def _serve(self, link: Link, place: Place | None = None) -> None:
        end = serve(link, self._service, lock=self._lock, stop=self._stop, place=place, budget=self._budget)
        if end is SessionEnd.REBOOT:
            self.end = SessionEnd.REBOOT
            self._stop.set()
