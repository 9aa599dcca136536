"""One session between a host and a board, without I/O: bytes in, messages out; messages in, bytes out.

The same class serves both roles. It owns the session's state (`states`), its window (`window`), the messages in its
stream (`stream`) and the rate of its line (`rates`). It refuses to know links, threads and clocks: time is passed in,
in seconds from any monotonic origin. Messages are delivered exactly once and in order, or the session fails.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.errors import ProtocolError, TransferError
from firmware_bridge.protocol.frames import (
    DATA_OVERHEAD_BYTES,
    Ack,
    Close,
    Data,
    Frame,
    Open,
    Opened,
    Ping,
    PrefixRequest,
    PrefixStart,
    RateAnswer,
    RateRequest,
    is_intact,
    pack,
    unpack,
)
from firmware_bridge.protocol.liveness import Liveness
from firmware_bridge.protocol.messages import Message
from firmware_bridge.protocol.rates import BoardRate, HostRate
from firmware_bridge.protocol.reader import FrameReader
from firmware_bridge.protocol.sizes import GREETING_WINDOW_BYTES, RELIABLE, SEGMENT_RANGE, UNRELIABLE, Sizes
from firmware_bridge.protocol.states import Event, Role, State, next_state
from firmware_bridge.protocol.stream import MemoryBudget, MessageReader, with_length
from firmware_bridge.protocol.versions import OLDEST_VERSION
from firmware_bridge.protocol.window import Incoming, Outgoing

__all__ = ["FRAMING_VERSION", "RELIABLE", "UNRELIABLE", "Connection", "Sizes", "Statistics"]

FRAMING_VERSION = 1
"""Version of frames and window; the messages have their own, in `messages.Hello`."""

_IDLE_S = 0.02  # after a pause, a zero byte comes first: it ends whatever else was on the line
_OPEN_RETRY_S = 0.25


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a session has cost so far.

    Attributes:
        wire_bytes_sent: bytes handed to the link, everything included.
        retransmissions: frames sent again.
        garbage_bytes: received bytes that belonged to no frame of this session.
        round_trip_s: smoothed round trip, or None before the first.
        frame_bytes: payload of a frame at present.
        baud: rate of the line at present, 0 on a link without one.
    """

    wire_bytes_sent: int
    retransmissions: int
    garbage_bytes: int
    round_trip_s: float | None
    frame_bytes: int
    baud: int


