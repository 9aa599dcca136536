"""``ks100 plan``: the precision plan with minimum loss within latency and power."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.progress import progress_bar
from ks100.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.planning.choose import PlannedChoice
    from models.planning.loss_table import PairTerm
    from models.planning.milp import Budget, PrecisionMilp
    from models.planning.trial import Trial
    from models.sensitivity.map import SensitivityMap
    from models.sensitivity.study import Study

__all__ = ["command"]


@click.command(name="plan")
@click.argument("network", type=click.Path(path_type=Path, exists=True))
@click.option("--map", "map_file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True,
              help="Of `ks100 sensitivity`.")  # fmt: skip
@click.option("--captures", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="The map's pools: measures pairs, and the best plans as real graphs.")  # fmt: skip
@click.option("--calibration", type=click.Path(path_type=Path, exists=True), help="As given to `ks100 sensitivity`.")
@click.option("--ranges", type=click.Path(path_type=Path, exists=True), help="As given to `ks100 sensitivity`.")
@click.option("--limit", type=click.IntRange(4), help="As given to `ks100 sensitivity`.")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="Frames per pass.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/sensitivity"),
              show_default=True, help="Folder for measurements, to be reused.")  # fmt: skip
@click.option("--profile", "board", default="ks100", show_default=True, metavar="NAME|FILE.toml",
              help="The board's profile.")  # fmt: skip
@click.option("--runtime", type=click.Choice(["litert", "tflite-runtime"]), help="Default: the board's.")
@click.option(
    "--watts", type=click.FloatRange(min=0, min_open=True), help="Power limit; by default the board's budget."
)
@click.option("--ms", type=click.FloatRange(min=0, min_open=True), help="Latency limit; by default the frame period.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Frames per second; by default the board's.")
@click.option("--allow-float", is_flag=True, help="Also consider FP32 where integer types are legal.")
@click.option(
    "--tries", type=click.IntRange(1, 20), default=3, show_default=True, help="Number of plans to export and measure."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("plan.json"), show_default=True,
              help="The plan to write.")  # fmt: skip
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the Pareto front as an HTML page.")
def command(
    network: Path,
    map_file: Path,
    captures: Path | None,
    calibration: Path | None,
    ranges: Path | None,
    limit: int | None,
    batch: int,
    work: Path,
    board: str,
    runtime: str | None,
    watts: float | None,
    ms: float | None,
    rate: float | None,
    allow_float: bool,
    tries: int,
    out: Path,
    html: Path | None,
) -> None:
    """Choose a precision for each group of layers of NETWORK: minimum loss in the worst condition within the limits.

    The plan is a small JSON file for `ks100 quantize --plan`; `ks100 cost NETWORK --plan FILE` checks a plan written by
    hand.
    """
    from firmware_bridge.device.profile import BoardProfile
    from ks100.step_code import code_of
    from ks100.steps.costs import graph_of
    from ks100.steps.planning import draw_front, measured_pairs, program_of, tried
    from ks100.steps.sensitivity import StudyFiles, load_study
    from models.planning.choose import best, cheaper_greedy, front
    from models.planning.milp import Budget
    from models.sensitivity.cache import CachedExecutor
    from models.sensitivity.map import SensitivityMap
    from models.sensitivity.tasks import LocalExecutor

    profile, found = BoardProfile.load(board), SensitivityMap.load(map_file)
    runtime = runtime or profile.runtime
    rate = rate or profile.frame_rate_hz
    budget = Budget(ms or 1e3 / rate, watts or profile.budget_mw / 1e3, rate)
    with progress_bar("plan") as progress:
        study: Study | None = None
        pairs: tuple[PairTerm, ...] = ()
        if captures is not None:
            files = StudyFiles(network, captures, tuple(found.pools), calibration, ranges, limit)
            study = load_study(files, progress)
            kept = CachedExecutor(LocalExecutor(), work / code_of(measured_pairs).digest[:16])
            pairs = measured_pairs(study, found, kept, progress, batch)
        program = program_of(graph_of(network), found, profile, runtime, pairs, allow_float=allow_float)
        choices = best(program, budget, tries if study is not None else 1)
        points, greedy = front(program, budget), cheaper_greedy(program, budget)
        position, trials = (0, ()) if study is None else tried(study, choices, runtime, progress)
    chosen = choices[position]
    _print_front(program, points)
    _print_trials(choices, trials, position, list(found.pools)[-1])
    _print_choice(program, chosen, greedy, budget, found)
    chosen.plan.save(out)
    click.echo(f"plan: {out}")
    if html is not None:
        draw_front(program, points, chosen, greedy, budget, html)
        click.echo(f"front: {html}")


def _print_front(program: PrecisionMilp, points: Sequence[PlannedChoice]) -> None:
    from models.quant.plan import Precision

    print_table(
        (">W", ">ms", ">loss (x 1e-6)", ">upper bound", ">INT16 groups", ">float groups"),
        [
            (f"{p.watts:.3f}", f"{p.latency_ms:.2f}", f"{1e6 * p.loss:.0f}", f"{1e6 * p.upper:.0f}",
             str(len(p.groups(program, Precision.INT16))), str(len(p.groups(program, Precision.FP32))))
            for p in points
        ],
        title="Pareto front: divergence in the worst condition against power, MODELLED",
    )  # fmt: skip


def _print_trials(choices: Sequence[PlannedChoice], trials: Sequence[Trial], position: int, pool: str) -> None:
    if not trials:
        return
    from models.evaluation.compare import compare

    print_table(
        ("plan", ">predicted", ">measured, worst condition", ">AP50", ""),
        [
            (choice.plan.name if choice else "all INT8", f"{1e6 * choice.loss:.0f}" if choice else "",
             f"{1e6 * trial.worst:.0f}", "—" if trial.evaluation is None else f"{100 * trial.evaluation.ap50:.2f}",
             "chosen" if number == position else "")
            for number, (choice, trial) in enumerate(zip((*choices, None), trials, strict=True))
        ],
        title=f"the best {len(choices)} plans as real graphs on {pool}, and all INT8",
    )  # fmt: skip
    parent, candidate = trials[-1].evaluation, trials[position].evaluation
    if parent is None or candidate is None:
        return
    gain = compare(parent, candidate)[0]
    note = "" if gain.upper_points < 0 else ", within chance"
    click.echo(
        f"AP50 against all INT8 on {pool}: {-gain.drop_points:+.2f} points"
        f" ({-gain.upper_points:+.2f} … {-gain.lower_points:+.2f}){note}"
    )


def _print_choice(
    program: PrecisionMilp, chosen: PlannedChoice, greedy: PlannedChoice, budget: Budget, found: SensitivityMap
) -> None:
    from models.planning.choose import earned

    reasons = earned(program, chosen, budget)
    print_table(
        ("group", "type", ">own loss in INT8", ">bound without it", ">costs mW", ">costs µs"),
        [
            (e.group, e.precision.value, f"+{1e6 * e.own_loss:.0f}", f"{1e6 * e.loss:+.0f}", f"{e.milliwatts:+.2f}",
             f"{e.microseconds:+.2f}")
            for e in reasons
        ],
        title=f"the {len(reasons)} of {len(found.groups)} groups that are not INT8 (x 1e-6; boundaries included)",
    )  # fmt: skip
    click.echo(
        f"{chosen.watts:.2f} W of {budget.watts:g} and {chosen.latency_ms:.2f} ms of {budget.latency_ms:.2f} at"
        f" {budget.rate_hz:g} frames/s, MODELLED; bound {1e6 * chosen.upper:.0f}e-6"
        f" (greedy order: {1e6 * greedy.upper:.0f}e-6 at {greedy.watts:.2f} W)"
    )
