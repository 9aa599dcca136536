"""A run's results survive the disk, and their verdict is the worst that happened."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

import tests.hil.hil_examples as example
from hil.errors import EvidenceError, SuiteError
from hil.measurements.measurement import Basis, Limit, Source
from hil.measurements.recorder import InconclusiveError, LimitError, Recorder
from hil.measurements.results import Check, HilResults, Outcome, SuiteVerdict


def test_results_come_back_from_disk_equal(tmp_path: Path) -> None:
    results = example.results()
    results.save(tmp_path)
    assert HilResults.load(tmp_path) == results
    assert HilResults.load(tmp_path / "results.json") == results


def test_results_of_a_run_that_never_reached_a_board_come_back_equal(tmp_path: Path) -> None:
    results = HilResults("ssh://nowhere", "ssh", example.STARTED_S)
    results.save(tmp_path)
    assert HilResults.load(tmp_path) == results
    assert results.source is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"schema": 1}', b'{"schema": 99}', b"\xff\xfe"])
def test_damaged_results_are_refused_in_one_line(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "results.json").write_bytes(damage)
    with pytest.raises(EvidenceError) as caught:
        HilResults.load(tmp_path)
    assert "\n" not in str(caught.value)


def check(outcome: Outcome) -> Check:
    return Check("test_x::test_y", "y", outcome, 0.1, "why")


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ((Outcome.PASSED,), SuiteVerdict.PASS),
        ((Outcome.PASSED, Outcome.SKIPPED), SuiteVerdict.PASS),
        ((Outcome.SKIPPED,), SuiteVerdict.INCONCLUSIVE),
        ((Outcome.PASSED, Outcome.INCONCLUSIVE), SuiteVerdict.INCONCLUSIVE),
        ((Outcome.INCONCLUSIVE, Outcome.FAILED), SuiteVerdict.LIMIT_FAILED),
        ((Outcome.FAILED, Outcome.REJECTED), SuiteVerdict.REJECTED),
        ((Outcome.REJECTED, Outcome.ERROR), SuiteVerdict.FAULT),
    ],
)
def test_verdict_is_the_worst_outcome(outcomes: tuple[Outcome, ...], verdict: SuiteVerdict) -> None:
    results = example.results(checks=tuple(check(outcome) for outcome in outcomes), planned=())
    assert results.verdict is verdict


def test_a_forgery_that_was_accepted_fails_the_run_even_if_every_check_passed() -> None:
    accepted = replace(example.results().rejections[0], got="accepted")
    assert example.results(rejections=(accepted,)).verdict is SuiteVerdict.LIMIT_FAILED
    moved = replace(example.results().rejections[0], slot_unchanged=False)
    assert example.results(rejections=(moved,)).verdict is SuiteVerdict.LIMIT_FAILED


def test_pytests_own_failure_is_a_fault_even_if_every_check_passed() -> None:
    assert example.results(exit_status=3).verdict is SuiteVerdict.FAULT


def test_figures_are_on_disk_before_they_are_judged(tmp_path: Path) -> None:
    recorder = Recorder(example.results(measurements=()), tmp_path)
    figure = recorder.figure("too_slow", 90.0, "ms", limit=Limit(high=80.0, why="decision window"))
    with pytest.raises(LimitError) as caught:
        recorder.require(figure)
    recorder.check(check(Outcome.FAILED))
    stored = HilResults.load(tmp_path).measurement("too_slow")
    assert stored is not None
    assert stored.value == 90.0
    assert str(caught.value) == "too_slow = 90 ms, limit ≤ 80 ms (decision window)"


def test_a_figure_without_samples_is_inconclusive_and_not_a_pass() -> None:
    recorder = Recorder(example.results(measurements=()), None)
    figure = recorder.figure("p99", math.nan, "ms", limit=Limit(high=80.0), n=3)
    with pytest.raises(InconclusiveError, match="inconclusive with 3 samples"):
        recorder.require(figure)
    assert json.dumps(recorder.results.to_json(), allow_nan=False)


def test_time_is_modelled_on_an_emulated_board_and_measured_on_hardware() -> None:
    emulated = Recorder(example.results(), None)
    hardware = Recorder(example.results(board=example.board_info(emulated=False)), None)
    assert (emulated.source, emulated.time_basis) == (Source.EMULATED, Basis.MODELLED)
    assert (hardware.source, hardware.time_basis) == (Source.CLAIMED, Basis.MEASURED)


def test_a_figure_without_a_board_is_refused() -> None:
    with pytest.raises(SuiteError, match="ks_board"):
        Recorder(example.results(board=None), None).figure("x", 1.0, "ms")
