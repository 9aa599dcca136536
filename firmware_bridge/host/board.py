"""What a host can ask of a board, as typed calls. Knows messages and sessions, not links or the rules of trust."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import BoardBusyError, BoardError, ProtocolError, RejectedError, TransferError
from firmware_bridge.host.transfer import ChunkSource, Compression, TransferProgress, needed_chunks, send_chunks
from firmware_bridge.links.link import Link, bauds_of
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.connection import Connection, Statistics
from firmware_bridge.protocol.states import Role
from firmware_bridge.protocol.versions import MESSAGES_VERSION, OLDEST_VERSION
from firmware_bridge.session.base import Session
from firmware_bridge.session.threaded import ThreadedSession

__all__ = ["Board", "Inference"]

_ANSWER_S = 120.0  # a board that is alive and does not answer: longer than any step but a measurement
_GREETING_S = 30.0  # what a board says without looking anything up
_SHORT_ANSWER_S = 5.0  # a person has pressed Ctrl-C and waits
_MEASURE_S = 1800.0  # ten minutes of frames on an emulated board, which runs them one by one
_POLL_S = 5.0

_DTYPES = frozenset(np.dtype(code).name for code in np.typecodes["AllInteger"] + "?efd")  # of tensors on the wire

_Answer = TypeVar("_Answer", bound=m.Message)


@dataclass(frozen=True, slots=True)
class Inference:
    """One run of the active model: outputs by name, and the latency on the board's clock, milliseconds."""

    outputs: dict[str, NDArray[np.generic]]
    latency_ms: float


class Board:
    """A board at the other end of a link; a context manager that closes the session and the link.

    Attributes:
        welcome: the board's greeting: its kind and serial number.
    """

    def __init__(
        self,
        link: Link,
        host_name: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        silence_s: float | None = None,
        open_session: Callable[[Link, Connection, Callable[[], float]], Session] = ThreadedSession,
    ) -> None:
        """Open a session.

        Args:
            link: the pipe to the board; closed with this object, also when opening fails.
            host_name: shown to others while this host has the board's lock.
            clock: seconds, monotonic.
            silence_s: how long the board may be silent; by default 10 s on serial lines and 20 s elsewhere.
            open_session: drives the session over the link; in virtual time, in tests.

        Raises:
            TransferError: no board answers.
            BoardError: the board speaks no version of the messages that this host does.
        """
        self._clock = clock
        self._reliable = link.reliable
        # It seeds the frames' CRC: all four bytes count, or one damaged byte could turn a frame into one that opens.
        number = secrets.randbelow(2**32 - 2**24) + 2**24
        connection = Connection(
            Role.HOST, reliable=link.reliable, session=number, silence_s=silence_s, bauds=bauds_of(link)
        )
        self._session = open_session(link, connection, clock)
        try:
            self.welcome = self._ask(m.Hello(MESSAGES_VERSION, host_name), m.Welcome, _GREETING_S)
            self._session.use_version(_agreed(self.welcome))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Board:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The link's name."""
        return self._session.name

    @property
    def statistics(self) -> Statistics:
        """What the session has cost so far."""
        return self._session.statistics

    def close(self) -> None:
        """End the session and close the link; closing twice is allowed."""
        self._session.close()

    def info(self) -> m.BoardInfo:
        """Return the board's identity and state."""
        return self._ask(m.GetInfo(), m.BoardInfo, _GREETING_S)

    def trust(self) -> bytes:
        """Return the board's signed trust store, ``b""`` when it has none."""
        return self._ask(m.GetTrust(), m.TrustState).store

    def provision(self, store: bytes) -> None:
        """Install a signed trust store.

        Raises:
            RejectedError: the store is not acceptable to the board.
        """
        self._ask(m.Provision(store), m.Done)

    def push(
        self,
        package: ChunkSource,
        progress: Callable[[TransferProgress], None] | None = None,
        cancel: Callable[[], bool] | None = None,
        *,
        compress: bool = True,
    ) -> m.Installed:
        """Send a package into the spare slot; chunks that the board has already do not cross the link.

        Args:
            package: the package.
            progress: called about ten times a second.
            cancel: polled; when it returns True the push ends with `CancelledError` and can be resumed later.
            compress: deflate chunks where that helps.

        Raises:
            RejectedError: a rule refuses the package; the board runs the same model as before.
            BoardError: the board cannot take it.
            TransferError: the link broke; a new push sends only what is missing.
        """
        answer = self._ask(m.Offer(package.head), m.ChunksNeeded)
        needed = list(needed_chunks(answer.missing, package.chunk_count))
        send_chunks(
            self._session,
            package,
            needed,
            compression=Compression(reliable=self._reliable, allowed=compress),
            refused=_unexpected,
            progress=progress,
            cancel=cancel,
            clock=self._clock,
        )
        return self._ask(m.Finish(), m.Installed)

    def missing(self, package: ChunkSource, timeout_s: float = _SHORT_ANSWER_S) -> int:
        """Return how many chunks of a package the board has not got.

        Raises:
            RejectedError, BoardError, TransferError: as for `push`.
        """
        answer = self._ask(m.Offer(package.head), m.ChunksNeeded, timeout_s)
        return len(list(needed_chunks(answer.missing, package.chunk_count)))

    def activate(self, slot: str) -> m.Activated:
        """Switch to ``slot`` and run the trial; `confirm` keeps it.

        Raises:
            RejectedError: the slot does not verify, or the trial failed.
        """
        activated = self._ask(m.Activate(slot), m.Activated)
        if activated.slot != slot:
            raise ProtocolError(f"the board reports slot {activated.slot} as activated instead of slot {slot}")
        return activated

    def confirm(self) -> m.Confirmed:
        """Keep the active slot, and raise the board's rollback floor."""
        return self._ask(m.Confirm(), m.Confirmed)

    def infer(self, inputs: Mapping[str, NDArray[np.generic]], kernels: str | Enum = "optimised") -> Inference:
        """Run the active model once.

        Args:
            inputs: arrays by the graph's input names, in the graph's types and shapes.
            kernels: ``optimised`` or ``reference``.
        """
        which = str(kernels.value) if isinstance(kernels, Enum) else kernels
        answer = self._ask(m.Infer(_tensors(inputs), which), m.Inferred)
        return Inference({name: _array(name, tensor) for name, tensor in answer.outputs.items()}, answer.latency_ms)

    def measure(
        self,
        *,
        frames: int,
        warmup: int = 10,
        rate_hz: float = 60.0,
        idle_s: float = 1.0,
        inputs: Mapping[str, NDArray[np.generic]] | None = None,
        timeout_s: float = _MEASURE_S,
    ) -> m.Measured:
        """Run the active model in a paced loop and sample the rails in the same run.

        Args:
            frames: inferences that are counted.
            warmup: inferences before them.
            rate_hz: pacing; 0 runs back to back.
            idle_s: how long the rails are sampled before the loop.
            inputs: the inputs of each frame; without them the board uses zeros.
            timeout_s: how long to wait for the answer.
        """
        request = m.Measure(frames, warmup, rate_hz, idle_s, _tensors(inputs or {}))
        return self._ask(request, m.Measured, timeout_s)

    def audit(self, since: int = 0) -> tuple[m.AuditEntry, ...]:
        """Return the audit log from entry ``since`` on."""
        return self._ask(m.GetAudit(since), m.Audit).entries

    def reboot(self) -> None:
        """Restart the board's agent; this session ends, open a new one."""
        self._ask(m.Reboot(), m.Done)
        self.close()

    def _ask(self, request: m.Message, kind: type[_Answer], timeout_s: float = _ANSWER_S) -> _Answer:
        self._session.send(request)
        deadline_s = self._clock() + timeout_s
        while (answer := self._session.receive(min(_POLL_S, timeout_s))) is None:
            if self._clock() > deadline_s:
                raise TransferError(
                    f"{self.name} is alive and has not answered {type(request).__name__} for {timeout_s:.0f} s; "
                    "reboot the board"
                )
        if not isinstance(answer, kind):
            _unexpected(answer)
        return answer


