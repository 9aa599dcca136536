"""The complete demo: the pipeline's steps, then two boards, pushes, measurement and report.

Prints nothing: each step is passed to the caller, who runs it and shows its outcome.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ks100.layout import BOARDS, PROFILE
from ks100.pipeline import DemoOptions, build_steps
from ks100.run_folder import Outcome, Step
from models.progress import Progress

if TYPE_CHECKING:
    from hil.report.model import Report
    from hil.virtual.emulated import EmulatedBoard

__all__ = ["Execute", "Walk"]

Execute = Callable[[Step, Callable[[], str]], Outcome]
"""Runs one step; the second argument returns a summary afterwards, or ``""``."""


class Walk:
    """One pass through all steps of a run folder.

    Attributes:
        count: number of steps.
    """

    def __init__(self, folder: Path, options: DemoOptions, execute: Execute) -> None:
        """Prepare the steps in ``folder``; ``execute`` runs each step.

        Raises:
            InputError: the board's profile cannot be read or is invalid.
        """
        self._folder = folder
        self._options = options
        self._execute = execute
        self._steps = build_steps(options)
        self._outcomes: list[Outcome] = []
        self.count = len(self._steps) + 2 * len(BOARDS) + 3

    def go(self) -> Report | None:
        """Return the report, or None if the gate stops the candidate."""
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

        result = GateResult.load(self._folder / "gate.json")
        return result.verdict is GateVerdict.PASS or bool(self._options.waiver)

    def _do(self, step: Step, remark: Callable[[], str] = str) -> None:
        self._outcomes.append(self._execute(step, remark))

    def _board(self, folder: str) -> EmulatedBoard:
        from hil.virtual.emulated import EmulatedBoard
        from ks100.steps.demo_boards import provision

        started: list[EmulatedBoard] = []

        def work(run: Path, progress: Progress) -> None:
            progress(0.0, "a separate process, with sshd and a serial line")
            shutil.rmtree(
                run / folder, ignore_errors=True
            )  # factory-new: a board requests no bytes that it already has
            started.append(EmulatedBoard.start(run / folder, profile=str(run / PROFILE)))
            provision(started[0], run / "trust.ksr")

        title = "Start a factory-new emulated board, provision it"
        self._do(
            Step(folder, title, work, (), inputs=("trust.ksr", PROFILE), reusable=False),
            lambda: f"{started[0].serial_number}, {started[0].ssh_url.split('?')[0]} and {started[0].serial_url}",
        )
        return started[0]

    def _forge(self, board: EmulatedBoard) -> None:
        from hil.measurements.results import Rejection
        from ks100.steps.demo_boards import forge
        from ks100.steps.release import PACKAGE

        seen: list[Rejection] = []

        def work(run: Path, progress: Progress) -> None:
            progress(0.0, "one flipped bit; another program's key")
            seen.extend(forge(board, run / PACKAGE, run / "pushes"))

        step = Step("forge", "Test what the board must reject", work, (), inputs=(PACKAGE,), reusable=False)
        self._do(step, lambda: "; ".join(f"{item.title}: rejected as {item.got}" for item in seen))

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
                profile=str(run / PROFILE), progress=lambda event: progress(event.share, event.text),
            )  # fmt: skip

        step = Step("hil", "Measure on the board", work, outputs=(HIL,), inputs=(PACKAGE, PROFILE), reusable=False)
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
