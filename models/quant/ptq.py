"""Post-training quantization in one call: calibrate, produce, compare with the float graph, refuse a collapse.

Which way of choosing ranges is best depends on the network: a clip that is best for a tensor's own error need not be
for the outputs. So each is tried, and the graph is kept whose outputs are nearest to the float ones where they are
farthest: in their worst condition. Biases are corrected, channels equalized and scales migrated, if that brings them
nearer still: corrected with the two best ways, the others with the best one.

Some samples are held out: they set no range, correct no bias and choose nothing, so what they show is what other data
will show. Candidates run in a process of their own; one that cannot be made or run is left out with a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import Kernels, LiteRt
from firmware_bridge.errors import InputError
from models.captures import CaptureSet
from models.errors import DataError, QuantizationError
from models.progress import Count
from models.quant import fidelity
from models.quant.calibrate import CalibrationMethod, calibrate_each
from models.quant.correction import correct_biases
from models.quant.equalization import equalize
from models.quant.feeds import Sample, evenly, samples_of
from models.quant.fidelity import OutputFidelity, Outputs
from models.quant.fitting import fit_for_quantizing
from models.quant.lint import lint
from models.quant.migration import migrate
from models.quant.plan import Precision, PrecisionPlan
from models.quant.produce import precisions, written
from models.quant.ranges import Ranges
from models.quant.trials import Trials

__all__ = ["QuantizedGraph", "quantize_ptq", "split_samples"]

_HOLD_OUT_EACH = 5
"""One sample in five is held out, in each condition."""
_JUDGED = 64
"""Most samples that candidates are compared on, and most that are held out."""
_REFERENCE_SAMPLES = 4
_FURTHER = 6
"""Most candidates beside one for each way of choosing ranges."""
# Kernels of one runtime differ by some steps; more than this is another result.
_KERNELS_AGREE_DB = 3.0


@dataclass(frozen=True)
class QuantizedGraph:
    """A produced graph and what is known of it.

    Attributes:
        model: the .tflite.
        plan: what it was asked for.
        ranges: what its activations were quantized with.
        outputs: how faithful each output is to the float graph, on calibration data.
        held_out: the same on samples that had no part in making it; empty where there were fewer than five.
        source: the float graph that it was written from: the one given, made fit, or an equal or corrected one.
        applied: what was done to weights and biases before, e.g. ``biases corrected``.
        notes: what a user should know: candidates left out, outputs that are doubtful.
    """

    model: bytes
    plan: PrecisionPlan
    ranges: Ranges
    outputs: tuple[OutputFidelity, ...]
    held_out: tuple[OutputFidelity, ...] = ()
    source: bytes = b""
    applied: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ranges_text(self) -> str:
        """How its ranges were found, and what was done to the weights before."""
        return ", ".join([self.ranges.source, *self.applied])


def quantize_ptq(
    float_tflite: bytes,
    plan: PrecisionPlan,
    captures: CaptureSet | Sequence[Sample],
    *,
    method: CalibrationMethod | None = None,
    target_runtime: str = "litert",
    allow_float: bool = False,
    allow_collapse: bool = False,
    progress: Count | None = None,
) -> QuantizedGraph:
    """Quantize a float graph without training.

    Args:
        float_tflite: the float graph.
        plan: which layer computes in what.
        captures: calibration data, over all conditions; one in five is held out.
        method: how INT8 ranges are chosen; None tries each and keeps the best on the calibration data.
        target_runtime: the runtime of the board.
        allow_float: leave operations float that cannot have the planned type.
        allow_collapse: return a graph even if an output no longer resembles the float one.
        progress: called with the steps done and the steps in all.

    Raises:
        DataError: graph or data are wrong.
        RecipeError: the plan names no layer.
        QuantizationError: the graph cannot be produced as planned, or collapsed.
    """
    try:
        Graph.parse(float_tflite)
        fitted = fit_for_quantizing(float_tflite)
        graph = Graph.parse(fitted)
    except InputError as error:
        raise DataError(f"the float graph cannot be read: {error}") from error
    wanted = precisions(graph, plan, target_runtime, allow_float=allow_float)
    methods = _methods(method, wanted.values())
    calibration, held_out = split_samples(captures, graph)
    with Trials() as trials:
        search = _Search(fitted, graph, wanted, target_runtime, calibration, trials, progress)
        if any(precision.integer for precision in wanted.values()):
            search.run(methods)
        else:
            search.add("float", fitted, Ranges({}, "no ranges: every layer is float"))
        best = search.best()
        outputs = fidelity.compared(search.expected, best.outputs)
        unseen = search.compared(best.model, held_out) if held_out else ()
        notes = [*search.notes, *search.doubts(best, outputs, unseen)]
    report = lint(Graph.parse(best.model), plan, source=graph, allow_float=allow_float)
    if report.problems:
        raise QuantizationError(f"the graph came out otherwise than planned: {report.problems[0]}")
    if not allow_collapse:
        fidelity.refuse_collapse(outputs)
    return QuantizedGraph(best.model, plan, best.ranges, outputs, unseen, best.source, best.applied, tuple(notes))


def _methods(method: CalibrationMethod | None, wanted: Iterable[Precision]) -> tuple[CalibrationMethod, ...]:
    """Return the ways of choosing ranges to try: one, where no layer is INT8 (INT16 spans all that was seen)."""
    if method is not None:
        return (method,)
    return tuple(CalibrationMethod) if Precision.INT8 in set(wanted) else (CalibrationMethod.MINMAX,)


def split_samples(
    captures: CaptureSet | Sequence[Sample], graph: Graph
) -> tuple[CaptureSet | Sequence[Sample], Sequence[Sample]]:
    """Return what to calibrate on, and what is held out: every fifth sample of each condition."""
    samples = samples_of(captures, graph)
    counts: dict[tuple[str, ...], int] = {}
    kept: list[int] = []
    held: list[int] = []
    for index in range(len(samples)):
        groups = _groups(captures, samples, index)
        counts[groups] = counts.get(groups, 0) + 1
        (kept if counts[groups] % _HOLD_OUT_EACH else held).append(index)
    unseen = [samples[index] for index in held[:: max(1, len(held) // _JUDGED)][:_JUDGED]]
    if isinstance(captures, CaptureSet):
        return captures.subset(kept), unseen
    return [samples[index] for index in kept], unseen


def _groups(captures: CaptureSet | Sequence[Sample], samples: Sequence[Sample], index: int) -> tuple[str, ...]:
    """Return the conditions of a sample, without reading its frames."""
    if isinstance(captures, CaptureSet):
        return tuple(f"{axis}={category}" for axis, category in captures.captures[index].conditions.items)
    return samples[index].groups


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A graph, its outputs on the calibration samples, and how far they are from the float ones at worst."""

    name: str
    model: bytes
    source: bytes
    ranges: Ranges
    outputs: Outputs
    error: float
    applied: tuple[str, ...]


