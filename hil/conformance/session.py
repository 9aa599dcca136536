"""A session whose messages are chosen one by one, for what a well-behaved host never sends."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from types import TracebackType

from firmware_bridge.errors import BoardBusyError, BoardError, RejectedError, TransferError
from firmware_bridge.links.link import Link, RatedLink, bauds_of
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.frames import Frame, pack
from firmware_bridge.protocol.states import Role
from firmware_bridge.protocol.versions import MESSAGES_VERSION
from firmware_bridge.session.threaded import ThreadedSession
from hil.conformance.forging import ForgingConnection
from hil.conformance.rules import Act, Target

__all__ = ["RawSession", "in_own_session"]

_PATIENCE_S = 20.0


class _Severable:
    """A link that can be cut: then nothing is written to it any more, not even a farewell; or one that dribbles."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.severed = False
        self.piece_bytes = 0

    @property
    def name(self) -> str:
        return self._link.name

    @property
    def reliable(self) -> bool:
        return self._link.reliable

    def read(self, timeout_s: float) -> bytes:
        return self._link.read(timeout_s)

    @property
    def bauds(self) -> tuple[int, ...]:
        return bauds_of(self._link)

    def set_baud(self, baud: int) -> None:
        if isinstance(self._link, RatedLink):
            self._link.set_baud(baud)

    def write(self, data: bytes) -> None:
        if not self.severed:
            for at in range(0, len(data), self.piece_bytes or len(data)):
                self._link.write(data[at : at + (self.piece_bytes or len(data))])

    def close(self) -> None:
        self._link.close()


class RawSession:
    """An open session; as a context manager it ends with the block."""

    def __init__(
        self,
        link: Link,
        host: str = "conformance, second session",
        *,
        raises_rate: bool = False,
        greets: bool = True,
    ) -> None:
        """Open a session on ``link``, which it closes in the end.

        Args:
            link: to the board.
            host: its name for itself.
            greets: whether it begins with its greeting.
            raises_rate: whether it agrees on faster rates with the board, as a usual host does.

        Raises:
            TransferError: no answer.
        """
        self._link = _Severable(link)
        self._number = secrets.randbelow(2**32 - 2**24) + 2**24
        bauds = self._link.bauds if raises_rate else ()
        connection = ForgingConnection(Role.HOST, reliable=link.reliable, session=self._number, bauds=bauds)
        self._session = ThreadedSession(self._link, connection, time.monotonic)
        if not greets:
            return
        welcome = self.ask(m.Hello(MESSAGES_VERSION, host))
        if isinstance(welcome, m.Welcome):
            self._session.use_version(min(welcome.version, MESSAGES_VERSION))

    def __enter__(self) -> RawSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    def tell(self, message: m.Message) -> None:
        """Send what has no answer unless it is refused."""
        self._session.send(message)

    def ask(self, message: m.Message) -> m.Message:
        """Send a request and return its answer.

        Raises:
            RejectedError, BoardBusyError, BoardError: the board refuses, is held by another, or cannot.
            TransferError: no answer.
        """
        self._session.send(message)
        return self.answer()

    def answer(self) -> m.Message:
        """Return the next answer; errors as for `ask`."""
        answer = self._session.receive(_PATIENCE_S)
        match answer:
            case None:
                raise TransferError(f"no answer within {_PATIENCE_S:.0f} s")
            case m.Refusal():
                raise RejectedError(RejectReason.from_code(answer.reason), answer.detail)
            case m.Busy():
                raise BoardBusyError(answer.holder, answer.since_s)
            case m.Fault():
                raise BoardError(answer.detail, answer.kind)
        return answer

    def insert(self, frame: Frame) -> None:
        """Put a frame on the link that the session knows nothing of."""
        self._link.write(b"\0" + pack(frame, self._number, from_board=False))

    def dribble(self) -> None:
        """Write some bytes at a time from now on, which end nowhere near a frame's end."""
        self._link.piece_bytes = 7

    def vanish(self) -> None:
        """Drop the link in the middle, without a word."""
        self._link.severed = True
        self._session.close()


def in_own_session(script: Callable[[RawSession], str]) -> Act:
    """Return the act of running ``script``; the usual session is closed meanwhile, and opened anew after."""

    def act(target: Target) -> str:
        target.board.close()
        try:
            with RawSession(target.open_link()) as session:
                return script(session)
        finally:
            target.reopen()

    return act
