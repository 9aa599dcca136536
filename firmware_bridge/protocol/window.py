"""The reliable window: a byte stream in numbered segments over a line that loses, damages and repeats frames.

`Outgoing` is the sender's half, `Incoming` the receiver's. The stream is cut into segments of a fixed size, the unit
of acknowledgement; a frame carries one or more consecutive segments, and a repetition may group them anew, in smaller
frames. Every transmission has its own number, and lines keep the order of what they carry: so when a transmission
is acknowledged, every earlier one that is not has been lost, and is repeated without waiting for a timer.

Credits: the receiver names the first segment that must not be sent yet. They cover what it can hold, so a board that
stalls on its flash stops the sender, and loses nothing.

Knows neither frames' encoding nor messages, and reads no clock.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol.frames import DATA_OVERHEAD_BYTES, Ack, Data
from firmware_bridge.protocol.timing import FrameSizer, RoundTrip

__all__ = ["NUMBER_MODULUS", "Incoming", "Outgoing"]

NUMBER_MODULUS = 2**16
"""Transmission numbers wrap here; far fewer than half of them are ever in flight, so the order stays clear."""

_MAX_IN_FLIGHT = NUMBER_MODULUS // 4
_MAX_SEQUENCE = 2**32 - 1  # 512 GiB of 128-byte segments: three weeks at 3 M baud


def _is_before(first: int, second: int) -> bool:
    return 0 < (second - first) % NUMBER_MODULUS < NUMBER_MODULUS // 2


@dataclass(slots=True)
class _Transmission:
    """One frame on its way: what it carried (``sequences`` is empty for a ping), and when it left."""

    number: int
    sequences: range
    size_bytes: int
    sent_s: float


class Outgoing:
    """The sender's half of the window.

    Attributes:
        round_trip: the retransmission timer's estimator.
        sizer: the size of the next frame.
        retransmissions: frames repeated so far.
    """

    def __init__(self, *, segment_bytes: int, frame_bytes: int, limit: int = 0, adaptive: bool = True) -> None:
        """Create the sender's half.

        Args:
            segment_bytes: how the stream is cut.
            frame_bytes: largest payload of a frame.
            limit: first segment that must not be sent yet.
            adaptive: whether frames shrink on errors; without, they are always as large as can be.
        """
        self._adaptive = adaptive
        self._segment_bytes = segment_bytes
        self._frame_bytes = frame_bytes
        self._learn_anew()
        self._limit = limit
        self.retransmissions = 0
        self._unsent: deque[bytes | memoryview] = deque()
        self._unsent_bytes = 0
        self._more = False
        self._sizes: dict[int, int] = {}  # of segments that are sent, not acknowledged
        self._held: dict[int, memoryview] = {}  # those segments, where they may have to be repeated
        self._held_bytes = 0
        self._lost: deque[int] = deque()  # of those, the ones to repeat, ascending
        self._flight: deque[_Transmission] = deque()
        self._number = 0
        self._next = 0
        self._acked = 0
        self._acked_bytes = 0
        self._ping = False
        self._waiting_from_s = -math.inf

    def start(self, *, frame_bytes: int, limit: int) -> None:
        """Take what the peer grants, before anything is sent: its largest frame and its credit."""
        self._frame_bytes = frame_bytes
        self._learn_anew()
        self._limit = limit

    def _learn_anew(self) -> None:
        """Forget what was learnt of the line."""
        self.round_trip = RoundTrip()
        self.sizer = FrameSizer(
            unit_bytes=self._segment_bytes,
            cap_bytes=max(self._frame_bytes, self._segment_bytes),
            overhead_bytes=DATA_OVERHEAD_BYTES,
            adaptive=self._adaptive,
        )

    # --- the stream ---

    def write(self, *parts: bytes, more: bool = False) -> int:
        """Append to the stream; returns the stream's length so far, to be compared with `acked_bytes`.

        With ``more``, which announces another call, a segment that is not full waits for it.
        """
        self._more = more
        self._unsent.extend(parts)
        self._unsent_bytes += sum(map(len, parts))
        return self._acked_bytes + self.pending_bytes

    @property
    def pending_bytes(self) -> int:
        """Bytes written and not acknowledged."""
        return self._unsent_bytes + self._held_bytes

    @property
    def unsent_bytes(self) -> int:
        """Bytes written and never sent."""
        return self._unsent_bytes

    @property
    def acked_bytes(self) -> int:
        """How much of the stream, from its beginning, the peer has."""
        return self._acked_bytes

    @property
    def in_flight(self) -> bool:
        """Whether anything sent still waits for news."""
        return bool(self._flight)

    @property
    def blocked(self) -> bool:
        """Whether there is something to send and no credit for it."""
        return bool(self._unsent_bytes) and self._next >= self._limit and not self._lost

    @property
    def can_cut(self) -> bool:
        """Whether there is something to send for the first time, and credit for it."""
        return self._unsent_bytes >= self._shortest_bytes and self._next < self._limit

    @property
    def _shortest_bytes(self) -> int:
        return self._segment_bytes if self._more else 1

    # --- sending ---

    def request_ping(self) -> None:
        """Ask the peer for an acknowledgement, with the next frame that has nothing else to carry."""
        self._ping = True

    def next_data(self, now_s: float) -> Data | None:
        """Return the next frame to send, lost segments first, or None when there is nothing or no credit."""
        if len(self._flight) >= _MAX_IN_FLIGHT:
            return None
        sequences = self._repeat()
        if sequences:
            payload = b"".join([self._held[sequence] for sequence in sequences])
        else:
            sequences, payload = self._cut()
        if not sequences:
            return None
        return Data(self._launch(sequences, len(payload) + DATA_OVERHEAD_BYTES, now_s), sequences.start, payload)

    def next_ping(self, now_s: float) -> int | None:
        """Return the number of a ping to send, or None when none is due."""
        if not self._ping:
            return None
        self._ping = False
        return self._launch(range(0), 0, now_s)

    def _launch(self, sequences: range, size_bytes: int, now_s: float) -> int:
        self._number = (self._number + 1) % NUMBER_MODULUS
        self._flight.append(_Transmission(self._number, sequences, size_bytes, now_s))
        return self._number

    def _repeat(self) -> range:
        """Choose the lost segments that the next frame repeats; none when nothing is lost."""
        lost = self._lost
        while lost and lost[0] not in self._held:
            lost.popleft()
        if not lost:
            return range(0)
        first = stop = lost[0]
        room = self.sizer.payload_bytes // self._segment_bytes
        while lost and lost[0] == stop and stop - first < room and stop in self._held:
            lost.popleft()
            stop += 1
            if len(self._held[stop - 1]) < self._segment_bytes:
                break  # only the last segment of a frame may be short
        self.retransmissions += 1
        return range(first, stop)

    def _cut(self) -> tuple[range, bytes]:
        """Cut the next segments off the stream, as many as one frame and the credits take, and return them joined."""
        first, size = self._next, self._segment_bytes
        room = min(self.sizer.payload_bytes // size, self._limit - first, _MAX_SEQUENCE - first)
        cut_bytes = min(room * size, self._unsent_bytes)
        if self._more:
            cut_bytes -= cut_bytes % size
        if cut_bytes <= 0:
            if first >= _MAX_SEQUENCE and self._unsent_bytes:
                raise ProtocolError("the session has used up its sequence numbers; open a new one")
            return range(0), b""
        payload = self._take(cut_bytes)
        view = memoryview(payload)
        for at in range(0, cut_bytes, size):
            self._sizes[self._next] = min(size, cut_bytes - at)
            if self._adaptive:
                self._held[self._next] = view[at : at + size]
            self._next += 1
        self._held_bytes += cut_bytes
        return range(first, self._next), payload

    def _take(self, size_bytes: int) -> bytes:
        parts: list[bytes | memoryview] = []
        left = size_bytes
        while left:
            part = self._unsent.popleft()
            if len(part) > left:
                view = memoryview(part)
                part, rest = view[:left], view[left:]
                self._unsent.appendleft(rest)
            parts.append(part)
            left -= len(part)
        self._unsent_bytes -= size_bytes
        return b"".join(parts)

    # --- news from the peer ---

    def on_ack(self, ack: Ack, now_s: float) -> None:
        """Take an acknowledgement: free what has arrived, find what is lost, take new credits.

        Raises:
            ProtocolError: it acknowledges what was never sent.
        """
        top = ack.expected + 8 * len(ack.bitmap)
        if ack.expected > self._next or (ack.bitmap and top > self._next + 8):
            raise ProtocolError(f"segment {max(ack.expected, top) - 1} is acknowledged, only {self._next} were sent")
        for sequence in range(self._acked, ack.expected):
            self._free(sequence)
        self._acked = max(self._acked, ack.expected)
        for at, bits in enumerate(ack.bitmap):
            for bit in range(8):
                if bits >> bit & 1:
                    self._free(ack.expected + 1 + 8 * at + bit)
        self._limit = max(self._limit, ack.limit)
        self._settle(ack.echo, now_s)

    def _free(self, sequence: int) -> None:
        size_bytes = self._sizes.pop(sequence, 0)
        self._held.pop(sequence, None)
        self._acked_bytes += size_bytes
        self._held_bytes -= size_bytes

    def _settle(self, echo: int, now_s: float) -> None:
        """Decide the fate of every transmission up to the echoed one."""
        flight = self._flight
        if not flight or _is_before(echo, flight[0].number) or _is_before(flight[-1].number, echo):
            return  # an old acknowledgement, or a repeated one
        self._waiting_from_s = now_s
        lost: list[int] = []
        while flight and not _is_before(echo, flight[0].number):
            sent = flight.popleft()
            missing = [sequence for sequence in sent.sequences if sequence in self._sizes]
            if sent.number == echo:
                self.round_trip.sample(now_s - sent.sent_s)
            if sent.size_bytes:
                self.sizer.report(sent.size_bytes, lost=bool(missing))
            lost += missing
        self._requeue(lost)

    def _requeue(self, lost: list[int]) -> None:
        if lost and not self._adaptive:
            raise ProtocolError(f"segment {lost[0]} was lost on a pipe that must not lose any")
        if lost:
            self._lost = deque(sorted({*self._lost, *lost}))

    def on_new_rate(self) -> None:
        """The line has another rate: what was on its way counts as lost, and is no evidence about the new rate."""
        lost = [sequence for sent in self._flight for sequence in sent.sequences if sequence in self._sizes]
        self._flight.clear()
        self._requeue(lost)
        self._learn_anew()

    # --- the timer ---

    def deadline_s(self) -> float | None:
        """Return when the oldest transmission counts as lost, or None when nothing is on its way."""
        if not self._flight:
            return None
        return max(self._flight[0].sent_s, self._waiting_from_s) + self.round_trip.timeout_s

    def on_timeout(self, now_s: float) -> None:
        """Give up on the oldest transmission when it is overdue: repeat it, and wait longer for the next."""
        deadline_s = self.deadline_s()
        if deadline_s is None or now_s < deadline_s:
            return
        if self.round_trip.backed_off:  # nothing has come for long: all of it was too large for this line
            for sent in self._flight:
                self._report_lost(sent)
        oldest = self._flight.popleft()
        self._report_lost(oldest)
        self.round_trip.back_off()
        missing = [sequence for sequence in oldest.sequences if sequence in self._sizes]
        self._requeue(missing)
        if not missing:
            self._ping = True
        self._waiting_from_s = now_s  # for the rest too: one probe goes out, not a flood

    def _report_lost(self, sent: _Transmission) -> None:
        if sent.size_bytes:
            self.sizer.report(sent.size_bytes, lost=True)
            sent.size_bytes = 0  # once


class Incoming:
    """The receiver's half of the window.

    Attributes:
        ack_due: something arrived that the sender should hear about.
        duplicates: segments that came again.
    """

    def __init__(self, *, segment_bytes: int, window_segments: int) -> None:
        """Create the receiver's half.

        Args:
            segment_bytes: how the stream is cut.
            window_segments: its capacity in segments, assembled or not.
        """
        self.ack_due = False
        self.duplicates = 0
        self._segment_bytes = segment_bytes
        self._window = window_segments
        self._early: dict[int, bytes] = {}
        self._expected = 0
        self._limit = window_segments
        self._told_limit = window_segments
        self._echo = 0
        self._seen = False

    @property
    def segment_bytes(self) -> int:
        """How the stream is cut."""
        return self._segment_bytes

    @property
    def limit(self) -> int:
        """First segment that must not come yet."""
        return self._limit

    @property
    def advertised_limit(self) -> int:
        """The limit that the sender last received."""
        return self._told_limit

    def on_number(self, number: int) -> None:
        """Remember the newest transmission that arrived."""
        if not self._seen or _is_before(self._echo, number):
            self._echo, self._seen = number, True

    def on_data(self, frame: Data) -> bytes | memoryview:
        """Take a frame and return what it adds to the stream in order, often its payload, sometimes nothing or more.

        Raises:
            ProtocolError: it carries no segment.
        """
        if not frame.payload:
            raise ProtocolError(f"data frame {frame.sequence} is empty")
        self.on_number(frame.number)
        size = self._segment_bytes
        count = -(-len(frame.payload) // size)
        if frame.sequence == self._expected and not self._early and frame.sequence + count <= self._limit:
            self._expected += count  # the usual case: whole, in order, nothing parked
            return frame.payload
        for index in range(count):
            self._park(frame.sequence + index, frame.payload[index * size : (index + 1) * size])
        parts: list[bytes | memoryview] = []
        while (segment := self._early.pop(self._expected, None)) is not None:
            parts.append(segment)
            self._expected += 1
        return b"".join(parts)

    def _park(self, sequence: int, segment: bytes | memoryview) -> None:
        if sequence < self._expected or sequence in self._early:
            self.duplicates += 1
        elif sequence < self._limit:  # segments beyond the credits are dropped
            self._early[sequence] = bytes(segment)  # a view would keep all that came with it

    def widen(self, window_segments: int) -> None:
        """Set the capacity in segments; the sender learns it with the next acknowledgement."""
        self._window = window_segments

    def grant(self, backlog_bytes: int) -> None:
        """Move the credit on: ``backlog_bytes`` have arrived in order and are not consumed yet."""
        free = self._window - -(-backlog_bytes // self._segment_bytes)
        self._limit = max(self._limit, self._expected + free)

    def ack(self) -> Ack:
        """Return the acknowledgement to send now."""
        self.ack_due = False
        self._told_limit = self._limit
        return Ack(self._echo, self._expected, self._limit, self._bitmap())

    def _bitmap(self) -> bytes:
        if not self._early:
            return b""
        base = self._expected + 1
        bits = 0
        for sequence in self._early:
            bits |= 1 << (sequence - base)
        return bits.to_bytes(-(-bits.bit_length() // 8), "little")