@dataclass
class _Search:
    """Makes candidates one by one and remembers what came of each."""

    fitted: bytes
    graph: Graph
    wanted: Mapping[int, Precision]
    target_runtime: str
    calibration: CaptureSet | Sequence[Sample]
    trials: Trials
    progress: Count | None
    candidates: list[_Candidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    first_error: QuantizationError | DataError | None = None

    steps: int = 0

    def __post_init__(self) -> None:
        plain = LiteRt().load(self.fitted)
        self.judged = list(evenly(samples_of(self.calibration, plain.graph), _JUDGED))
        self.plain = plain
        self.expected = [plain.run(sample.feed) for sample in self.judged]

    def run(self, methods: Sequence[CalibrationMethod]) -> None:
        """Try each way of choosing ranges, then what else may help the best of them."""
        found = calibrate_each(self.fitted, self.calibration, methods, self._calibrated)
        self.total = self.steps + len(found) + _FURTHER
        for way, ranges in found.items():
            self.add(way.value, self.fitted, ranges)
        for candidate in sorted(self.candidates, key=lambda one: one.error)[:2]:
            self._corrected(candidate.name, self.fitted, candidate.ranges)
        if self.candidates:
            way = CalibrationMethod(min(self.candidates, key=lambda one: one.error).name.split(",")[0])
            self._evened(way, "channels equalized", equalize(self.fitted))
            self._evened(way, "scales migrated", migrate(self.fitted, self.calibration))
        while self.steps < self.total:
            self._step(self.total)

    def _calibrated(self, _: int, total: int) -> None:
        self._step(total + len(CalibrationMethod) + _FURTHER)

    def _step(self, total: int) -> None:
        self.steps += 1
        if self.progress is not None:
            self.progress(self.steps, total)

    def _evened(self, way: CalibrationMethod, how: str, source: bytes) -> None:
        """Try an equal graph of other weights, if there is one: its activations are measured anew."""
        if source == self.fitted:
            return
        try:
            ranges = calibrate_each(source, self.calibration, (way,))[way]
        except DataError as error:
            self.notes.append(f"left out: {how}, because {error}")
            return
        self.add(f"{way.value}, {how}", source, ranges, (how,))
        self._corrected(f"{way.value}, {how}", source, ranges, (how,))

    def _corrected(self, name: str, source: bytes, ranges: Ranges, applied: tuple[str, ...] = ()) -> None:
        corrected = correct_biases(source, self.wanted, ranges, self.calibration, limit=32)
        if corrected != source:
            self.add(f"{name}, biases corrected", corrected, ranges, (*applied, "biases corrected"))

    def add(self, name: str, source: bytes, ranges: Ranges, applied: tuple[str, ...] = ()) -> None:
        """Make a candidate and judge it; one that cannot be made or run is noted."""
        try:
            model = written(source, self.graph, self.wanted, ranges, self.target_runtime)
            if any(model == other.model for other in self.candidates):  # ways of choosing ranges may agree
                return
            self.trials.outputs(model, self.judged[:1], Kernels.REFERENCE)
            outputs = self.trials.outputs(model, self.judged)
        except (QuantizationError, DataError) as error:
            self.first_error = self.first_error or error
            self.notes.append(f"left out: {name}, because {error}")
            return
        finally:
            if self.steps:
                self._step(self.total)
        error_ = fidelity.worst_condition(self.judged, self.expected, outputs)
        self.candidates.append(_Candidate(name, model, source, ranges, outputs, error_, applied))

    def best(self) -> _Candidate:
        """Return the candidate that is nearest to the float graph.

        Raises:
            QuantizationError: none could be made.
            DataError: the same, because of the data.
        """
        finite = [one for one in self.candidates if one.error == one.error]
        if not finite:
            raise self.first_error or QuantizationError("no candidate gives finite outputs; calibrate on other data")
        return min(finite, key=lambda one: one.error)

    def compared(
        self, model: bytes, samples: Sequence[Sample], kernels: Kernels = Kernels.OPTIMISED
    ) -> tuple[OutputFidelity, ...]:
        """Compare a graph with the float one on ``samples``."""
        expected = [self.plain.run(sample.feed) for sample in samples]
        return fidelity.compared(expected, self.trials.outputs(model, samples, kernels))

    def doubts(
        self, best: _Candidate, outputs: Sequence[OutputFidelity], unseen: Sequence[OutputFidelity]
    ) -> Iterator[str]:
        """Yield what speaks against the chosen graph."""
        if not unseen:
            yield "no sample was held out: give five or more in a condition to see figures on data of no part in this"
        for where, found in (("calibration", outputs), ("held-out", unseen)):
            for output in found:
                if not output.sqnr_db >= fidelity.DOUBTFUL_DB:
                    yield (
                        f"warning: output {output.name!r} has only {output.sqnr_db:.1f} dB on {where} samples;"
                        " give its layers INT16, or calibrate on more data"
                    )
        few = slice(_REFERENCE_SAMPLES)
        optimised = fidelity.compared(self.expected[few], best.outputs[few])
        reference = self.compared(best.model, self.judged[few], Kernels.REFERENCE)
        for fast, slow in zip(optimised, reference, strict=True):
            if not slow.sqnr_db > min(fast.sqnr_db, 40.0) - _KERNELS_AGREE_DB:
                yield (
                    f"warning: output {fast.name!r} has {slow.sqnr_db:.1f} dB in the reference kernels and"
                    f" {fast.sqnr_db:.1f} dB in the optimised ones; judge it on the board"
                )
