"""What one run of the HIL suite found, as one value that can be saved, reloaded, compared and reported.

Round-trip law: ``HilResults.from_json(r.to_json()) == r`` for every ``r`` whose figures are finite. Knows nothing of
pytest: the plugin fills it, the report and the baseline read it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from firmware_bridge.protocol.messages import BoardInfo, Measured
from hil.errors import EvidenceError
from hil.measurements.accuracy import AccuracyRecord
from hil.measurements.measurement import Measurement, Source, Verdict
from hil.measurements.requirements import Requirements
from hil.measurements.setup import HostFacts, LoopFacts, PlannedCheck, PoolFacts
from models.records import RecordFile, derived

__all__ = [
    "LATENCY",
    "RESULTS_FILE",
    "Check",
    "HilResults",
    "Outcome",
    "PackageFacts",
    "Rejection",
    "SuiteVerdict",
    "Transfer",
]

RESULTS_FILE = "results.json"
LATENCY = "latency_ms"
"""The series of the paced run's latencies, which `HilResults.measured` holds."""
_RUNNING = -1
_UNDECIDED = {Verdict.INCONCLUSIVE, Verdict.INVALID}


class Outcome(Enum):
    """How one check ended. A limit that fails and a bench that breaks are different things."""

    PASSED = "passed"
    FAILED = "failed"
    """A limit, or a promise of the board, does not hold."""
    INCONCLUSIVE = "inconclusive"
    """There are too few samples to say."""
    REJECTED = "rejected"
    """The board refuses the very package under test."""
    ERROR = "error"
    """The bench, the link or the board broke: nothing is known about the limit."""
    SKIPPED = "skipped"


class SuiteVerdict(Enum):
    """What the whole run says."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    LIMIT_FAILED = "limit failed"
    REJECTED = "rejected by trust"
    FAULT = "board or bench fault"
    INCONCLUSIVE = "inconclusive"
    INCOMPLETE = "INCOMPLETE"
    """The run did not come to its end: what it did not check, it does not know."""


@dataclass(frozen=True, slots=True)
class Check:
    """One test of the suite.

    Attributes:
        name: file and function, e.g. ``test_latency::test_latency_stays_within_the_decision_window``.
        title: the promise in words.
        outcome: how it ended.
        seconds: setup, call and teardown together.
        message: one line that says what failed, or why it was skipped; ``""`` when it passed.
        detail: the longer text behind an unexpected error, or ``""``.
    """

    name: str
    title: str
    outcome: Outcome
    seconds: float
    message: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One thing that the board had to refuse.

    Attributes:
        case: short name, e.g. ``flipped-payload-bit``.
        title: what was done, in words.
        expected: codes of the reasons that are right.
        got: code of the reason that the board gave, ``"accepted"`` if it accepted.
        detail: what the board said it found.
        slot_unchanged: whether the active slot is the same model as before.
        wire_bytes: bytes put on the link until the refusal, everything included.
    """

    case: str
    title: str
    expected: tuple[str, ...]
    got: str
    detail: str
    slot_unchanged: bool
    wire_bytes: int

    @property
    def holds(self) -> bool:
        """Whether the refusal came for the right reason and left the active slot alone."""
        return self.got in self.expected and self.slot_unchanged


