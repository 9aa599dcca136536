"""What a report says, as one value: filled by a pipeline or from results alone, written as JSON, JUnit or HTML.

Owns the shape of the facts. Knows nothing of how they were found, nor of how they look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from hil.comparison.runs import RunComparison
from hil.measurements.accuracy import AccuracyRecord
from hil.measurements.measurement import Measurement, Verdict
from hil.measurements.requirements import Requirements
from hil.measurements.results import HilResults, Outcome, PackageFacts, SuiteVerdict
from hil.report.figures import Figure

__all__ = [
    "CustodyRow",
    "DetectionBox",
    "DetectionPicture",
    "DifferenceRow",
    "GateRow",
    "GateSummary",
    "Panel",
    "PrecisionRow",
    "Report",
    "StepRow",
    "StepState",
]


class StepState(Enum):
    """How a step of the pipeline ended."""

    DONE = "done"
    REUSED = "reused"
    """An earlier result was still valid, by digest."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of the pipeline: what it was, how long it took, and one clause on its result."""

    name: str
    title: str
    seconds: float
    state: StepState = StepState.DONE
    note: str = ""


@dataclass(frozen=True, slots=True)
class PrecisionRow:
    """One operation of the graph in execution order: where it runs, in what type, and what it costs.

    Attributes:
        name: name of its output.
        op: e.g. ``CONV_2D``.
        dtype: e.g. ``INT8``, ``INT16``, ``FLOAT32``.
        macs: multiply-accumulates of a frame.
        npu: whether the NPU takes it.
        group: the layer group that it belongs to, e.g. ``attention``, or ``""``.
        latency_us: microseconds, modelled.
        energy_uj: microjoules over idle, modelled.
    """

    name: str
    op: str
    dtype: str
    macs: int
    npu: bool = True
    group: str = ""
    latency_us: float = 0.0
    energy_uj: float = 0.0


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """AP50 of a model minus that of its parent in one category, in points; negative is worse.

    Attributes:
        model: what it is called.
        pool: the captures.
        axis: condition axis; ``""`` for all frames.
        category: category on it; ``all frames``.
        points: the difference.
        low: lower end of its 90 % interval; NaN where none was computed.
        high: its upper end.
        frames: frames in the category.
    """

    model: str
    pool: str
    axis: str
    category: str
    points: float
    low: float
    high: float
    frames: int

    @property
    def has_interval(self) -> bool:
        """Whether an interval was computed."""
        return math.isfinite(self.low) and math.isfinite(self.high)


@dataclass(frozen=True, slots=True)
class DetectionBox:
    """One box in pixels of the picture: x0, y0, x1, y1, its class, and its score (None for truth)."""

    box: tuple[float, float, float, float]
    label: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """What one model saw in a frame, e.g. ``FP32`` or ``board``."""

    title: str
    boxes: tuple[DetectionBox, ...]


@dataclass(frozen=True)
class DetectionPicture:
    """One capture with what each model found in it.

    Attributes:
        capture: its id.
        conditions: its conditions in words.
        width: pixels of both pictures.
        height: pixels of both pictures.
        eo_image: the visible frame, a PNG or JPEG file's bytes, or None when the dataset has none.
        lwir_image: the thermal view, likewise.
        truth: the true objects.
        panels: one for each model.
    """

    capture: str
    conditions: str
    width: int
    height: int
    eo_image: bytes | None
    lwir_image: bytes | None
    truth: tuple[DetectionBox, ...]
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class GateRow:
    """One comparison of the gate, all in points: drop against FP32, its upper bound, and the limit.

    ``required`` says whether it decides, or is shown only.
    """

    name: str
    drop_points: float
    upper_points: float
    limit_points: float
    frames: int
    verdict: Verdict
    required: bool = True


@dataclass(frozen=True, slots=True)
class GateSummary:
    """The hard-case gate: its verdict, one line of reason, and every comparison."""

    verdict: Verdict
    reason: str
    rows: tuple[GateRow, ...] = ()


@dataclass(frozen=True, slots=True)
class CustodyRow:
    """One statement of the custody log: who did what to what, when (seconds since 1970)."""

    index: int
    act: str
    actor: str
    subject: str
    digest: str
    time_s: float | None = None


