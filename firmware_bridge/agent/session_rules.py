"""Who may stay on a board, and who may change it: places for sessions, and the lock of the one writer.

Both are shared by all links of a board, and both end what is idle when somebody else waits: a host that has gone, or
that means no good, keeps nobody out. Knows no messages and no sessions.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from firmware_bridge.errors import BoardBusyError, BoardError, FaultKind

__all__ = ["Place", "Places", "SessionLock"]

_UNGREETED_S = 5.0  # a host sends its greeting at once; also over a slow line it is there by then
_IDLE_S = 20.0  # longer than a chunk takes on the slowest line, and than a host computes between two requests


class SessionLock:
    """One writer at a time. One instance is shared by all calls of `serve`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, idle_s: float = _IDLE_S) -> None:
        """Create a free lock.

        Args:
            clock: seconds, monotonic.
            idle_s: how long its holder may do nothing while another session waits.
        """
        self._clock = clock
        self._idle_s = idle_s
        self._guard = threading.Lock()
        self._session: object = None
        self._holder = ""
        self._since_s = self._used_s = 0.0
        self._in_use = False
        self._lost: dict[int, str] = {}  # sessions that were idle for too long, and who has taken the lock from them

    def take(self, session: object, holder: str) -> None:
        """Take the lock for ``session``, or keep it, until `rest`; ``holder`` is shown to others.

        Raises:
            BoardBusyError: another session has it, and uses it.
            BoardError: this session had it, did nothing, and lost it; said once.
        """
        with self._guard:
            now_s = self._clock()
            if (taker := self._lost.pop(id(session), None)) is not None:
                raise BoardError(
                    f"this session did nothing for {self._idle_s:.0f} s, and {taker} took over the board; what it had "
                    "begun may have changed: begin again",
                    FaultKind.STATE,
                )
            if self._session is not None and self._session is not session:
                if self._in_use or now_s - self._used_s < self._idle_s:
                    raise BoardBusyError(self._holder, now_s - self._since_s)
                self._lost[id(self._session)] = holder
                self._session = None
            if self._session is None:
                self._session, self._holder, self._since_s = session, holder, now_s
            self._used_s, self._in_use = now_s, True

    def rest(self, session: object) -> None:
        """Note that what ``session`` took the lock for is done; it keeps it, for a while."""
        with self._guard:
            if self._session is session:
                self._used_s, self._in_use = self._clock(), False

    def give_back(self, session: object) -> None:
        """Release the lock if ``session`` has it; it has ended."""
        with self._guard:
            self._lost.pop(id(session), None)
            if self._session is session:
                self._session, self._in_use = None, False


class Place:
    """One session's place.

    Attributes:
        used_s: when its host last asked for something, on the clock of its `Places`.
        greeted: whether its host has named itself.
        busy: whether a request is being answered.
        gave_way: set when another host has got the place: the session ends.
    """

    def __init__(self, now_s: float) -> None:
        """Begin now."""
        self.used_s = now_s
        self.greeted = self.busy = False
        self.gave_way = threading.Event()


class Places:
    """So many sessions at once; when all places are taken, the session that has been idle longest gives way."""

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with ``count`` free places; ``clock`` gives seconds."""
        self._count = count
        self.clock = clock
        self._guard = threading.Lock()
        self._taken: set[Place] = set()

    def take(self) -> Place | None:
        """Return a place, or None when all sessions are at work, or have just come."""
        with self._guard:
            now_s = self.clock()
            if len(self._taken) >= self._count:
                idle = [p for p in self._taken if not p.busy and now_s - p.used_s > _idle_limit_s(p)]
                if not idle:
                    return None
                oldest = min(idle, key=lambda place: (place.greeted, place.used_s))
                oldest.gave_way.set()
                self._taken.discard(oldest)
            place = Place(now_s)
            self._taken.add(place)
            return place

    def leave(self, place: Place) -> None:
        """Free a place."""
        with self._guard:
            self._taken.discard(place)


def _idle_limit_s(place: Place) -> float:
    return _IDLE_S if place.greeted else _UNGREETED_S
