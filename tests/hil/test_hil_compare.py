"""A comparison passes over no less evidence than the baseline had, and says what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hil.comparison.changes import Change
from hil.comparison.history import History
from hil.comparison.runs import compare
from hil.errors import EvidenceError
from hil.measurements.results import HilResults, SuiteVerdict
from ks100.cli.hil import command
from ks100.errors import ExitCode
from tests.hil.lying_runs import BASELINES, FILES, RUNS, SPREADS, changed, figure, make, passes, put, without

BEFORE, AFTER = make(1), make(2)
KNOWN = SPREADS["power_total"]


def test_a_good_run_passes_so_that_a_lying_one_can_be_told(tmp_path: Path) -> None:
    assert passes(BEFORE, AFTER, tmp_path)


@pytest.mark.parametrize("kind", RUNS)
def test_a_lying_run_does_not_pass(tmp_path: Path, kind: str) -> None:
    assert not passes(BEFORE, changed(AFTER, RUNS[kind]), tmp_path)


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_does_not_pass(tmp_path: Path, kind: str) -> None:
    assert not passes(BEFORE, FILES[kind](json.dumps(AFTER).encode()), tmp_path)


@pytest.mark.parametrize("kind", BASELINES)
def test_nothing_passes_against_a_baseline_that_is_no_evidence(tmp_path: Path, kind: str) -> None:
    assert not passes(changed(BEFORE, BASELINES[kind]), AFTER, tmp_path)


def test_a_run_does_not_pass_against_itself(tmp_path: Path) -> None:
    assert not passes(BEFORE, BEFORE, tmp_path)


def test_what_is_missing_is_named() -> None:
    before, after = (HilResults.from_json(item) for item in (BEFORE, changed(AFTER, without("power"))))
    found = compare(before, after, spreads=SPREADS)
    assert [row.name for row in found.rows if row.change is Change.MISSING] == ["power_total"]
    assert found.verdict is SuiteVerdict.INCONCLUSIVE


def test_a_difference_is_refused_by_its_name_and_said_when_allowed() -> None:
    before, after = (HilResults.from_json(item) for item in (BEFORE, changed(AFTER, put("serial", "link"))))
    with pytest.raises(EvidenceError, match=r"link: ssh before, serial now\); allow it: --allow link"):
        compare(before, after, spreads=SPREADS)
    found = compare(before, after, allow=["link"], spreads=SPREADS)
    assert [str(item) for item in found.differences] == ["link: ssh before, serial now"]
    assert found.verdict is SuiteVerdict.PASS


def test_a_slower_link_is_shown_and_judges_no_model() -> None:
    link = {**next(m for m in BEFORE["measurements"] if m["name"] == "frame_rate"), "name": "push_rate"}
    link |= {"subject": "link", "better": "higher", "limit": None}
    both = [changed(item, lambda item: item["measurements"].append(dict(link))) for item in (BEFORE, AFTER)]
    slow = changed(both[1], figure("push_rate", value=1.0))
    found = compare(HilResults.from_json(both[0]), HilResults.from_json(slow), spreads={**SPREADS, "push_rate": KNOWN})
    assert next(row for row in found.rows if row.name == "push_rate").change is Change.WORSE
    assert found.verdict is SuiteVerdict.PASS


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a history of twelve good runs."""
    path = tmp_path_factory.mktemp("runs") / "hil.sqlite"
    for seed in range(10, 22):
        History(path).append(HilResults.from_json(make(seed)), path.parent)
    return path


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        (put("1.1.0", "package", "version"), ExitCode.PASS, "package: fusion-small 1.0.0"),
        (without("energy"), ExitCode.INCONCLUSIVE, "MISSING: not measured"),
        (put("SIGTERM", "stopped"), ExitCode.BOARD_FAULT, "the later run itself: INCOMPLETE"),
        (figure("energy_per_frame", value=40.0), ExitCode.LIMIT_FAILED, "worse"),
    ],
)
def test_the_command_says_what_differs_and_ends_with_the_verdicts_code(
    tmp_path: Path, history: Path, change: object, code: ExitCode, said: str
) -> None:
    arguments = written(tmp_path, changed(AFTER, change))  # type: ignore[arg-type]
    (tmp_path / "policy.toml").write_text('[margins]\n"latency_*" = { relative = 0.1 }\n')
    done = invoked(*arguments, "--history", history, "--policy", tmp_path / "policy.toml")
    assert said in done.output
    assert done.return_value == code


def test_two_single_runs_without_a_history_are_inconclusive_and_it_is_said_what_it_takes(tmp_path: Path) -> None:
    done = invoked(*written(tmp_path, AFTER), "--history", tmp_path / "none.sqlite")
    assert done.return_value == ExitCode.INCONCLUSIVE
    assert "ks100 hil run --against BASELINE.ksm" in " ".join(done.output.split())


def written(folder: Path, after: dict[str, Any]) -> tuple[Path, Path]:
    for name, item in (("before.json", BEFORE), ("after.json", after)):
        (folder / name).write_text(json.dumps(item))
    return folder / "before.json", folder / "after.json"


def invoked(*arguments: object) -> Any:
    done = CliRunner().invoke(command, ["compare", *map(str, arguments)], standalone_mode=False)
    assert done.exception is None, done.exception
    return done


def test_allowing_what_is_no_difference_is_a_usage_error() -> None:
    done = CliRunner().invoke(command, ["compare", ".", ".", "--allow", "everything"])
    assert done.exit_code == ExitCode.USAGE
    assert "it is one of pool, loop" in done.output
