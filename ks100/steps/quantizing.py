"""Producing quantized graphs, and checking that every operation has its type of the plan."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_bridge.device.graph import Graph
from firmware_bridge.files import write_atomically
from ks100.errors import UsageError
from ks100.steps.captures import load_captures
from ks100.steps.evaluating import read_graph
from ks100.steps.training import FLOAT_GRAPH
from models.card import CARD_SUFFIX, ModelCard
from models.card.decodings import Grid
from models.progress import Progress, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.captures import CaptureSet
    from models.quant.feeds import Sample
    from models.quant.fidelity import OutputFidelity
    from models.quant.lint import FloatOp
    from models.quant.plan import PrecisionPlan
    from models.quant.ptq import QuantizedGraph

__all__ = ["GraphSummary", "load_plan", "post_training", "trained"]

_SAMPLES = 128
"""How many captures calibrate a graph with a card: what fits memory as floats."""


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
        rewritten: operations without an integer form, and their replacements.
    """

    op_counts: dict[str, int]
    boundaries: tuple[str, ...]
    outputs: tuple[OutputFidelity, ...]
    ranges: str
    held_out: tuple[OutputFidelity, ...] = ()
    left_float: tuple[FloatOp, ...] = ()
    macs: int = 0
    notes: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ()

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
            *(f"rewritten: {text}" for text in self.rewritten),
            *(f"left float: {op.layer} ({op.op}, {op.macs} MACs), {op.why}" for op in self.left_float),
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
    reconstruct: bool = False,
) -> GraphSummary:
    """Quantize the float graph ``source`` after training (PTQ) and write the graph ``out``.

    With ``reconstruct`` its weights and ranges are then moved towards the float graph's blocks, on the same samples.

    Raises:
        QuantizationError: an operation cannot be quantized, an output collapses, or the lint finds another type.
    """
    from models.quant.calibrate import CalibrationMethod
    from models.quant.fidelity import refuse_collapse
    from models.quant.ptq import quantize_ptq

    chosen = load_plan(plan)
    data, samples = read_graph(source), _samples(calibration, source)
    part = 0.4 if reconstruct else 1.0
    made = quantize_ptq(
        data,
        chosen,
        samples,
        method=None if method == "auto" else CalibrationMethod(method),
        target_runtime=runtime,
        allow_float=allow_float,
        allow_collapse=allow_collapse or reconstruct,
        progress=counted(progress, "calibrating {done}/{total}", part=part),
    )
    if reconstruct:
        made = _reconstructed(data, made, samples, out, progress, runtime=runtime, allow_float=allow_float)
        if not allow_collapse:
            refuse_collapse(made.outputs)
    found = GraphSummary({}, (), made.outputs, made.ranges_text, made.held_out, notes=made.notes)
    summary = _finish(data, made.model, chosen, out, found, allow_float=allow_float)
    _carry_card(source, out)
    return summary


def _carry_card(source: Path, out: Path) -> None:
    """Write the model card beside ``source``, if there is one, beside the graph ``out`` too."""
    if (card := ModelCard.beside(source)) is not None:
        card.save(out.with_name(out.stem + CARD_SUFFIX))


