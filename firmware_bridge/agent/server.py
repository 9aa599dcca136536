"""Serves a board's service over one link: requests in, answers out, one writer at a time.

Owns the order of a session: greeting first, the board's lock before anything that changes or occupies the board, no
answer to a chunk unless it is refused. Refuses to know what the requests do; that is the service's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from firmware_bridge.agent.session_rules import Place, SessionLock
from firmware_bridge.errors import BoardBusyError, BoardError, BridgeError, RejectedError, TransferError
from firmware_bridge.links.link import Link, bauds_of
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.deflate import chunk_data
from firmware_bridge.protocol.states import Role, State
from firmware_bridge.protocol.stream import MemoryBudget
from firmware_bridge.protocol.versions import MESSAGES_VERSION, OLDEST_VERSION, common_version
from firmware_bridge.session.base import Session
from firmware_bridge.session.threaded import ThreadedSession
from firmware_bridge.text import clean_text

__all__ = ["BoardOperations", "Server", "SessionEnd", "serve"]

_log = logging.getLogger(__name__)

_POLL_S = 0.25  # how late a lost session gives the lock back
_GREETING_S = 30.0  # how long a pipe may stay without a session
_REBOOT_DRAIN_S = 2.0  # how long the answer to Reboot may take to leave


class BoardOperations(Protocol):
    """What a board can do.

    Calls that change or occupy the board come one at a time, from the session that holds the lock. `info`, `trust` and
    `audit` may come from other sessions' threads at any moment. A method refuses by `RejectedError`, and fails by
    `BoardError`, whose kind becomes that of the `Fault`.
    """

    def info(self) -> m.BoardInfo:
        """Return the board's identity and state."""
        ...

    def trust(self) -> m.TrustState:
        """Return the signed trust store."""
        ...

    def provision(self, store: bytes) -> m.Done:
        """Install a signed trust store."""
        ...

    def offer(self, head: bytes) -> m.ChunksNeeded:
        """Judge a package by its head; return which chunks are missing."""
        ...

    def chunk(self, index: int, data: bytes) -> None:
        """Check and store one chunk of the offered package."""
        ...

    def finish(self) -> m.Installed:
        """Verify the whole payload and make it durable."""
        ...

    def activate(self, slot: str) -> m.Activated:
        """Switch to a slot and run the trial."""
        ...

    def confirm(self) -> m.Confirmed:
        """Keep the active slot."""
        ...

    def infer(self, request: m.Infer) -> m.Inferred:
        """Run the active model once."""
        ...

    def measure(self, request: m.Measure) -> m.Measured:
        """Run the active model in a paced loop."""
        ...

    def audit(self, since: int) -> m.Audit:
        """Return audit entries."""
        ...

    def reboot(self) -> m.Done:
        """Prepare for a restart; `serve` returns `SessionEnd.REBOOT` once the answer has left."""
        ...


class SessionEnd(Enum):
    """Why `serve` returned."""

    CLOSED = "closed"
    STOPPED = "stopped"
    REBOOT = "reboot"


def serve(
    link: Link,
    service: BoardOperations,
    clock: Callable[[], float] = time.monotonic,
    *,
    lock: SessionLock | None = None,
    stop: threading.Event | None = None,
    place: Place | None = None,
    budget: MemoryBudget | None = None,
) -> SessionEnd:
    """Serve one link until it closes; on a line without an end (serial) one session after the other.

    Args:
        link: the pipe to the host; closed on return.
        service: the board.
        clock: seconds, real and monotonic: the link's timers run on it, never on a modelled clock.
        lock: shared by all links of the board; without it this link is alone.
        stop: set by the owner to end soon.
        place: among the board's sessions; without it this one never gives way.
        budget: what long messages of all links may take together.

    Returns:
        Why it ended. After `SessionEnd.REBOOT` the owner restarts the agent.
    """
    connection = Connection(Role.BOARD, reliable=link.reliable, bauds=bauds_of(link), budget=budget)
    session = ThreadedSession(link, connection, clock)
    server = Server(session, service, lock or SessionLock(clock), clock, place or Place(clock()))
    try:
        return server.run(link.reliable, stop or threading.Event())
    except TransferError:
        return SessionEnd.CLOSED
    finally:
        server.close()