class Connection:
    """One end of a session.

    Attributes:
        role: which end.
        session: the session's number; a board has the one of its current or last session.
        generation: how many sessions this end has begun; a board's answers belong to one of them.
        messages_version: the version of the messages that the peer gets; `OLDEST_VERSION` until both ends have agreed.
    """

    def __init__(
        self,
        role: Role,
        *,
        reliable: bool,
        session: int = 0,
        sizes: Sizes | None = None,
        silence_s: float | None = None,
        bauds: Sequence[int] = (),
        budget: MemoryBudget | None = None,
    ) -> None:
        """Create one end, before anything is sent.

        Args:
            role: host or board.
            reliable: whether the pipe repairs losses itself; then nothing is repeated.
            session: the host's number for the session, random and not 0; a board takes the host's.
            sizes: defaults to `RELIABLE` or `UNRELIABLE`.
            silence_s: how long the peer may be silent; see `Liveness`.
            bauds: what the link's line can be set to; the first is what it is set to now. Empty without a line.
            budget: what long messages may take, shared with other sessions of this end.
        """
        self.role = role
        self._budget = budget
        self._messages = MessageReader(budget)
        self.session = session
        self.generation = 0
        self._reliable = reliable
        self._sizes = sizes or (RELIABLE if reliable else UNRELIABLE)
        self._liveness = Liveness(role, reliable=reliable, silence_s=silence_s)
        self._state = State.IDLE if role is Role.HOST else State.LISTENING
        self._failure: TransferError | None = None
        self._rate: HostRate | BoardRate = HostRate(bauds) if role is Role.HOST else BoardRate(bauds)
        self._baud = self._rate.baud
        self._reader = FrameReader(_frame_cap(self._sizes))
        self._control: deque[bytes] = deque()
        self._packs_prefixed = False  # what is queued from now on
        self._sends_prefixed = False  # what has left last
        self._wire_bytes_sent = 0
        self._echoes = 0
        self._last_sent_s = float("-inf")
        self._retry_s = 0.0
        self._begin(self._sizes.segment_bytes, self._sizes.frame_bytes, limit=0)

    def _begin(self, segment_bytes: int, frame_bytes: int, limit: int) -> None:
        frame_bytes = min(frame_bytes, self._sizes.frame_bytes)
        self._out = Outgoing(
            segment_bytes=segment_bytes, frame_bytes=frame_bytes, limit=limit, adaptive=not self._reliable
        )
        self._in = Incoming(segment_bytes=segment_bytes, window_segments=self._greeting_segments(segment_bytes))
        self._messages.clear()
        self._messages = MessageReader(self._budget)
        self.messages_version = OLDEST_VERSION

    # --- for the owner ---

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._state

    @property
    def failure(self) -> TransferError | None:
        """Why the session failed, at the host."""
        return self._failure

    @property
    def baud(self) -> int:
        """What the line must be set to, when all earlier bytes have left and before `data_to_send` is called again."""
        return self._rate.baud

    @property
    def pending_bytes(self) -> int:
        """Encoded bytes of messages that the peer has not acknowledged."""
        return self._out.pending_bytes

    @property
    def unsent_bytes(self) -> int:
        """Encoded bytes of messages that have not left yet."""
        return self._out.unsent_bytes

    @property
    def frame_bytes(self) -> int:
        """Payload of a frame at present."""
        return self._out.sizer.payload_bytes

    @property
    def has_news(self) -> bool:
        """Whether what has arrived may have given `data_to_send` something to do before its next timeout."""
        if not self._reliable:
            return True
        return bool(self._control) or self._in.ack_due or self._out.can_cut or self._waits_for_credit

    @property
    def acked_bytes(self) -> int:
        """How much of the stream the peer has; compare with what `send` returned."""
        return self._out.acked_bytes

    @property
    def statistics(self) -> Statistics:
        """What the session has cost so far."""
        out, reader = self._out, self._reader
        return Statistics(
            self._wire_bytes_sent,
            out.retransmissions,
            reader.garbage_bytes,
            out.round_trip.smoothed_s,
            out.sizer.payload_bytes,
            self._rate.baud,
        )

    def open(self) -> None:
        """Begin (host only): `data_to_send` asks the board for a session until it grants one."""
        if self._state is State.IDLE:
            self._move(Event.START)
            self.generation += 1

    def send(self, message: Message, *, more: bool = False) -> int:
        """Queue ``message``; returns the stream's length after it, to be compared with `acked_bytes`.

        Args:
            message: what to send.
            more: another one follows at once: what does not fill a segment waits for it.

        Raises:
            TransferError: the session has failed or is closed.
            ProtocolError: the message is too large.
        """
        if self._state not in (State.OPEN, State.IDLE, State.OPENING):
            raise self._failure or TransferError("the session is closed; open the board again")
        return self._out.write(*with_length(message, self.messages_version), more=more)

    def next_message(self) -> Message | None:
        """Return the next message, or None when none has arrived.

        Raises:
            TransferError: the session has failed (after the last message that came before that).
        """
        message = self._messages.next()
        if message is not None:
            self._grant()
        elif self._failure is not None:
            raise self._failure
        return message

    def close(self, reason: str = "") -> None:
        """End the session; `data_to_send` still has the notice for the peer."""
        if self._state in (State.OPEN, State.OPENING):
            notice = self._pack(Close(reason))
            self._control.extend([notice] if self._reliable else [notice, notice])  # nobody will repeat it
        self._move(Event.CLOSE)

    # --- bytes in ---

    def receive_data(self, data: bytes, now_s: float) -> None:
        """Take bytes from the link. Never raises: a broken session shows in `next_message` and `state`."""
        self._rate.on_bytes(len(data))
        self._reader.put(data)
        while True:
            try:
                if (body := self._reader.next_body()) is None:
                    return
                self._receive_frame(body, now_s)
            except ProtocolError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001  # a defect here must not end the thread that reads the peer's bytes
                self._fail(
                    ProtocolError(f"an internal error of this end ({type(error).__name__}) on data from the other end")
                )

    def _receive_frame(self, body: bytes | memoryview, now_s: float) -> None:
        frame = unpack(body, self.session, from_board=self.role is Role.HOST)
        if frame is None:
            if self._reader.is_prefixed and not is_intact(body, self.session):
                raise ProtocolError(f"a frame of {len(body)} bytes was damaged on a link that is declared reliable")
            self._echoes += unpack(body, self.session, from_board=self.role is Role.BOARD) is not None
            self._reader.discard(body)
            return
        match frame:
            case Opened():
                self._on_opened(frame, now_s)
            case Open():
                self._on_open(frame, now_s)
            case Close():
                self._on_close(frame)
            case _:
                self._on_session_frame(frame, now_s)

    def _on_session_frame(self, frame: Frame, now_s: float) -> None:
        if self._state is not State.OPEN:
            return
        self._heard(now_s)
        match frame:
            case Data():
                self._in.ack_due |= not self._reliable
                self._messages.feed(self._in.on_data(frame))
                self._grant()
            case Ack():
                self._out.on_ack(frame, now_s)
                self._rate.on_ack()
            case RateRequest():
                self._rate.on_request(frame.bauds)
            case RateAnswer():
                self._rate.on_answer(frame.baud, now_s)
            case PrefixRequest():
                self._start_prefixed()
            case PrefixStart():
                self._on_prefix_start()
            case Ping():
                self._in.on_number(frame.number)
                self._in.ack_due = True

    def _start_prefixed(self) -> None:
        if self._reliable and not self._packs_prefixed:
            self._control.append(self._pack(PrefixStart()))
            self._packs_prefixed = True

    def _on_prefix_start(self) -> None:
        if self.role is Role.HOST:
            self._start_prefixed()  # a board that writes them reads them
        if self._packs_prefixed:
            self._reader.use_prefixed()

    def _use_stuffed(self) -> None:
        self._packs_prefixed = False  # what is queued already, a farewell, leaves as it was packed
        self._reader.use_cobs()

    def _on_open(self, frame: Open, now_s: float) -> None:
        if self._state is State.OPEN and frame.session == self.session:
            self._control.append(self._grant_frame())  # the first grant was lost, or crossed the repeated request
            return
        if (
            frame.version != FRAMING_VERSION
            or frame.segment_bytes not in SEGMENT_RANGE
            or frame.segment_bytes > min(frame.frame_bytes, self._sizes.frame_bytes)
        ):
            maximum = self._sizes.frame_bytes
            refusal = (
                f"this board speaks version {FRAMING_VERSION}, with segments of 16 to {maximum} bytes on this line"
            )
            self._control.append(pack(Close(refusal), frame.session, from_board=True))
            return
        self._move(Event.OPEN)
        self.session, self.generation = frame.session, self.generation + 1
        self._begin(frame.segment_bytes, frame.frame_bytes, frame.window_segments)
        self._rate.on_open()
        self._heard(now_s)
        self._control.clear()
        self._use_stuffed()
        self._sends_prefixed = False
        self._control.append(self._grant_frame())

    def _grant_frame(self) -> bytes:
        segment_bytes = self._in.segment_bytes
        window = self._greeting_segments(segment_bytes)
        return self._pack(Opened(FRAMING_VERSION, self.session, segment_bytes, window, self._sizes.frame_bytes))

    def _greeting_segments(self, segment_bytes: int) -> int:
        return min(self._sizes.window_bytes, GREETING_WINDOW_BYTES) // segment_bytes

    def _on_opened(self, frame: Opened, now_s: float) -> None:
        if frame.session != self.session or self._state is not State.OPENING:
            return
        if frame.segment_bytes != self._sizes.segment_bytes or frame.version != FRAMING_VERSION:
            raise ProtocolError(f"the board grants version {frame.version}, segments of {frame.segment_bytes} bytes")
        self._heard(now_s)
        self._move(Event.OPENED)
        self._out.start(frame_bytes=min(frame.frame_bytes, self._sizes.frame_bytes), limit=frame.window_segments)
        if self._reliable:
            self._control.append(self._pack(PrefixRequest()))

    def _on_close(self, frame: Close) -> None:
        reason = frame.reason or "the other end closed the session"
        if self.role is Role.HOST and self._failure is None and self._state in (State.OPENING, State.OPEN):
            self._failure = TransferError(f"the board closed the session: {reason}")
        self._move(Event.PEER_CLOSE)

    def _heard(self, now_s: float) -> None:
        self._liveness.heard(now_s)
        self._rate.on_heard(now_s)

    def _grant(self) -> None:
        if self._messages.greeted:
            self._in.widen(self._sizes.window_bytes // self._in.segment_bytes)
        self._in.grant(self._messages.buffered_bytes)
        # New credit justifies a separate frame when a quarter of the window has been freed.
        freed = self._in.limit - self._in.advertised_limit
        if freed >= max(1, self._sizes.window_bytes // self._in.segment_bytes // 4):
            self._in.ack_due = True

    # --- bytes out ---

    def data_to_send(self, now_s: float) -> bytes:
        """Return what to write to the link now, at most one data frame and the notices before it; ``b""`` if nothing.

        Call again until it returns ``b""`` and `baud` is what it was: each call's bytes count as sent at ``now_s``.
        """
        if self._rate.baud != self._baud:
            self._on_new_rate(now_s)
        self._tick(now_s)
        if self._rate.baud != self._baud:
            return b""  # the driver sets the line first
        frames = list(self._control)
        self._control.clear()
        if self._state is State.OPEN:
            frames += self._session_frames(now_s)
        elif self._state is State.LISTENING:
            self._rate.reset()  # once the farewell has left
        if not frames:
            return b""
        if now_s - self._last_sent_s > _IDLE_S and not self._sends_prefixed:
            frames.insert(0, b"\0")
        self._sends_prefixed = self._packs_prefixed
        self._last_sent_s = now_s
        out = b"".join(frames)
        self._wire_bytes_sent += len(out)
        return out

    def _session_frames(self, now_s: float) -> list[bytes]:
        """Return the next frames of an open session: an acknowledgement, and one of data, ping and rate."""
        frames: list[bytes] = []
        if self._in.ack_due:
            frames.append(self._pack(self._in.ack()))
        if (agreement := self._rate.next_frame(now_s)) is not None:
            frames.append(self._pack(agreement))  # the last one at this rate, when it is the board's answer
            self._liveness.asked(now_s)
        elif not self._rate.holds and (data := self._out.next_data(now_s)) is not None:
            frames.append(self._pack(data))
            self._liveness.asked(now_s)
        elif (number := self._out.next_ping(now_s)) is not None:
            frames.append(self._pack(Ping(number)))
            self._liveness.pinged(now_s)
        return frames

    def _on_new_rate(self, now_s: float) -> None:
        self._baud = self._rate.baud
        self._rate.on_set(now_s)
        self._out.on_new_rate()

    def _tick(self, now_s: float) -> None:
        if self._state is State.OPENING and now_s >= self._retry_s:
            self._retry_s = now_s + _OPEN_RETRY_S
            sizes = self._sizes
            window = self._greeting_segments(sizes.segment_bytes)
            self._control.append(
                self._pack(Open(FRAMING_VERSION, self.session, sizes.segment_bytes, window, sizes.frame_bytes))
            )
            self._liveness.asked(now_s)
        if self._state is State.OPEN:
            if not self._reliable:
                self._out.on_timeout(now_s)
                self._rate.on_load(self._out.unsent_bytes, self._out.sizer.payload_fraction, now_s)
            self._rate.asked_s = self._liveness.asked_s
            self._rate.tick(now_s)
            if self._wants_ping(now_s):
                self._out.request_ping()
        if self._state in (State.OPENING, State.OPEN) and now_s > self._liveness.gone_s():
            self._fail(TransferError(self._silence_text()))

    def _wants_ping(self, now_s: float) -> bool:
        if self._rate.holds:
            return self._rate.ping_needed(now_s)
        return now_s >= self._liveness.ping_due_s(blocked=self._waits_for_credit)

    @property
    def _waits_for_credit(self) -> bool:
        return self._out.blocked and not self._out.in_flight

    def next_timeout_s(self, now_s: float) -> float | None:
        """Return in how many seconds `data_to_send` has something to do by itself, or None when it never has."""
        if self._control or self._rate.baud != self._baud:
            return 0.0
        if self._state is State.OPENING:
            return max(0.0, self._retry_s - now_s)
        if self._state is not State.OPEN:
            return None
        self._rate.asked_s = self._liveness.asked_s
        due_s = min(self._liveness.gone_s(), self._rate.due_s())
        if not self._rate.holds:
            due_s = min(due_s, self._liveness.ping_due_s(blocked=self._waits_for_credit))
        deadline_s = None if self._reliable else self._out.deadline_s()
        if deadline_s is not None:
            due_s = min(due_s, deadline_s)
        return max(0.0, due_s - now_s)

    # --- state ---

    def _pack(self, frame: Frame) -> bytes:
        return pack(frame, self.session, from_board=self.role is Role.BOARD, prefixed=self._packs_prefixed)

    def _move(self, event: Event) -> None:
        state = next_state(self.role, self._state, event)
        if state is not None:
            self._state = state
        if state is State.LISTENING:
            self._messages.clear()  # whoever asked is gone
            self._use_stuffed()

    def _fail(self, error: TransferError) -> None:
        if self._state in (State.OPEN, State.OPENING):
            self._control.append(self._pack(Close(str(error))))
        if self.role is Role.HOST and self._failure is None:
            self._failure = error
        if self._reader.is_prefixed:
            self._reader.drop()  # where its next frame begins is not known
        self._move(Event.FAIL)

    def _silence_text(self) -> str:
        if self.role is Role.BOARD:
            return f"nothing was heard of the host for {self._liveness.silence_s:g} s"
        what = "no KS-100 answers" if self._state is State.OPENING else "the board has gone silent"
        heard = self._reader.sample + self._reader.waiting
        if self._echoes:
            what += "; the line echoes what is sent (a login prompt, or a loopback plug?)"
        elif heard:
            what += f"; the line carries something else: {heard[-60:].decode('ascii', 'replace')!r}"
        return f"{what} (waited {self._liveness.silence_s:g} s); check power, cable and baud rate, then try again"


def _frame_cap(sizes: Sizes) -> int:
    """Return the longest body of a frame that this end takes: a data frame, or an acknowledgement's bitmap."""
    bitmap_bytes = sizes.window_bytes // SEGMENT_RANGE[0] // 8
    return max(sizes.frame_bytes, bitmap_bytes) + DATA_OVERHEAD_BYTES + 16