@dataclass(frozen=True)
class Report:
    """Everything that a report shows; any part may be missing.

    Attributes:
        title: headline.
        created_s: when it was made, seconds since 1970.
        subtitle: one line under the headline.
        results: the run on a board.
        other_results: further runs of the same package, e.g. over the serial line.
        steps: the pipeline's steps.
        measurements: figures that belong to no run on a board (training, quantizing).
        comparison: the main run against its baseline; None without one.
        accuracy: accuracy by model and pool, the host's and the board's.
        differences: AP50 against the float parent, with intervals.
        gate: the hard-case gate.
        precision: the graph's operations.
        choice: pictures of how the precisions were chosen.
        pictures: detections on hard cases.
        custody: who did what.
        waiver: why the package may run without a passed gate; ``""`` where there is no waiver.
        custody_verified: whether the chain and the log verified; None if nobody checked.
        package: facts of the package; those of ``results`` if None.
        board: what the board has to satisfy; as ``results`` says if None.
        notes: sentences that a reader should know.
        facts: further pairs of a name and a value (seed, host, versions).
    """

    title: str
    created_s: float
    subtitle: str = ""
    results: HilResults | None = None
    other_results: tuple[HilResults, ...] = ()
    steps: tuple[StepRow, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    comparison: RunComparison | None = None
    accuracy: tuple[AccuracyRecord, ...] = ()
    differences: tuple[DifferenceRow, ...] = ()
    gate: GateSummary | None = None
    precision: tuple[PrecisionRow, ...] = ()
    choice: tuple[Figure, ...] = ()
    pictures: tuple[DetectionPicture, ...] = ()
    custody: tuple[CustodyRow, ...] = ()
    waiver: str = ""
    custody_verified: bool | None = None
    package: PackageFacts | None = None
    board: Requirements | None = None
    notes: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = field(default=())

    @property
    def runs(self) -> tuple[HilResults, ...]:
        """Every run on a board, the main one first."""
        return (() if self.results is None else (self.results,)) + self.other_results

    @property
    def package_facts(self) -> PackageFacts | None:
        """Facts of the package, given or from the run."""
        return self.package or (None if self.results is None else self.results.package)

    @property
    def requirements(self) -> Requirements | None:
        """What the board has to satisfy, given or from the run."""
        return self.board or (None if self.results is None else self.results.requirements)

    @property
    def all_accuracy(self) -> tuple[AccuracyRecord, ...]:
        """The pipeline's accuracy records, then the board's, one for each model and pool."""
        records = {(r.model, r.pool): r for run in reversed(self.runs) for r in run.accuracy}
        records = {(r.model, r.pool): r for r in self.accuracy} | {
            key: record for key, record in records.items() if key not in {(r.model, r.pool) for r in self.accuracy}
        }
        return tuple(records.values())

    @property
    def verdict(self) -> SuiteVerdict:
        """The worst of the runs, the gate, the steps and the figures."""
        verdicts = [run.verdict for run in self.runs]
        verdicts += [] if self.comparison is None else [self.comparison.verdict]
        if SuiteVerdict.INCOMPLETE in verdicts:
            return SuiteVerdict.INCOMPLETE
        if SuiteVerdict.FAULT in verdicts or any(step.state is StepState.FAILED for step in self.steps):
            return SuiteVerdict.FAULT
        if SuiteVerdict.REJECTED in verdicts:
            return SuiteVerdict.REJECTED
        figures = {item.verdict for item in self.measurements} | ({self.gate.verdict} if self.gate else set())
        if SuiteVerdict.LIMIT_FAILED in verdicts or Verdict.FAIL in figures or self.custody_verified is False:
            return SuiteVerdict.LIMIT_FAILED
        if SuiteVerdict.INCONCLUSIVE in verdicts or not figures.isdisjoint({Verdict.INCONCLUSIVE, Verdict.INVALID}):
            return SuiteVerdict.INCONCLUSIVE
        return SuiteVerdict.PASS

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for everything that is not right, the worst first."""
        checks = [check for run in self.runs for check in run.checks if check.message]
        order = (Outcome.ERROR, Outcome.REJECTED, Outcome.FAILED, Outcome.INCONCLUSIVE)
        lines = [check.message for outcome in order for check in checks if check.outcome is outcome]
        lines += [f"step failed: {step.title}" for step in self.steps if step.state is StepState.FAILED]
        if self.gate is not None and self.gate.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            lines.append(f"gate {self.gate.verdict.value}: {self.gate.reason}")
        if self.custody_verified is False:
            lines.append("the custody chain does not verify")
        return tuple(dict.fromkeys(lines))
