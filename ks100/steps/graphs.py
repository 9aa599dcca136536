"""Producing quantized graphs, and proving that every operation has the type that the plan asks for."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ks100.run import Progress
from ks100.steps.captures import load_captures
from ks100.steps.judging import read_graph
from ks100.steps.networks import FLOAT_GRAPH, quiet_tensorflow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.quant.fidelity import OutputFidelity
    from models.quant.plan import PrecisionPlan

__all__ = ["GraphSummary", "load_plan", "post_training", "trained"]


@dataclass(frozen=True, slots=True)
class GraphSummary:
    """What is known of a produced graph.

    Attributes:
        op_counts: operations by type.
        boundaries: conversions between types.
        worst_cosine: of its outputs against the float graph; None if not compared.
        worst_sqnr_db: likewise.
    """

    op_counts: dict[str, int]
    boundaries: tuple[str, ...]
    worst_cosine: float | None
    worst_sqnr_db: float | None

    def lines(self) -> tuple[str, ...]:
        """Return what a person wants to know, one line each."""
        counts = ", ".join(f"{name} {count}" for name, count in self.op_counts.items())
        lines = [f"operations: {counts}", f"conversions at boundaries: {len(self.boundaries)}"]
        if self.worst_cosine is not None and self.worst_sqnr_db is not None:
            lines.append(
                f"worst output against float: cosine {self.worst_cosine:.4f}, SQNR {self.worst_sqnr_db:.1f} dB"
            )
        return tuple(lines)


def load_plan(plan: str | Path) -> PrecisionPlan:
    """Return a standard plan by its name, or the plan in a file."""
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
    quiet_tensorflow()
    from models.quant.calibrate import CalibrationMethod
    from models.quant.ptq import quantize_ptq

    captures, _ = load_captures(calibration)
    chosen = load_plan(plan)
    made = quantize_ptq(
        read_graph(source),
        chosen,
        captures,
        method=None if method == "auto" else CalibrationMethod(method),
        target_runtime=runtime,
        allow_float=allow_float,
        allow_collapse=allow_collapse,
        progress=lambda done, total: progress(done / total, f"calibrating {done}/{total}"),
    )
    return _finish(read_graph(source), made.model, chosen, out, made.outputs, allow_float=allow_float)


def trained(network: Path, plan: str | Path, calibration: Path, out: Path, *, runtime: str = "litert") -> GraphSummary:
    """Write the graph ``out`` of the fine-tuned network in ``network``: its ranges as they were trained.

    Raises:
        QuantizationError: as for `post_training`.
    """
    quiet_tensorflow()
    from models.quant.fidelity import fidelity, refuse_collapse
    from models.quant.produce import produce
    from models.training.qat import load_ranges

    captures, _ = load_captures(calibration)
    chosen = load_plan(plan)
    source = read_graph(network / FLOAT_GRAPH)
    model = produce(source, chosen, load_ranges(network, source), runtime)
    outputs = fidelity(source, model, captures)
    refuse_collapse(outputs)
    return _finish(source, model, chosen, out, outputs)


def _finish(
    source: bytes,
    model: bytes,
    plan: PrecisionPlan,
    out: Path,
    outputs: Sequence[OutputFidelity],
    *,
    allow_float: bool = False,
) -> GraphSummary:
    from firmware_bridge.target.graph import Graph
    from models.errors import QuantizationError
    from models.quant.lint import lint

    report = lint(Graph.parse(model), plan, source=Graph.parse(source), allow_float=allow_float)
    if not report.clean:
        raise QuantizationError(
            f"the graph is not what the plan asks for: {report.problems[0]} ({len(report.problems)})"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_suffix(".part")
    temporary.write_bytes(model)
    temporary.replace(out)
    summary = GraphSummary(
        dict(report.op_counts),
        tuple(f"{b.kind} {b.source} -> {', '.join(b.targets)}" for b in report.boundaries),
        min((item.cosine for item in outputs), default=None),
        min((item.sqnr_db for item in outputs), default=None),
    )
    out.with_suffix(".lint.json").write_text(json.dumps(asdict(summary), indent=1) + "\n")
    return summary
