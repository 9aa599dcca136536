"""``ks100 demo``: the whole way on the emulated board."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.demo_table import print_demo_table
from ks100.cli.gate import GATE_CODES, print_gate
from ks100.cli.progress import progress_bar
from ks100.errors import ExitCode, UsageError
from ks100.layout import BOARDS, CAPTURES
from ks100.pipeline import DemoOptions, build_steps
from ks100.run_folder import Outcome, Progress, Run, Step

if TYPE_CHECKING:
    from hil.report.model import Report
    from hil.virtual.emulated import EmulatedBoard

__all__ = ["command"]


@click.command(name="demo")
@click.option("--run", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/demo"),
              show_default=True, help="The run folder; what is still valid in it is reused.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Of the captures.")
@click.option("--recipe", default="fusion-small-demo", show_default=True, help="Of the training.")
@click.option("--frames", multiple=True, metavar="POOL=N", help="Frame pairs in a pool, e.g. --frames train=400.")
@click.option("--policy", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Of the gate (TOML).")
@click.option("--waive", default="", metavar="REASON", help="Go on without a passed gate; the reason is signed.")
def command(folder: Path, seed: int, recipe: str, frames: tuple[str, ...], policy: Path | None, waive: str) -> int:
    """Captures, training, QAT, one mixed-precision graph, gate, signature, push, measurement, report.

    Everything runs on this host; the board is emulated: numerics are real, the NPU's time and power are modelled.
    """
    sizes = {**dict(DemoOptions().frames), **_frames(frames)}
    options = DemoOptions(seed=seed, recipe=recipe, frames=tuple(sorted(sizes.items())), policy=policy, waiver=waive)
    begin_s = time.monotonic()
    with Run(folder.resolve()) as run:
        report = _Walk(run, options).go()
        if report is None:
            return _stopped_at_gate(run.folder)
    print_demo_table(report)
    click.echo(f"{folder}/report.html, report.json, junit.xml; {time.monotonic() - begin_s:.0f} s in all")
    return _code(report)


def _stopped_at_gate(folder: Path) -> ExitCode:
    from models.evaluation.gate import GateResult

    result = GateResult.load(folder / "gate.json")
    print_gate(result)
    click.echo("the candidate is not released; train longer, change the plan, or give --waive REASON", err=True)
    return GATE_CODES[result.verdict.value]


def _code(report: Report) -> ExitCode:
    from hil.measurements.results import SuiteVerdict

    codes = {
        SuiteVerdict.PASS: ExitCode.PASS,
        SuiteVerdict.LIMIT_FAILED: ExitCode.LIMIT_FAILED,
        SuiteVerdict.REJECTED: ExitCode.REJECTED,
        SuiteVerdict.FAULT: ExitCode.BOARD_FAULT,
        SuiteVerdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    }
    return codes[report.verdict]


class _Walk:
    """One walk through all steps; says what it does and what it reuses."""

    def __init__(self, run: Run, options: DemoOptions) -> None:
        self._run = run
        self._options = options
        self._steps = build_steps(options)
        self._count = len(self._steps) + 2 * len(BOARDS) + 3
        self._outcomes: list[Outcome] = []

    def go(self) -> Report | None:
        """Return the report, or None when the gate stops the candidate."""
        for step in self._steps:
            if step.name == "sign" and not self._may_be_signed():
                return None
            self._do(step)
        with ExitStack() as running:
            boards = {link: running.enter_context(self._board(folder)) for link, folder in BOARDS.items()}
            self._forge(boards["ssh"])
            for link, board in boards.items():
                self._push(board, link)
            self._measure(boards["ssh"])
        return self._report()

    def _may_be_signed(self) -> bool:
        from models.evaluation.gate import GateResult, GateVerdict

        result = GateResult.load(self._run.folder / "gate.json")
        return result.verdict is GateVerdict.PASS or bool(self._options.waiver)

    def _do(self, step: Step, remark: Callable[[], str] | None = None) -> None:
        number = len(self._outcomes) + 1
        with progress_bar(f"[{number:2}/{self._count}] {step.title}") as progress:
            outcome = self._run.execute(step, progress)
        self._outcomes.append(outcome)
        took = "reused, still valid" if outcome.reused else f"{outcome.seconds:.1f} s"
        what = "" if remark is None else f"; {remark()}"
        click.echo(f"[{number:2}/{self._count}] {step.title}: {took}{what}")

    def _board(self, folder: str) -> EmulatedBoard:
        from hil.virtual.emulated import EmulatedBoard
        from ks100.steps.demo_boards import provision

        started: list[EmulatedBoard] = []

        def work(run: Path, progress: Progress) -> None:
            progress(0.0, "a process of its own, with sshd and a serial line")
            shutil.rmtree(run / folder, ignore_errors=True)  # factory-new: a board asks for no byte that it has
            started.append(EmulatedBoard.start(run / folder))
            provision(started[0], run / "trust.ksr")

        step = Step(
            folder, "Start a factory-new emulated board, provision it", work, (), inputs=("trust.ksr",), reusable=False
        )
        self._do(
            step,
            lambda: f"{started[0].serial_number}, {started[0].ssh_url.split('?')[0]} and {started[0].serial_url}",
        )  # fmt: skip
        return started[0]

    def _forge(self, board: EmulatedBoard) -> None:
        from hil.measurements.results import Rejection
        from ks100.steps.demo_boards import forge
        from ks100.steps.release import PACKAGE

        seen: list[Rejection] = []

        def work(run: Path, progress: Progress) -> None:
            progress(0.0, "one flipped bit; another program's key")
            seen.extend(forge(board, run / PACKAGE, run / "pushes"))

        step = Step("forge", "Try what the board must refuse", work, (), inputs=(PACKAGE,), reusable=False)
        self._do(step, lambda: "; ".join(f"{item.title}: refused as {item.got}" for item in seen))

    def _push(self, board: EmulatedBoard, link: str) -> None:
        from ks100.steps.demo_boards import Push, push
        from ks100.steps.release import PACKAGE, record_pushed

        done: list[Push] = []

        def work(run: Path, progress: Progress) -> None:
            done.append(push(board, link, run / PACKAGE, run / "pushes" / f"push-{link}.json", progress))
            record_pushed(run, done[0])

        self._do(
            Step(f"push-{link}", f"Push over {link}, activate, confirm", work, outputs=(f"pushes/push-{link}.json",),
                 inputs=(PACKAGE,), reusable=False),
            lambda: done[0].text,
        )  # fmt: skip

    def _measure(self, board: EmulatedBoard) -> None:
        from hil.suite_runner import run_suite
        from ks100.steps.release import PACKAGE
        from ks100.steps.reporting import HIL

        def work(run: Path, progress: Progress) -> None:
            run_suite(
                board.ssh_url, run / PACKAGE, run / "trust.ksr", run / "captures/hard-holdout", run / HIL,
                progress=lambda event: progress(event.share, event.text),
            )  # fmt: skip

        step = Step("hil", "Measure on the board", work, outputs=(HIL,), inputs=(PACKAGE,), reusable=False)
        self._do(step)

    def _report(self) -> Report:
        from ks100.steps.reporting import save_outcomes, write_report

        written: list[Report] = []

        def work(run: Path, progress: Progress) -> None:
            progress(0.0, "tables, charts, pictures")
            save_outcomes(run, self._outcomes)
            written.append(write_report(run))

        self._do(Step("report", "Write the report", work, outputs=("report.html",), reusable=False))
        return written[0]


def _frames(pairs: tuple[str, ...]) -> dict[str, int]:
    found = {}
    for pair in pairs:
        name, _, count = pair.partition("=")
        if name not in CAPTURES or not count.isdecimal() or int(count) < 1:
            raise UsageError(f"--frames {pair}: give POOL=N with a pool of {', '.join(CAPTURES)}")
        found[name] = int(count)
    return found
