"""``python -m tests.powercut``: the whole campaign, its number of points, and the two tests of the test."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.powercut.campaign import ScenarioResult
from tests.powercut.parallel import BrokenStore, run_all

_MIN_POINTS = 10_000
_SHOWN = 10


def main(arguments: list[str]) -> int:
    """Run everything; return 1 when a board came out of a cut badly, or a broken store was not caught."""
    options = argparse.ArgumentParser(prog="tests.powercut", description=__doc__)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, default one a core")
    begun_s = time.monotonic()
    good, broken = run_all(options.parse_args(arguments).jobs, _say_scenario)
    points, findings = sum(result.points for result in good), [f for result in good for f in result.findings]
    for finding in findings[:_SHOWN]:
        _say(f"{finding.harm.value}: {finding.scenario}: {finding.point}: {finding.text}")
    for store in broken:
        _say(f"broken on purpose, {store.fault}: {'caught' if store.caught else 'NOT CAUGHT'}, {store.example}")
    _say(f"{points} points, none skipped, in {time.monotonic() - begun_s:.0f} s: {len(findings)} boards harmed")
    return 0 if points >= _MIN_POINTS and not findings and all(store.caught for store in broken) else 1


def _say_scenario(result: ScenarioResult | BrokenStore) -> None:
    if isinstance(result, ScenarioResult):
        _say(
            f"{result.scenario:24} {result.operations:4} operations, {result.single:6} points with one cut,"
            f" {result.double:7} with two, {result.states:6} different states, {len(result.findings)} harmed"
        )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
