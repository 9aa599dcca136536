"""``ks100 quantize``: produce one mixed-precision graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.custody_options import custody_options
from ks100.cli.progress import progress_bar
from ks100.errors import UsageError

if TYPE_CHECKING:
    from ks100.custody.recorder import ProvenanceRecorder
    from ks100.steps.quantizing import GraphSummary

__all__ = ["command"]

_DEFAULT_PLAN = "int8"
_ADVICE = (
    "plan: all INT8 by default; `ks100 sensitivity` measures which layers lose most, `ks100 plan` makes a plan from"
    " that, and --plan int16 shows the gain of 16-bit activations"
)


@click.command(name="quantize")
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--plan", help="A plan file, or int8, int16, mixed, fp16, fp32; int8 by default.")
@click.option("--captures", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of pools, to fine-tune a trained network (QAT).")  # fmt: skip
@click.option("--hard-cases", type=click.Path(path_type=Path, exists=True),
              help="Hard cases to fine-tune on as well, e.g. of `ks100 hard mine`.")  # fmt: skip
@click.option("--calibration", type=click.Path(path_type=Path, exists=True),
              help="What PTQ measures ranges on: captures, or .npz files with an array for each input.")  # fmt: skip
@click.option("--method", type=click.Choice(["auto", "minmax", "percentile", "mse", "worst-condition"]),
              default="auto", show_default=True, help="How PTQ chooses ranges; auto tries each.")  # fmt: skip
@click.option("--runtime", type=click.Choice(["litert", "tflite-runtime"]), default="litert", show_default=True)
@click.option("--allow-float", is_flag=True, help="Leave operations in float that cannot be quantized.")
@click.option(
    "--allow-collapse", is_flag=True, help="Accept a graph with an output that no longer resembles the float one."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The graph to write.")
@custody_options
def command(
    model: Path,
    plan: str | None,
    captures: Path | None,
    hard_cases: Path | None,
    calibration: Path | None,
    method: str,
    runtime: str,
    allow_float: bool,
    allow_collapse: bool,
    out: Path,
    recorder: ProvenanceRecorder | None,
) -> None:
    """Quantize MODEL to one graph, with each layer in the type of the plan.

    MODEL is any float .tflite (PTQ, needs --calibration), or the folder of a trained network (QAT, needs --captures
    with the pools train, validation and calibration). Every operation's type is checked against the plan.
    """
    from ks100.steps.evaluating import read_graph
    from ks100.steps.quantizing import load_plan, post_training

    advised, plan = plan is None, plan or _DEFAULT_PLAN
    load_plan(plan)  # before the captures, which take longer to read
    if not model.is_dir():
        read_graph(model)
    if model.is_dir():
        summary = _fine_tune(model, plan, captures, hard_cases, out, runtime)
    elif calibration is None:
        raise UsageError(f"quantizing {model} needs captures for its ranges: give --calibration")
    else:
        with progress_bar("quantize") as progress:
            made = post_training(
                model, plan, calibration, out, progress, runtime=runtime, method=method,
                allow_float=allow_float, allow_collapse=allow_collapse,
            )  # fmt: skip
        summary = made
    click.echo(f"{out}: {out.stat().st_size} bytes, plan {plan}, {summary.as_planned}")
    for line in summary.lines():
        click.echo(f"  {line}")
    if advised:
        click.echo(f"  {_ADVICE}")
    if recorder is not None:
        from ks100.steps.provenance import data_of, record_quantizing
        from ks100.steps.quantizing import load_plan
        from ks100.steps.training import FLOAT_GRAPH

        parent, method = (model / FLOAT_GRAPH, "QAT") if model.is_dir() else (model, "PTQ")
        pools = [] if captures is None else [captures / name for name in ("calibration", "train")]
        used = [data_of(path) for path in (*pools, calibration, hard_cases) if path is not None]
        record_quantizing(recorder, out, parent, load_plan(plan), used, method)


def _fine_tune(
    network: Path, plan: str, captures: Path | None, hard_cases: Path | None, out: Path, runtime: str
) -> GraphSummary:
    from ks100.steps.quantizing import load_plan, trained
    from ks100.steps.training import finetune

    if captures is None:
        raise UsageError(f"fine-tuning {network} needs the pools train, validation and calibration: give --captures")
    work = out.with_suffix(".qat")
    work.mkdir(parents=True, exist_ok=True)
    load_plan(plan).save(work / "plan.json")
    with progress_bar("QAT") as progress:
        result = finetune(network, captures, work / "plan.json", work, progress, hard=hard_cases)
    made = trained(
        work, work / "plan.json", captures / "calibration", out, runtime=runtime, held_out=captures / "validation"
    )
    remark = "held-out figures: on the pool validation, which set no range and chose the epoch"
    return replace(made, notes=(result, remark, *made.notes))
