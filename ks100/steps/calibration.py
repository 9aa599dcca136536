"""Drawing and checking calibration sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ks100.errors import UsageError
from ks100.steps.captures import load_captures
from ks100.steps.evaluating import read_graph
from models.captures import CaptureSet
from models.curation import ActivationReport, Coverage, TensorReport, compare_activations, coverage, draw_calibration
from models.progress import Progress, counted
from models.records import plain, write_plain

__all__ = ["CalibrationCheck", "build_calibration", "check_calibration"]

_NAMED = 4


@dataclass(frozen=True)
class CalibrationCheck:
    """Result of a check.

    Attributes:
        calibration: digest of the calibration set.
        evaluation: digest of the other set's captures that were compared.
        coverage: captures by category.
        activations: per tensor; None without a graph.
        failures: reasons why the set is unfit.
        warnings: warnings.
    """

    calibration: str
    evaluation: str
    coverage: Coverage
    activations: ActivationReport | None
    failures: tuple[str, ...]
    warnings: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write the result as JSON."""
        write_plain(path, plain(self))


def build_calibration(source: Path, count: int, seed: int, out: Path) -> CaptureSet:
    """Draw a calibration set from the captures at ``source`` and store it in ``out``.

    Raises:
        UsageError: ``out`` is the source.
        DataError: the source cannot be read, or is not sufficient.
    """
    if source.resolve() == out.resolve():
        raise UsageError(f"{out} is the source itself; give another folder")
    made = draw_calibration(load_captures(source)[0], count, seed, out.name)
    made.save(out)
    return made


def check_calibration(
    calibration: Path, evaluation: Path, graph: Path | None, frames: int, progress: Progress
) -> CalibrationCheck:
    """Compare a calibration set with an evaluation set.

    Args:
        calibration: the calibration set.
        evaluation: captures like those in the field.
        graph: a float .tflite whose activations are compared, or None.
        frames: maximum number of evaluation captures to run it on.
        progress: progress callback.

    Raises:
        UsageError: the graph cannot be read.
        DataError: a set cannot be read, or does not fit the graph.
    """
    ours, theirs = load_captures(calibration)[0], load_captures(evaluation, "check a calibration set")[0]
    covered, activations = coverage(ours, theirs), None
    if graph is not None:
        if len(theirs) > frames:
            theirs = theirs.subset([i * len(theirs) // frames for i in range(frames)])
        activations = compare_activations(read_graph(graph), ours, theirs, counted(progress, "{done}/{total} captures"))
    return CalibrationCheck(
        ours.digest, theirs.digest, covered, activations, _failures(covered), _warnings(covered, activations)
    )  # fmt: skip


def _failures(covered: Coverage) -> tuple[str, ...]:
    missing = [f"no capture of {item.axis} {item.category}, of which the evaluation set has {item.evaluation}"
               for item in covered.missing]  # fmt: skip
    if covered.shared_scenes:
        missing.append(f"{len(covered.shared_scenes)} scenes are in both sets ({_named(covered.shared_scenes)})")
    return tuple(missing)


def _warnings(covered: Coverage, activations: ActivationReport | None) -> tuple[str, ...]:
    lines = [f"only {item.calibration} captures of {item.axis} {item.category}" for item in covered.thin]
    if activations is None:
        return tuple(lines)
    for tensors, text in (
        (activations.drifted, "drift from the evaluation set by more than chance"),
        (activations.clipping, "would clip over 0.1 % of the evaluation's values"),
        (activations.unstable, "have a range over a fifth smaller in half of the set: calibrate on more captures"),
    ):
        if tensors:
            lines.append(f"{len(tensors)} of {len(activations.tensors)} activations {text}: {_tensors(tensors)}")
    for tensor in activations.set_by_one[:_NAMED]:
        assert tensor.dominant is not None
        lines.append(
            f"{tensor.dominant.axis} {tensor.dominant.category} alone sets {100 * tensor.dominant.fraction:.0f} % of "
            f"the range of {tensor.name} ({tensor.low:.3g} to {tensor.high:.3g})"
        )
    if len(activations.set_by_one) > _NAMED:
        lines.append(f"one condition or capture alone sets the range of {len(activations.set_by_one) - _NAMED} more")
    return tuple(lines)


def _tensors(tensors: Sequence[TensorReport]) -> str:
    return _named([tensor.name for tensor in tensors])


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
