"""``ks100 demo``: the complete pipeline on the emulated board."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from ks100.cli.demo_table import print_demo_table
from ks100.cli.gate import print_gate
from ks100.cli.progress import progress_bar
from ks100.errors import ExitCode, UsageError, verdict_code
from ks100.layout import CAPTURES
from ks100.pipeline import DemoOptions
from ks100.run_folder import Outcome, Run, Step
from ks100.walk import Walk
from models.reproducible import settle_threads

__all__ = ["command"]

_THREADS = 2  # TensorFlow's, fixed on all machines so that the same seed gives the same figures


@click.command(name="demo")
@click.option("--run", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/demo"),
              show_default=True, help="The run folder; what is still valid in it is reused.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the captures.")
@click.option("--recipe", default="fusion-small-demo", show_default=True, help="Training recipe.")
@click.option("--pairs", "frames", multiple=True, metavar="POOL=N",
              help="Frame pairs in a pool, e.g. --pairs train=400.")  # fmt: skip
@click.option(
    "--policy", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The gate's policy (TOML)."
)
@click.option(
    "--profile", "board", default="ks100", show_default=True, metavar="NAME|FILE.toml", help="The board's profile."
)
@click.option("--waive", default="", metavar="REASON", help="Continue without a passed gate; the reason is signed.")
def command(
    folder: Path, seed: int, recipe: str, frames: tuple[str, ...], policy: Path | None, board: str, waive: str
) -> int:
    """Captures, training, QAT, one mixed-precision graph, gate, signature, push, measurement, report.

    Everything runs on this host; the board is emulated: numerics are real, the NPU's time and power are modelled.
    """
    sizes = {**dict(DemoOptions().frames), **_frames(frames)}
    options = DemoOptions(
        seed=seed, recipe=recipe, board=board, frames=tuple(sorted(sizes.items())), policy=policy, waiver=waive
    )
    _check(options)
    settle_threads(_THREADS)
    begin_s = time.monotonic()
    with Run(folder.resolve()) as run:
        display = _Display(run)
        walk = Walk(run.folder, options, display)
        display.count = walk.count
        report = walk.go()
        if report is None:
            return _stopped_at_gate(run.folder)
    print_demo_table(report)
    click.echo(f"{folder}/report.html, report.json, junit.xml; {time.monotonic() - begin_s:.0f} s in all")
    return verdict_code(report.verdict)


def _check(options: DemoOptions) -> None:
    """Check the arguments before minutes of work."""
    from firmware_bridge.device.profile import BoardProfile
    from models.evaluation.gate import GatePolicy
    from models.training.recipe import Recipe

    Recipe.load(options.recipe)
    BoardProfile.load(options.board)
    if options.policy is not None:
        GatePolicy.load(options.policy)


def _stopped_at_gate(folder: Path) -> ExitCode:
    from models.evaluation.gate import GateResult

    result = GateResult.load(folder / "gate.json")
    print_gate(result)
    click.echo("the candidate is not released; train longer, change the plan, or give --waive REASON", err=True)
    return verdict_code(result.verdict)


class _Display:
    """Runs steps with a progress bar, and prints whether each ran or was reused."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._number = 0
        self.count = 0

    def __call__(self, step: Step, remark: Callable[[], str]) -> Outcome:
        self._number += 1
        place = f"[{self._number:2}/{self.count}] {step.title}"
        with progress_bar(place) as progress:
            outcome = self._run.execute(step, progress)
        again = f" (again: {outcome.why})" if outcome.why else ""
        took = "reused, still valid" if outcome.reused else f"{outcome.seconds:.1f} s{again}"
        click.echo("; ".join(part for part in (f"{place}: {took}", remark()) if part))
        return outcome


def _frames(pairs: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for pair in pairs:
        name, _, count = pair.partition("=")
        if name not in CAPTURES or not count.isdecimal() or int(count) < 1:
            raise UsageError(f"--frames {pair}: give POOL=N with a pool of {', '.join(CAPTURES)}")
        found[name] = int(count)
    return found