@dataclass(frozen=True, slots=True)
class Transfer:
    """One push of the package.

    Attributes:
        link: what carried it.
        payload_bytes: length of the graph.
        wire_bytes: bytes on the link, everything included.
        seconds: how long it took.
        retries: frames sent again.
        chunks: how many the package has.
        chunks_sent: how many of them the board had not got, so that they crossed the link.
    """

    link: str
    payload_bytes: int
    wire_bytes: int
    seconds: float
    retries: int = 0
    chunks: int = 1
    chunks_sent: int = 1

    @property
    def rate_bytes_s(self) -> float:
        """Payload bytes per second; NaN where the board had all of it, so that nothing crossed the link."""
        return self.payload_bytes * self.chunks_sent / self.chunks / self.seconds if self._sent else math.nan

    @property
    def _sent(self) -> bool:
        return self.seconds > 0 and self.chunks_sent > 0


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What a person wants to know of a package; digests are hex.

    Attributes:
        file: its file name.
        file_bytes: length of the file.
        file_sha256: digest of the file.
        program: the program it belongs to.
        model: the model's name.
        version: the model's version.
        security_version: rollback index.
        payload_bytes: length of the graph.
        payload_sha256: digest of the graph.
        key_id: id of the signing key, hex, or ``""``.
        ops: (op, dtype) pairs that it needs.
        npu_ops: how many ops the NPU is expected to take.
        gate: the gate's verdict that it carries.
        waiver: why it was released without a passed gate; ``""`` if there is no such waiver.
    """

    file: str
    file_bytes: int
    file_sha256: str
    program: str
    model: str
    version: str
    security_version: int
    payload_bytes: int
    payload_sha256: str
    key_id: str = ""
    ops: tuple[str, ...] = ()
    npu_ops: int = 0
    gate: str = ""
    waiver: str = ""


@dataclass(frozen=True)
class HilResults:
    """One run of the suite on one board.

    Attributes:
        url: the board's address, as given.
        link: what carried it, ``ssh`` or ``serial``.
        started_s: when it began, seconds since 1970.
        seconds: how long it took.
        board: what the board says it is, None if it could not be opened.
        requirements: what a board of this kind has to satisfy, None if no profile was read.
        package: the package under test, None if it could not be read.
        checks: every test, in the order in which they ran.
        measurements: every figure.
        samples: further series behind figures, by name; see `series`.
        measured: the paced run behind latency and power, with its traces.
        rejections: what the board had to refuse.
        transfers: pushes of the package.
        accuracy: accuracy on the board and of the same graph on the host.
        options: how the suite was asked to run, for the reader.
        exit_status: pytest's own exit code; -1 while the run is going on.
        planned: every check that was to run, with the figures that it promises.
        pool: the captures that the run used, None without.
        loop: how the paced run ran, None if it did not.
        host: the machine that ran the suite.
        stopped: why the run ended before its time, e.g. ``SIGTERM``; ``""`` if it did not.
    """

    url: str
    link: str
    started_s: float
    seconds: float = 0.0
    board: BoardInfo | None = None
    requirements: Requirements | None = None
    package: PackageFacts | None = None
    checks: tuple[Check, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    measured: Measured | None = None
    rejections: tuple[Rejection, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    accuracy: tuple[AccuracyRecord, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    exit_status: int = -1
    planned: tuple[PlannedCheck, ...] = ()
    pool: PoolFacts | None = None
    loop: LoopFacts | None = None
    host: HostFacts | None = None
    stopped: str = ""

    @property
    def source(self) -> Source | None:
        """Where its figures come from; None if no board was reached."""
        if self.board is None:
            return None
        return Source.EMULATED if self.board.emulated else Source.CLAIMED

    @property
    def verdict(self) -> SuiteVerdict:
        """The worst that happened: an early end hides a fault, which hides a failed limit, and so on."""
        outcomes = {check.outcome for check in self.checks}
        verdicts = {measurement.verdict for measurement in self.measurements}
        if self.exit_status == _RUNNING or self.stopped or self.not_run:
            return SuiteVerdict.INCOMPLETE
        if Outcome.ERROR in outcomes or (self.board is None and outcomes != {Outcome.SKIPPED}):
            return SuiteVerdict.FAULT
        if Outcome.REJECTED in outcomes:
            return SuiteVerdict.REJECTED
        if Outcome.FAILED in outcomes or Verdict.FAIL in verdicts or not all(r.holds for r in self.rejections):
            return SuiteVerdict.LIMIT_FAILED
        undecided = Outcome.INCONCLUSIVE in outcomes or not verdicts.isdisjoint(_UNDECIDED)
        if undecided or Outcome.PASSED not in outcomes or self.missing:
            return SuiteVerdict.INCONCLUSIVE
        # pytest's own exit code is the last word on what the checks do not show (an internal error).
        return SuiteVerdict.PASS if self.exit_status == 0 else SuiteVerdict.FAULT

    @property
    def came_through(self) -> bool:
        """Whether it ran to its end on a board that took the package, so that it is evidence."""
        return self.verdict not in (SuiteVerdict.FAULT, SuiteVerdict.INCOMPLETE, SuiteVerdict.REJECTED)

    @property
    def not_run(self) -> tuple[str, ...]:
        """Names of the checks that were planned and have not ended."""
        ended = {check.name for check in self.checks}
        return tuple(item.name for item in self.planned if item.name not in ended)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the figures that were planned and have no number, in the plan's order."""
        measured = {item.name for item in self.measurements if math.isfinite(item.value)}
        return tuple(name for item in self.planned for name in item.figures if name not in measured)

    def measurement(self, name: str) -> Measurement | None:
        """Return the figure called ``name``, or None."""
        return next((item for item in self.measurements if item.name == name), None)

    def series(self, name: str) -> tuple[float, ...]:
        """Return the samples of the series ``name``, in the unit of its figures; may be empty."""
        if name == LATENCY and self.measured is not None:
            return self.measured.latency_ms
        return self.samples.get(name, ())

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` restores an equal value."""
        return FILE.to_json(self)

    @classmethod
    def from_json(cls, item: Any) -> HilResults:
        """Restore what `to_json` gave.

        Raises:
            EvidenceError: the record is not a run's results.
        """
        return FILE.from_json(item)

    def save(self, folder: Path) -> Path:
        """Write ``results.json`` into ``folder``, the old file or the whole new one, and return its path."""
        FILE.save(self, folder / RESULTS_FILE)
        return folder / RESULTS_FILE

    @classmethod
    def load(cls, path: Path) -> HilResults:
        """Read ``results.json``, or the folder that holds it.

        Raises:
            EvidenceError: there is none, or it is damaged.
        """
        return FILE.load(path / RESULTS_FILE if path.is_dir() else path)


FILE = RecordFile(HilResults, "the results of a HIL run", 4, "run again", EvidenceError, indent=None)
derived(Rejection, "holds")
derived(HilResults, "source", "verdict", "not_run", "missing")
