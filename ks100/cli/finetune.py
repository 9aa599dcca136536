"""``ks100 finetune``: quantization-aware training of any float graph, through its integer simulation."""

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


@click.command(name="finetune")
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--plan", required=True, help="A plan's file, or int8, int16, mixed.")
@click.option("--captures", type=click.Path(path_type=Path, exists=True),
              help="Pools train, validation, calibration; labels count for networks of ours.")  # fmt: skip
@click.option("--samples", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of .npz files, an array for each input; one in five is held out.")  # fmt: skip
@click.option("--hard-cases", type=click.Path(path_type=Path, exists=True),
              help="Hard cases to learn from as well, e.g. of `ks100 hard mine`.")  # fmt: skip
@click.option("--card", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Model card, by which captures feed other graphs; the one beside MODEL by default.")  # fmt: skip
@click.option("--recipe", help="A recipe's name or TOML file: its seed, [qat] and [augmentation] count.")
@click.option("--twin/--no-twin", default=True, show_default=True,
              help="Also train the float graph as long on the same data: the gate's parent.")  # fmt: skip
@click.option("--runtime", type=click.Choice(["litert", "tflite-runtime"]), default="litert", show_default=True)
@click.option("--allow-float", is_flag=True, help="Leave float what cannot be quantized.")
@click.option("--fresh", is_flag=True, help="Start over instead of resuming from the folder's checkpoint.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the result.")
@custody_options
def command(
    model: Path,
    plan: str,
    captures: Path | None,
    samples: Path | None,
    hard_cases: Path | None,
    card: Path | None,
    recipe: str | None,
    twin: bool,
    runtime: str,
    allow_float: bool,
    fresh: bool,
    out: Path,
    recorder: ProvenanceRecorder | None,
) -> None:
    """Fine-tune MODEL with simulated quantization; an interrupted run resumes from its last checkpoint.

    MODEL is any float .tflite, or the folder of a trained network. Weights, biases and INT8 ranges are trained; the
    float graph teaches. OUT holds a float graph with ranges, of which `ks100 quantize OUT` writes the integer graph,
    and the float twin.
    """
    from ks100.steps.evaluating import read_graph
    from ks100.steps.finetuning import TuningFiles, finetune
    from ks100.steps.quantizing import load_plan

    if (captures is None) == (samples is None):
        raise UsageError("fine-tuning learns from captures or from samples: give either --captures or --samples")
    files = TuningFiles(model, plan, captures, samples, hard_cases, card, recipe)
    if not files.graph.is_file():
        raise UsageError(f"{model} holds no trained network; give a float .tflite, or train one with `ks100 train`")
    load_plan(plan)
    read_graph(files.graph)
    with progress_bar("finetune") as progress:
        summary = finetune(files, out, progress, twin=twin, runtime=runtime, allow_float=allow_float, resume=not fresh)
    click.echo(f"{out}: {summary}")
    click.echo(f"  ks100 quantize {out} --out GRAPH.tflite writes the integer graph")
    if recorder is not None:
        from ks100.steps.provenance import data_of, record_tuning

        pools = [captures / name for name in ("train", "validation", "calibration")] if captures is not None else []
        given = pools if all(pool.is_dir() for pool in pools) else [captures]
        used = [data_of(path) for path in (*given, samples, hard_cases) if path is not None]
        record_tuning(recorder, out, files.graph, used)
