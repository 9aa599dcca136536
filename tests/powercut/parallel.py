"""All scenarios, and the broken stores, over several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.powercut.broken_disks import BROKEN
from tests.powercut.campaign import ScenarioResult, run_scenario
from tests.powercut.scenarios import scenarios
from tests.powercut.signing_kit import SigningKit

__all__ = ["BrokenStore", "check_broken", "run_all"]

_BROKEN_SCENARIO = "install and confirm"

_Work: TypeAlias = "tuple[Callable[[str], ScenarioResult | BrokenStore], str]"


@dataclass(frozen=True, slots=True)
class BrokenStore:
    """What the campaign found on a store that is broken on purpose.

    Attributes:
        fault: what is wrong with it.
        caught: whether that was found.
        example: the first finding.
    """

    fault: str
    caught: bool
    example: str


def run_all(
    jobs: int, done: Callable[[ScenarioResult | BrokenStore], None] = lambda _: None
) -> tuple[list[ScenarioResult], list[BrokenStore]]:
    """Run every scenario and every broken store in ``jobs`` processes; ``done`` hears of each as it is finished."""
    names = [scenario.name for scenario in scenarios(SigningKit())]
    good: list[ScenarioResult] = []
    broken: list[BrokenStore] = []
    work: list[_Work] = [*((_run, name) for name in names), *((check_broken, fault) for fault in BROKEN)]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for result in pool.imap_unordered(_work, work):
            done(result)
            if isinstance(result, ScenarioResult):
                good.append(result)
            else:
                broken.append(result)
        pool.close()
        pool.join()
    return good, broken


def check_broken(fault: str) -> BrokenStore:
    """Run an update on a broken store; a board that does not even get through it counts as caught."""
    scenario = next(item for item in scenarios(SigningKit()) if item.name == _BROKEN_SCENARIO)
    findings = run_scenario(scenario, BROKEN[fault], second_cuts=False).findings
    first = findings[0] if findings else None
    return BrokenStore(fault, bool(findings), f"{first.harm.value} {first.point}: {first.text}" if first else "nothing")


def _run(name: str) -> ScenarioResult:
    return run_scenario(next(item for item in scenarios(SigningKit()) if item.name == name))


def _work(item: _Work) -> ScenarioResult | BrokenStore:
    call, argument = item
    return call(argument)
