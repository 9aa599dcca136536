"""Collects what the checks of one run find, and keeps it on disk after each of them.

Tests use `Recorder.figure` and `Recorder.require`; the plugin tells it how each test ended. A figure is recorded before
it is judged, so a failed limit never loses its value.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from firmware_bridge.protocol.messages import BoardInfo, Measured
from hil.errors import SuiteError
from hil.measurements.accuracy import AccuracyRecord
from hil.measurements.measurement import Basis, Better, Limit, Margin, Measurement, Source, Subject, Varies, Verdict
from hil.measurements.requirements import Requirements
from hil.measurements.results import Check, HilResults, PackageFacts, Rejection, Transfer
from hil.measurements.setup import LoopFacts, PlannedCheck, PoolFacts

__all__ = ["EVENTS_VARIABLE", "InconclusiveError", "LimitError", "Recorder", "event_writer", "failure_line"]

EVENTS_VARIABLE = "KS_EVENTS_FD"
"""Environment variable that names the descriptor on which a parent process wants to hear events."""

Say = Callable[[float, str, str], None]


class LimitError(AssertionError):
    """A figure is outside its limit; the text is one line: what, value, limit."""


class InconclusiveError(AssertionError):
    """A figure has a limit, and too few samples to be judged."""


class Recorder:
    """The growing results of one run."""

    def __init__(self, results: HilResults, folder: Path | None, say: Say | None = None) -> None:
        """Start with ``results``, keep them in ``folder`` (nowhere if None), tell ``say`` what goes on."""
        self._results = results
        self._folder = folder
        self._say = say
        self._began = time.monotonic()
        self.total = 0

    @property
    def results(self) -> HilResults:
        """What is known so far."""
        return replace(self._results, seconds=time.monotonic() - self._began)

    @property
    def source(self) -> Source:
        """What kind of board the figures come from.

        Raises:
            SuiteError: no board was opened yet.
        """
        source = self._results.source
        if source is None:
            raise SuiteError("a figure was recorded before a board was opened; ask for the fixture ks_board first")
        return source

    @property
    def time_basis(self) -> Basis:
        """How time and power come about on this board: modelled where it is emulated."""
        return Basis.MODELLED if self.source is Source.EMULATED else Basis.MEASURED

    def figure(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        limit: Limit | None = None,
        basis: Basis = Basis.MEASURED,
        n: int = 1,
        reference: float | None = None,
        note: str = "",
        better: Better = Better.NEITHER,
        margin: Margin | None = None,
        quantile: float | None = None,
        series: str = "",
        subject: Subject = Subject.MODEL,
        invalid: str = "",
        varies: Varies = Varies.RUNS,
    ) -> Measurement:
        """Record one figure and return it; a later one of the same name replaces it. See `Measurement`.

        Without a ``reference``, the figure that the board's maker published under this name stands beside it.
        """
        requirements = self._results.requirements
        if reference is None and requirements is not None:
            reference = requirements.published_value(name)
        item = Measurement(
            name, float(value), unit, self.source, basis, limit, n, reference, note, better, margin, quantile, series,
            subject, invalid, varies,
        )  # fmt: skip
        kept = tuple(m for m in self._results.measurements if m.name != name)
        self._results = replace(self._results, measurements=(*kept, item))
        return item

    def require(self, *figures: Measurement) -> None:
        """Judge recorded figures; all are judged before the first failure is raised.

        Raises:
            LimitError: at least one is outside its limit.
            InconclusiveError: none is, and at least one has too few samples or is invalid.
        """
        failed = [failure_line(item) for item in figures if item.verdict is Verdict.FAIL]
        undecided = (Verdict.INCONCLUSIVE, Verdict.INVALID)
        open_ = [failure_line(item) for item in figures if item.verdict in undecided]
        if failed:
            _fail(LimitError, "; ".join(failed))
        if open_:
            _fail(InconclusiveError, "; ".join(open_))

    def board(self, info: BoardInfo) -> None:
        """Record what the board says it is."""
        self._results = replace(self._results, board=info)

    def package(self, facts: PackageFacts) -> None:
        """Record the package under test."""
        self._results = replace(self._results, package=facts)

    def requirements(self, requirements: Requirements) -> None:
        """Record what the board has to satisfy."""
        self._results = replace(self._results, requirements=requirements)

    def samples(self, name: str, values: Iterable[float]) -> str:
        """Record the samples behind figures, and return ``name`` as `figure` takes it; a later series replaces it."""
        samples = {**self._results.samples, name: tuple(map(float, values))}
        self._results = replace(self._results, samples=samples)
        return name

    def plan(self, checks: Iterable[PlannedCheck]) -> None:
        """Record every check that shall run, and save: whatever happens from now on, what is missing has a name."""
        self._results = replace(self._results, planned=tuple(checks))
        self.save()

    def pool(self, facts: PoolFacts) -> None:
        """Record the captures that the run uses."""
        self._results = replace(self._results, pool=facts)

    def loop(self, facts: LoopFacts) -> None:
        """Record how the paced run runs."""
        self._results = replace(self._results, loop=facts)

    def stopped(self, why: str) -> None:
        """Record that the run ends before its time, and why."""
        self._results = replace(self._results, stopped=self._results.stopped or why)

    def measured(self, measured: Measured) -> None:
        """Record the paced run with its traces."""
        self._results = replace(self._results, measured=measured)

    def rejection(self, rejection: Rejection) -> None:
        """Record one refusal."""
        self._results = replace(self._results, rejections=(*self._results.rejections, rejection))

    def transfer(self, transfer: Transfer) -> None:
        """Record one push."""
        self._results = replace(self._results, transfers=(*self._results.transfers, transfer))

    def accuracy(self, record: AccuracyRecord) -> None:
        """Record one accuracy."""
        self._results = replace(self._results, accuracy=(*self._results.accuracy, record))

    @property
    def folder(self) -> Path | None:
        """Where further files of the run may be kept; None when nothing is to be kept."""
        return self._folder

    def check(self, check: Check) -> None:
        """Record how a check ended, and save."""
        kept = tuple(item for item in self._results.checks if item.name != check.name)
        self._results = replace(self._results, checks=(*kept, check))
        self.say(check.title, check.outcome.value)
        self.save()

    def finish(self, exit_status: int) -> None:
        """Record pytest's exit code, and save."""
        self._results = replace(self._results, exit_status=exit_status)
        self.save()

    def save(self) -> None:
        """Write what is known so far, if a folder was given."""
        if self._folder is not None:
            self.results.save(self._folder)

    def say(self, text: str, outcome: str = "") -> None:
        """Tell a listening parent what goes on."""
        if self._say is not None:
            self._say(min(1.0, len(self._results.checks) / max(1, self.total)), text, outcome)


def failure_line(item: Measurement) -> str:
    """Return one line: measurement, value, limit, and why the limit is there."""
    if item.verdict is Verdict.INVALID:
        return f"{item.name} is INVALID: {item.invalid}"
    assert item.limit is not None
    why = f" ({item.limit.why})" if item.limit.why else ""
    unit = "" if item.unit == "1" else f" {item.unit}"
    if item.verdict is Verdict.INCONCLUSIVE:
        return f"{item.name} is inconclusive with {item.n} samples, limit {item.limit}{unit}{why}"
    return f"{item.name} = {item.value:.4g}{unit}, limit {item.limit}{unit}{why}"


def event_writer() -> Say | None:
    """Return what tells the parent process, if it asked to be told, as JSON lines on its descriptor."""
    descriptor = os.environ.get(EVENTS_VARIABLE, "")
    if not descriptor.isdigit():
        return None

    def say(share: float, text: str, outcome: str) -> None:
        line = json.dumps({"share": share, "text": text, "outcome": outcome}) + "\n"
        try:
            os.write(int(descriptor), line.encode())
        except OSError:  # the parent has gone; the run itself is worth finishing
            return

    return say


def _fail(kind: type[AssertionError], text: str) -> NoReturn:
    raise kind(text)
