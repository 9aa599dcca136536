"""Producing quantized graphs, and checking that every operation has its type of the plan."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_bridge.files import write_atomically
from ks100.steps.captures import load_captures
from ks100.steps.evaluating import read_graph
from ks100.steps.training import FLOAT_GRAPH
from models.progress import Progress, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.captures import CaptureSet
    from models.quant.feeds import Sample
    from models.quant.fidelity import OutputFidelity
    from models.quant.lint import FloatOp
    from models.quant.plan import PrecisionPlan

__all__ = ["GraphSummary", "load_plan", "post_training", "trained"]


@dataclass(frozen=True, slots=True)
class GraphSummary:
    """Summary of a produced graph.

    Attributes:
        op_counts: operations by type.
        boundaries: conversions between types.
        outputs: fidelity of each output to the float graph, on calibration data.
        ranges: how the activation ranges were determined.
        held_out: fidelity of each output on held-out samples.
        left_float: operations left in float although the plan has integers.
        macs: multiply-accumulates of the graph.
        notes: remarks for users.
    """

    op_counts: dict[str, int]
    boundaries: tuple[str, ...]
    outputs: tuple[OutputFidelity, ...]
    ranges: str
    held_out: tuple[OutputFidelity, ...] = ()
    left_float: tuple[FloatOp, ...] = ()
    macs: int = 0
    notes: tuple[str, ...] = ()

    @property
    def as_planned(self) -> str:
        """States whether every operation has its type of the plan."""
        if not self.left_float:
            return "every operation as planned"
        macs = sum(op.macs for op in self.left_float)
        share = f", {macs} of {self.macs} MACs ({100 * macs / self.macs:.1f} %)" if self.macs else ""
        return f"{len(self.left_float)} operations left float{share}"

    def lines(self) -> tuple[str, ...]:
        """Return the summary as lines of text."""
        counts = ", ".join(f"{name} {count}" for name, count in self.op_counts.items())
        wide = max((len(output.name) for output in self.outputs), default=0)
        unseen = {output.name: output for output in self.held_out}
        return (
            f"operations: {counts}",
            f"conversions at boundaries: {len(self.boundaries)}",
            f"ranges: {self.ranges}",
            *(
                f"{output.name:<{wide}}  SQNR {output.sqnr_db:5.1f} dB, cosine {output.cosine:.4f} against float"
                + _held_out_text(unseen.get(output.name))
                for output in self.outputs
            ),
            *(f"left float: {op.layer} ({op.op}, {op.macs} MACs)" for op in self.left_float),
            *self.notes,
        )


def _held_out_text(output: OutputFidelity | None) -> str:
    return "" if output is None else f"; held out {output.sqnr_db:.1f} dB, {output.cosine:.4f}"


def load_plan(plan: str | Path) -> PrecisionPlan:
    """Return a standard plan by name, or the plan in a file."""
    from models.quant.plan import STANDARD_PLANS, PrecisionPlan

    return PrecisionPlan.named(str(plan)) if str(plan) in STANDARD_PLANS else PrecisionPlan.load(Path(plan))


def post_training(
    source: Path,
    plan: str | Path,
    calibration: Path,
    out: Path,
    progress: Progress,
    *,
    runtime: str = "litert",
    method: str = "auto",
    allow_float: bool = False,
    allow_collapse: bool = False,
) -> GraphSummary:
    """Quantize the float graph ``source`` after training (PTQ) and write the graph ``out``.

    Raises:
        QuantizationError: an operation cannot be quantized, an output collapses, or the lint finds another type.
    """
    from models.quant.calibrate import CalibrationMethod
    from models.quant.ptq import quantize_ptq

    chosen = load_plan(plan)
    made = quantize_ptq(
        read_graph(source),
        chosen,
        _samples(calibration),
        method=None if method == "auto" else CalibrationMethod(method),
        target_runtime=runtime,
        allow_float=allow_float,
        allow_collapse=allow_collapse,
        progress=counted(progress, "calibrating {done}/{total}"),
    )
    found = GraphSummary({}, (), made.outputs, made.ranges_text, made.held_out, notes=made.notes)
    return _finish(read_graph(source), made.model, chosen, out, found, allow_float=allow_float)


def _samples(calibration: Path) -> CaptureSet | Sequence[Sample]:
    from models.quant.sample_files import holds_samples, read_samples

    return read_samples(calibration) if holds_samples(calibration) else load_captures(calibration)[0]


def trained(
    network: Path,
    plan: str | Path,
    calibration: Path,
    out: Path,
    *,
    runtime: str = "litert",
    held_out: Path | None = None,
) -> GraphSummary:
    """Write the graph ``out`` of the fine-tuned network in ``network``, with its trained ranges.

    Captures in ``held_out``, which set no range, show what other data will show.

    Raises:
        QuantizationError: as for `post_training`.
    """
    from models.quant.fidelity import fidelity, refuse_collapse
    from models.quant.produce import produce
    from models.training.qat import load_ranges

    captures, _ = load_captures(calibration)
    chosen = load_plan(plan)
    source = read_graph(network / FLOAT_GRAPH)
    model = produce(source, chosen, load_ranges(network, source), runtime)
    outputs = fidelity(source, model, captures)
    refuse_collapse(outputs)
    unseen = () if held_out is None else fidelity(source, model, load_captures(held_out)[0])
    return _finish(source, model, chosen, out, GraphSummary({}, (), outputs, "as fine-tuned", unseen))


def _finish(
    source: bytes, model: bytes, plan: PrecisionPlan, out: Path, found: GraphSummary, *, allow_float: bool = False
) -> GraphSummary:
    """Check types and values again, write the graph and its summary, and return the summary."""
    from firmware_bridge.device.graph import Graph
    from models.errors import QuantizationError
    from models.quant.editing import read_model
    from models.quant.fitting import fit_for_quantizing
    from models.quant.lint import lint
    from models.quant.values import value_problems

    fitted, graph = fit_for_quantizing(source), Graph.parse(model)
    report = lint(graph, plan, source=Graph.parse(fitted), allow_float=allow_float)
    problems = (*report.problems, *value_problems(read_model(model)))
    if problems:
        raise QuantizationError(f"the graph differs from the plan: {problems[0]} ({len(problems)})")
    summary = replace(
        found,
        op_counts=dict(report.op_counts),
        boundaries=tuple(f"{b.kind} {b.source} -> {', '.join(b.targets)}" for b in report.boundaries),
        left_float=report.left_float,
        macs=graph.macs,
    )
    write_atomically(out, model)
    out.with_suffix(".lint.json").write_text(json.dumps(asdict(summary), indent=1) + "\n")
    return summary
