"""What a board goes through while its power is cut, and what it has promised at each step.

A promise made by an answer holds from then on; while a step runs, the old promise and the new one are both allowed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.agent.service import BoardService
from firmware_bridge.errors import RejectedError
from hil.virtual.disk import SimulatedDisk
from tests.powercut.board import boot, push
from tests.powercut.signing_kit import SigningKit, payload_digest

__all__ = ["Promise", "Scenario", "Step", "scenarios"]

NOTHING = ""


@dataclass(frozen=True, slots=True)
class Promise:
    """What must hold whenever the board comes up.

    Attributes:
        runs: digests (hex) of the models that may run; ``""`` if none has to.
        floor: least rollback floor.
        trust: least version of the trust store.
    """

    runs: frozenset[str]
    floor: int = 0
    trust: int = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One act of a host, and the promises while it runs and once it was answered."""

    name: str
    run: Callable[[BoardService], object]
    during: Promise
    after: Promise


@dataclass(frozen=True, slots=True)
class Scenario:
    """A board's disk at rest, and the steps that change it.

    Attributes:
        name: what it is about.
        prepare: puts the disk, empty at first, into the state before.
        before: what holds before the first step, also while the board boots.
        steps: in order; all of them again are the retry after a cut.
        failing: digests of models that fail their trial.
    """

    name: str
    prepare: Callable[[SimulatedDisk], object]
    before: Promise
    steps: tuple[Step, ...]
    failing: frozenset[str] = frozenset()


def scenarios(workshop: SigningKit) -> tuple[Scenario, ...]:
    """Return every scenario: install, confirm, fall back, floor raise, trust update, chunk collection."""
    kit = _Kit(workshop)
    return (
        kit.first_install(),
        kit.update(),
        kit.failing_trial(),
        kit.damaged_slot(),
        kit.floor_raise(),
        kit.trust_update(),
        kit.chunk_collection(),
    )


class _Kit:
    """Packages 1, 5 and 7 by security version, and their digests."""

    def __init__(self, workshop: SigningKit) -> None:
        self._workshop = workshop
        self._packages = {version: workshop.package(version, version) for version in (1, 5, 7)}
        self._digest = {version: payload_digest(package) for version, package in self._packages.items()}

    def first_install(self) -> Scenario:
        none, one = self._promise(0, NOTHING), self._promise(1, 1)
        return Scenario("first install", self._provisioned, none, self._install(1, none, one))

    def update(self) -> Scenario:
        # Only one slot was ever confirmed before: both can boot afterwards, so the floor stays.
        old, new = self._promise(1, 1), self._promise(1, 5)
        return Scenario("install and confirm", self._with(1), old, self._install(5, old, new))

    def failing_trial(self) -> Scenario:
        old = self._promise(1, 1)
        steps = (
            Step("push", lambda board: push(board, self._packages[5]), old, old),
            Step("activate", _refused_trial, old, old),
        )
        return Scenario("fall back: failed trial", self._with(1), old, steps, frozenset({self._digest[5]}))

    def damaged_slot(self) -> Scenario:
        def prepare(disk: SimulatedDisk) -> None:
            self._with(1, 5)(disk)
            slot = boot(disk.copy()).info().active
            disk.flip_bit(f"slots/{slot}.payload", 99)

        old, new = self._promise(1, 1), self._promise(1, 7)
        return Scenario("fall back: damaged slot", prepare, old, self._install(7, old, new))

    def floor_raise(self) -> Scenario:
        old, new = self._promise(1, 5), self._promise(5, 7)
        return Scenario("floor raise", self._with(1, 5), old, self._install(7, old, new))

    def trust_update(self) -> Scenario:
        store = self._workshop.trust(version=2)
        old, new = self._promise(1, 1), self._promise(1, 1, trust=2)
        step = Step("provision", lambda board: board.provision(store), self._promise(1, 1), new)
        return Scenario("trust update", self._with(1), old, (step,))

    def chunk_collection(self) -> Scenario:
        def prepare(disk: SimulatedDisk) -> None:
            self._with(1)(disk)
            push(boot(disk), self._packages[7], chunks=2)

        old = self._promise(1, 1)
        steps = (
            Step("begin", lambda board: push(board, self._packages[5], chunks=2), old, old),
            Step("another", lambda board: push(board, self._packages[7]), old, old),
        )
        return Scenario("chunk collection", prepare, old, steps)

    def _promise(self, floor: int, *versions: int | str, trust: int = 1) -> Promise:
        return Promise(frozenset(self._digest.get(v, "") if isinstance(v, int) else v for v in versions), floor, trust)

    def _provisioned(self, disk: SimulatedDisk) -> None:
        boot(disk).provision(self._workshop.trust())

    def _with(self, *versions: int) -> Callable[[SimulatedDisk], None]:
        def prepare(disk: SimulatedDisk) -> None:
            self._provisioned(disk)
            for version in versions:
                board = boot(disk)
                board.activate(push(board, self._packages[version]))
                board.confirm()

        return prepare

    def _install(self, version: int, old: Promise, new: Promise) -> tuple[Step, ...]:
        either = Promise(old.runs | new.runs, old.floor, old.trust)
        return (
            Step("push", lambda board: push(board, self._packages[version]), old, old),
            Step("activate", lambda board: board.activate(_pushed(board, version)), old, old),
            Step("confirm", lambda board: board.confirm(), either, new),
        )


def _pushed(board: BoardService, version: int) -> str:
    """Return the slot that was just filled with a version: not the one that is active, where there are two."""
    info = board.info()
    held = [slot.name for slot in info.slots if slot.version == str(version)]
    return next((name for name in held if name != info.active), held[0])


def _refused_trial(board: BoardService) -> None:
    with contextlib.suppress(RejectedError):
        board.activate(_pushed(board, 5))
        raise AssertionError("a model that does not run has passed its trial")
