"""Cuts the power at every point of every scenario, and again at every point of the recovery, and checks the board.

No point is skipped. Points that leave the same bytes on the disk are the same to a board, which knows nothing else: so
each such state is checked once, and its verdict counts for all of its points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from firmware_bridge.agent.service import BoardService
from firmware_bridge.errors import BridgeError
from hil.virtual.disk import Moment, SimulatedDisk, Survival
from tests.powercut.board import boot, running_digest
from tests.powercut.recording import CutPoint, RecordingDisk
from tests.powercut.scenarios import Promise, Scenario

__all__ = ["Finding", "Harm", "ScenarioResult", "run_scenario"]

_FATES = ((Survival.LOST, 0), (Survival.KEPT, 0), (Survival.PARTLY, 1), (Survival.PARTLY, 2))
"""What becomes of what was not synced, with the seed that decides which part."""

Recorder = Callable[[SimulatedDisk], RecordingDisk]


class Harm(Enum):
    """How a board can come out of a cut badly."""

    BRICKED = "bricked"
    """It does not boot, runs nothing, runs something else, or cannot be helped by a retry."""
    LOST = "lost"
    """It has forgotten what it had promised: the confirmed model, the floor, the trust store."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One point after which the board was not well."""

    harm: Harm
    scenario: str
    point: str
    text: str


@dataclass(slots=True)
class ScenarioResult:
    """What was found in one scenario.

    Attributes:
        scenario: its name.
        operations: operations of the disk in it.
        single: points with one cut.
        double: points with a second cut during the recovery from the first.
        states: different states of the disk among them.
        findings: what went wrong, at each point.
    """

    scenario: str
    operations: int = 0
    single: int = 0
    double: int = 0
    states: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def points(self) -> int:
        """All points."""
        return self.single + self.double


def run_scenario(
    scenario: Scenario,
    recorder: Recorder = RecordingDisk,
    *,
    second_cuts: bool = True,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> ScenarioResult:
    """Cut a scenario everywhere.

    Args:
        scenario: what the board goes through.
        recorder: makes the disk; a broken one tests the campaign itself.
        second_cuts: whether the recovery from each cut is cut everywhere, too.
        progress: called with points done and points in all, of the first cut.
    """
    return _Campaign(scenario, recorder, second_cuts).run(progress)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What a state of the disk leads to: harm of its own, and points of a second cut with theirs."""

    harm: tuple[Harm, str] | None
    double: int
    second: tuple[tuple[str, Harm, str], ...]


class _Campaign:
    def __init__(self, scenario: Scenario, recorder: Recorder, second_cuts: bool) -> None:
        self._second_cuts = second_cuts
        self._scenario = scenario
        self._recorder = recorder
        self._recoveries: dict[tuple[frozenset[tuple[str, bytes]], Promise], _Verdict] = {}
        self._checked: dict[tuple[frozenset[tuple[str, bytes]], Promise], tuple[Harm, str] | None] = {}

    def run(self, progress: Callable[[int, int], None]) -> ScenarioResult:
        result = ScenarioResult(self._scenario.name)
        points = self._record()
        result.operations = sum(point.moment is Moment.BEFORE for point in points)
        for number, point in enumerate(points):
            for disk, fate in _fates(point):
                self._judge(result, disk, point.promise, f"{point}, unsynced {fate}")
            progress(number + 1, len(points))
        result.states = len({contents for contents, _ in self._checked})
        return result

    def _record(self) -> list[CutPoint]:
        """Run the whole scenario once, without a cut, and return every place for one."""
        base = self._recorder(SimulatedDisk())
        self._scenario.prepare(base)
        base.power_up(Survival.KEPT)
        disk = self._recorder(base)
        disk.promise = self._scenario.before
        board = boot(disk, self._scenario.failing)
        for step in self._scenario.steps:
            disk.promise = step.during
            step.run(board)
            disk.promise = step.after
            disk.rest(f"the answer to {step.name}")
        return disk.points

    def _judge(self, result: ScenarioResult, disk: SimulatedDisk, promise: Promise, where: str) -> None:
        verdict = self._recovery(disk, promise)
        result.single += 1
        result.double += verdict.double
        if verdict.harm is not None:
            result.findings.append(Finding(verdict.harm[0], self._scenario.name, where, verdict.harm[1]))
        for second, harm, text in verdict.second:
            result.findings.append(Finding(harm, self._scenario.name, f"{where}; then {second}", text))

    def _recovery(self, disk: SimulatedDisk, promise: Promise) -> _Verdict:
        """Check a disk that has come up, and every second cut while the board recovers on it."""
        key = (disk.contents(), promise)
        if key not in self._recoveries:
            harm = self._check(disk.copy(), promise)
            seconds = self._recovery_points(disk, promise) if self._second_cuts else []
            double, second = 0, []
            for point in seconds:
                for again, fate in _fates(point):
                    double += 1
                    if found := self._check(again, promise):
                        second.append((f"{point}, unsynced {fate}", *found))
            self._recoveries[key] = _Verdict(harm, double, tuple(second))
        return self._recoveries[key]

    def _recovery_points(self, disk: SimulatedDisk, promise: Promise) -> list[CutPoint]:
        recovering = self._recorder(disk)
        recovering.promise = promise
        try:
            boot(recovering, self._scenario.failing)
        except (BridgeError, OSError):
            return []  # the check of the first cut has found that already
        return recovering.points

    def _check(self, disk: SimulatedDisk, promise: Promise) -> tuple[Harm, str] | None:
        key = (disk.contents(), promise)
        if key not in self._checked:
            self._checked[key] = self._examine(disk, promise)
        return self._checked[key]

    def _examine(self, disk: SimulatedDisk, promise: Promise) -> tuple[Harm, str] | None:
        """Boot, look, try again, look again; the disk is used up."""
        try:
            board = boot(disk, self._scenario.failing)
            if found := _broken(board, promise):
                return found
            for step in self._scenario.steps:
                step.run(board)
            return _broken(board, self._scenario.steps[-1].after, "after a retry ")
        except (BridgeError, OSError, AssertionError) as error:
            return Harm.BRICKED, f"{type(error).__name__}: {error}"


def _broken(board: BoardService, promise: Promise, when: str = "") -> tuple[Harm, str] | None:
    """Return how a board breaks a promise."""
    running, info = running_digest(board), board.info()
    if running not in promise.runs:
        harm = Harm.LOST if running else Harm.BRICKED
        return harm, f"{when}it runs {running[:12] or 'nothing'}, not one of {_short(promise.runs)}"
    if info.floor < promise.floor:
        return Harm.LOST, f"{when}the floor is {info.floor}, and was {promise.floor}"
    if info.trust_version < promise.trust:
        return Harm.LOST, f"{when}the trust store is version {info.trust_version}, and was {promise.trust}"
    return None


def _fates(point: CutPoint) -> Iterator[tuple[SimulatedDisk, str]]:
    """Yield the disk as it may come up again."""
    for survival, seed in _FATES:
        disk = point.disk.copy(seed)
        disk.power_up(survival)
        yield disk, survival.value


def _short(digests: frozenset[str]) -> str:
    return ", ".join(sorted(digest[:12] or "nothing" for digest in digests))
