"""``ks100 quantize``: produce one mixed-precision graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.custody_options import custody_options
from ks100.cli.progress import progress_bar
from ks100.errors import UsageError

if TYPE_CHECKING:
    from ks100.custody.recorder import ProvenanceRecorder

__all__ = ["command"]

_DEFAULT_PLAN = "int8"
_ADVICE = (
    "plan: all INT8 by default; `ks100 sensitivity` measures which layers lose most, `ks100 plan` makes a plan from"
    " that, and --plan int16 shows the gain of 16-bit activations"
)


@click.command(name="quantize")
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--plan", help="A plan file, or int8, int16, mixed, fp16, fp32; int8 by default.")
@click.option("--calibration", type=click.Path(path_type=Path, exists=True),
              help="What PTQ measures ranges on: captures, or .npz files with an array for each input.")  # fmt: skip
@click.option("--held-out", type=click.Path(path_type=Path, exists=True),
              help="Captures or .npz files of no part in fine-tuning MODEL, for figures on other data.")  # fmt: skip
@click.option("--method", type=click.Choice(["auto", "minmax", "percentile", "mse", "worst-condition"]),
              default="auto", show_default=True, help="How PTQ chooses ranges; auto tries each.")  # fmt: skip
@click.option("--reconstruct", is_flag=True,
              help="After PTQ, train weights and ranges towards the float graph's blocks.")  # fmt: skip
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
    calibration: Path | None,
    held_out: Path | None,
    method: str,
    reconstruct: bool,
    runtime: str,
    allow_float: bool,
    allow_collapse: bool,
    out: Path,
    recorder: ProvenanceRecorder | None,
) -> None:
    """Quantize MODEL to one graph, with each layer in the type of the plan.

    MODEL is any float .tflite (PTQ, needs --calibration), or what `ks100 finetune` left (QAT: weights, ranges and plan
    are its own, and --calibration compares the outputs). Every operation's type is checked against the plan.
    """
    from ks100.steps.evaluating import read_graph
    from ks100.steps.quantizing import load_plan, post_training, trained

    tuned = model.is_dir()
    advised, plan = plan is None and not tuned, plan or (str(model / "plan.json") if tuned else _DEFAULT_PLAN)
    if held_out is not None and not tuned:
        raise UsageError("PTQ holds out one calibration sample in five itself; --held-out is for a fine-tuned MODEL")
    if tuned and reconstruct:
        raise UsageError(f"{model} is fine-tuned, which goes further than --reconstruct; leave it out")
    if tuned:
        summary = trained(model, out, plan=plan, calibration=calibration, runtime=runtime, held_out=held_out)
    else:
        load_plan(plan)  # before the captures, which take longer to read
        read_graph(model)
        if calibration is None:
            raise UsageError(f"quantizing {model} needs captures to measure ranges on: give --calibration")
        with progress_bar("quantize") as progress:
            summary = post_training(
                model, plan, calibration, out, progress, runtime=runtime, method=method,
                allow_float=allow_float, allow_collapse=allow_collapse, reconstruct=reconstruct,
            )  # fmt: skip
    click.echo(f"{out}: {out.stat().st_size} bytes, plan {plan}, {summary.as_planned}")
    for line in summary.lines():
        click.echo(f"  {line}")
    if advised:
        click.echo(f"  {_ADVICE}")
    if recorder is not None:
        from ks100.steps.provenance import data_of, record_quantizing
        from ks100.steps.quantizing import load_plan
        from ks100.steps.training import FLOAT_GRAPH

        parent, method = (model / FLOAT_GRAPH, "QAT") if tuned else (model, "PTQ")
        used = [] if calibration is None else [data_of(calibration)]
        record_quantizing(recorder, out, parent, load_plan(plan), used, method)
