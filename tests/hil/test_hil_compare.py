"""A comparison passes over no less evidence than the baseline had, and says what differs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hil.errors import EvidenceError
from hil.measurements.baseline import Change, compare
from hil.measurements.results import HilResults, SuiteVerdict
from ks100.cli.hil import command
from ks100.errors import ExitCode
from tests.hil.lying_runs import BASELINES, FILES, RUNS, changed, figure, make, passes, put, without

BEFORE, AFTER = make(1), make(2)


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
    found = compare(before, after)
    assert [row.name for row in found.rows if row.change is Change.MISSING] == ["power_total"]
    assert found.verdict is SuiteVerdict.INCONCLUSIVE


def test_a_difference_is_refused_by_its_name_and_said_when_allowed() -> None:
    before, after = (HilResults.from_json(item) for item in (BEFORE, changed(AFTER, put("serial", "link"))))
    with pytest.raises(EvidenceError, match=r"link: ssh before, serial now\); allow it: --allow link"):
        compare(before, after)
    found = compare(before, after, allow=["link"])
    assert [str(item) for item in found.differences] == ["link: ssh before, serial now"]
    assert found.verdict is SuiteVerdict.PASS


def test_a_slower_link_is_shown_and_judges_no_model() -> None:
    link = {**next(m for m in BEFORE["measurements"] if m["name"] == "frame_rate"), "name": "push_rate"}
    link |= {"subject": "link", "better": "higher", "limit": None}
    both = [changed(item, lambda item: item["measurements"].append(dict(link))) for item in (BEFORE, AFTER)]
    slow = changed(both[1], figure("push_rate", value=1.0))
    found = compare(HilResults.from_json(both[0]), HilResults.from_json(slow))
    assert next(row for row in found.rows if row.name == "push_rate").change is Change.WORSE
    assert found.verdict is SuiteVerdict.PASS


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
    tmp_path: Path, change: object, code: ExitCode, said: str
) -> None:
    after = changed(AFTER, change)  # type: ignore[arg-type]
    for name, item in (("before.json", BEFORE), ("after.json", after)):
        (tmp_path / name).write_text(json.dumps(item))
    arguments = ["compare", str(tmp_path / "before.json"), str(tmp_path / "after.json")]
    done = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert done.exception is None
    assert said in done.output
    assert done.return_value == code


def test_allowing_what_is_no_difference_is_a_usage_error() -> None:
    done = CliRunner().invoke(command, ["compare", ".", ".", "--allow", "everything"])
    assert done.exit_code == ExitCode.USAGE
    assert "it is one of pool, loop" in done.output