def _agreed(welcome: m.Welcome) -> int:
    """Return the version of the messages that the board answers in.

    Raises:
        BoardError: this host does not speak it.
    """
    if OLDEST_VERSION <= welcome.version <= MESSAGES_VERSION:
        return welcome.version
    older = "the board's agent" if welcome.version < OLDEST_VERSION else "this host's ks100"
    raise BoardError(
        f"{welcome.board} {welcome.serial} speaks version {welcome.version} of the messages, this host "
        f"{OLDEST_VERSION} to {MESSAGES_VERSION}; update {older}"
    )


def _unexpected(answer: m.Message) -> NoReturn:
    """Raise the error that an unexpected answer means."""
    match answer:
        case m.Refusal():
            try:
                reason = RejectReason.from_code(answer.reason)
            except ValueError as error:
                raise BoardError(f"the board refuses: {answer.reason} ({answer.detail}); update this tool") from error
            raise RejectedError(reason, answer.detail)
        case m.Busy():
            raise BoardBusyError(answer.holder, answer.since_s)
        case m.Fault():
            raise BoardError(f"the board cannot do it ({answer.kind.value}): {answer.detail}", answer.kind)
        case _:
            raise ProtocolError(f"the board sent an unexpected {type(answer).__name__}")


def _tensors(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, m.Tensor]:
    return {name: _tensor(array) for name, array in arrays.items()}


def _tensor(array: NDArray[np.generic]) -> m.Tensor:
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return m.Tensor(array.dtype.name, tuple(array.shape), little.tobytes())


def _array(name: str, tensor: m.Tensor) -> NDArray[np.generic]:
    try:
        if tensor.dtype not in _DTYPES:
            raise ValueError("no such type")
        kind = np.dtype(tensor.dtype).newbyteorder("<")
        return np.frombuffer(tensor.data, kind).reshape(tensor.shape).astype(kind.newbyteorder("="))
    except (OverflowError, ValueError) as error:
        raise ProtocolError(f"the output {name} is not a tensor of {tensor.dtype} {tensor.shape}: {error}") from error