class Server:
    """The state of one link's sessions; `serve` is what an agent calls."""

    def __init__(
        self,
        session: Session,
        service: BoardOperations,
        lock: SessionLock,
        clock: Callable[[], float],
        place: Place | None = None,
    ) -> None:
        """Serve ``service`` over ``session``; nothing happens before `run` or `take`."""
        self._session = session
        self._service = service
        self._lock = lock
        self._clock = clock
        self._place = place or Place(clock())
        self._generation = 0
        self._host = ""
        self._refused = False  # a chunk of the running transfer was refused: the rest of it is not answered

    def close(self, reason: str = "") -> None:
        """End the session, if there is one; its host gets ``reason``."""
        self._lock.give_back(self)
        self._session.close(reason)

    def run(self, one_session: bool, stop: threading.Event) -> SessionEnd:
        """Serve until the link is over, or ``stop`` is set."""
        begun_s = self._clock()
        while not stop.is_set():
            message = self._session.receive(_POLL_S)
            if self._place.gave_way.is_set():
                self.close("this session was idle, and another host needs its place; open it again")
                return SessionEnd.CLOSED
            if self.take(message):
                self._session.drain(_REBOOT_DRAIN_S)
                return SessionEnd.REBOOT
            if message is None and one_session and self._is_over(begun_s):
                return SessionEnd.CLOSED
        return SessionEnd.STOPPED

    def take(self, message: m.Message | None) -> bool:
        """Answer what has arrived, or notice that nothing has; returns whether the board is to restart."""
        self._follow_session()
        if message is None:
            return False
        self._place.busy = True
        answer = self._answer(message)
        self._lock.rest(self)
        self._place.used_s, self._place.busy = self._clock(), False
        if answer is not None:
            self._session.send(answer, generation=self._generation)
        return isinstance(message, m.Reboot) and isinstance(answer, m.Done)

    def _follow_session(self) -> None:
        """Notice that a session has begun or ended: what belonged to the last one ends with it."""
        generation, is_open = self._session.generation, self._session.state is State.OPEN
        if generation != self._generation or not is_open:
            self._lock.give_back(self)
            self._generation, self._host, self._refused = (
                generation,
                "" if generation != self._generation else self._host,
                False,
            )

    def _is_over(self, begun_s: float) -> bool:
        if self._session.state is State.OPEN:
            return False
        return self._generation > 0 or self._clock() - begun_s > _GREETING_S

    def _answer(self, message: m.Message) -> m.Message | None:
        """Return the answer to one request, or None when it gets none."""
        try:
            if self._refused and isinstance(message, m.Chunk | m.Finish):
                return None  # they were on their way when the refusal was
            self._refused = False
            return self._dispatch(message)
        except RejectedError as error:
            answer: m.Message = m.Refusal(error.reason.code, _line(error.detail))
        except BoardBusyError as error:
            answer = m.Busy(error.since_s, _line(error.holder))
        except BoardError as error:
            answer = m.Fault(error.kind, _line(str(error)))
        except BridgeError as error:
            answer = m.Fault(m.FaultKind.USAGE, _line(str(error)))
        except OSError as error:
            answer = m.Fault(
                m.FaultKind.STORAGE, _line(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
            )
        except Exception as error:  # noqa: BLE001  # a fault in one request must not take the board off the line
            _log.exception("request %s failed", type(message).__name__)
            answer = m.Fault(m.FaultKind.INTERNAL, _line(f"{type(error).__name__}: {error}"))
        self._refused = isinstance(message, m.Chunk)
        return answer

    def _dispatch(self, message: m.Message) -> m.Message | None:
        if isinstance(message, m.Hello):
            return self._greet(message)
        if not self._host:
            return m.Fault(m.FaultKind.USAGE, "a session begins with Hello")
        match message:
            case m.GetInfo():
                return self._service.info()
            case m.GetTrust():
                return self._service.trust()
            case m.GetAudit():
                return self._service.audit(message.since)
            case _:
                self._lock.take(self, self._host)
                return self._write(message)

    def _greet(self, hello: m.Hello) -> m.Message:
        version = common_version(hello.version)
        if version is None:
            return m.Fault(
                m.FaultKind.USAGE,
                f"this board speaks versions {OLDEST_VERSION} to {MESSAGES_VERSION} of the messages, the host only "
                f"{hello.version}; update the host's ks100",
            )
        self._host = hello.host or "an unnamed host"
        self._place.greeted = True
        self._session.use_version(version, generation=self._generation)
        info = self._service.info()
        return m.Welcome(version, info.board, info.serial)

    def _write(self, message: m.Message) -> m.Message | None:
        service = self._service
        match message:
            case m.Provision():
                return service.provision(message.store)
            case m.Offer():
                return service.offer(message.head)
            case m.Chunk():
                service.chunk(message.index, chunk_data(message))
                return None
            case m.Finish():
                return service.finish()
            case m.Activate():
                return service.activate(message.slot)
            case m.Confirm():
                return service.confirm()
            case m.Infer():
                return service.infer(message)
            case m.Measure():
                return service.measure(message)
            case m.Reboot():
                return service.reboot()
            case _:
                return m.Fault(m.FaultKind.USAGE, f"{type(message).__name__} is not a request")


def _line(text: str) -> str:
    return clean_text(" ".join(text.split()))