def _reconstructed(
    source: bytes,
    made: QuantizedGraph,
    samples: CaptureSet | Sequence[Sample],
    out: Path,
    progress: Progress,
    *,
    runtime: str,
    allow_float: bool,
) -> QuantizedGraph:
    """Return the graph after reconstruction, compared anew on the samples that it was and was not made with."""
    from models.finetuning.reconstruct import reconstruct
    from models.quant.feeds import samples_of
    from models.quant.fidelity import fidelity
    from models.quant.fitting import fit_for_quantizing
    from models.quant.produce import produce
    from models.quant.ptq import split_samples
    from models.training.events import TrainingEvent

    def tell(event: TrainingEvent) -> None:
        progress(0.4 + 0.6 * event.share, event.text)

    graph = Graph.parse(fit_for_quantizing(source))
    calibration, held_out = split_samples(samples, graph)
    found = reconstruct(
        source, made.source, made.ranges, made.plan, list(samples_of(calibration, graph)),
        out.with_suffix(".reconstruct.npz"), runtime=runtime, allow_float=allow_float, progress=tell,
    )  # fmt: skip
    if not found.epochs:
        return replace(made, notes=(*made.notes, "reconstruction found nothing nearer to the float graph"))
    model = produce(found.float_tflite, made.plan, found.ranges, runtime, allow_float=allow_float)
    unseen = fidelity(source, model, held_out) if held_out else ()
    before, after = (min((o.sqnr_db for o in outputs), default=0.0) for outputs in (made.held_out, unseen))
    note = f"reconstructed: held-out worst output {before:.1f} dB before, {after:.1f} dB after"
    return replace(
        made, model=model, ranges=found.ranges, source=found.float_tflite, held_out=unseen,
        outputs=fidelity(source, model, calibration), notes=(note, *made.notes),
    )  # fmt: skip


def _samples(calibration: Path, source: Path) -> CaptureSet | Sequence[Sample]:
    """Return samples, or captures; those of a graph with a card beside it as its card says."""
    from models.quant.card_samples import card_samples
    from models.quant.sample_files import holds_samples, read_samples

    if holds_samples(calibration):
        return read_samples(calibration)
    captures, card = load_captures(calibration)[0], ModelCard.beside(source)
    if card is None or isinstance(card.decoding, Grid):
        return captures
    return card_samples(card, Graph.parse(read_graph(source)), captures, _SAMPLES)


def trained(
    folder: Path,
    out: Path,
    *,
    plan: str | Path | None = None,
    calibration: Path | None = None,
    runtime: str = "litert",
    held_out: Path | None = None,
) -> GraphSummary:
    """Write the graph ``out`` of a fine-tuned network, with its trained ranges.

    Args:
        folder: what `ks100.steps.finetuning.finetune` wrote.
        out: the graph to write.
        plan: another plan than that of the fine-tuning.
        calibration: captures or samples for the comparison with the float graph; none is made without them.
        runtime: of the board.
        held_out: likewise, of data that set no range: what other data will show.

    Raises:
        UsageError: the folder holds no fine-tuned network.
        QuantizationError: as for `post_training`.
    """
    from models.quant.fidelity import fidelity, refuse_collapse
    from models.quant.produce import produce
    from models.quant.ranges import Ranges

    if not (folder / "ranges.json").is_file():
        raise UsageError(f"{folder} holds no fine-tuned network; make one with `ks100 finetune {folder / FLOAT_GRAPH}`")
    chosen = load_plan(folder / "plan.json" if plan is None else plan)
    source = read_graph(folder / FLOAT_GRAPH)
    model = produce(source, chosen, Ranges.load(folder / "ranges.json"), runtime)
    outputs = () if calibration is None else fidelity(source, model, _samples(calibration, folder / FLOAT_GRAPH))
    refuse_collapse(outputs)
    unseen = () if held_out is None else fidelity(source, model, _samples(held_out, folder / FLOAT_GRAPH))
    summary = _finish(source, model, chosen, out, GraphSummary({}, (), outputs, "as fine-tuned", unseen))
    _carry_card(folder / FLOAT_GRAPH, out)
    return summary


def _finish(
    source: bytes, model: bytes, plan: PrecisionPlan, out: Path, found: GraphSummary, *, allow_float: bool = False
) -> GraphSummary:
    """Check types and values again, write the graph and its summary, and return the summary."""
    from models.errors import QuantizationError
    from models.quant.editing import read_model
    from models.quant.fitting import fit_for_quantizing, rewritten
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
        rewritten=tuple(one.text for one in rewritten(source)),
    )
    write_atomically(out, model)
    out.with_suffix(".lint.json").write_text(json.dumps(asdict(summary), indent=1) + "\n")
    return summary
