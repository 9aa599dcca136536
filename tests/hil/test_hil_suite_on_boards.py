"""The whole suite on real emulated boards: over SSH, over the serial line, with packages that must not run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.package.container import write
from hil.errors import SuiteError
from hil.measurements.measurement import Basis, Source
from hil.measurements.results import HilResults, Outcome, SuiteVerdict
from hil.plugin.pool import FAULT
from hil.report import Report, write_html
from hil.suite_runner import SuiteEvent, run_suite
from tests.hil.hil_bench import DETECTOR, Bench, make_bench, manifest, new_key
from tests.hil.test_hil_plugin import PYTEST_FAILED, PYTEST_OK, run_pytest
from tests.hil.test_hil_report import check_junit

FRAMES, LOOP = 2, 90


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return make_bench(tmp_path_factory.mktemp("bench"), captures=4)


@pytest.fixture(scope="module")
def over_ssh(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> tuple[HilResults, Path, list[SuiteEvent]]:
    folder, events = tmp_path_factory.mktemp("ssh"), []
    results = run_suite(
        "emu:", bench.package, None, bench.captures, folder, loop_frames=LOOP,
        refuse={"rollback": bench.older}, progress=events.append,
    )  # fmt: skip
    return results, folder, events


def test_every_check_passes_over_ssh(over_ssh: tuple[HilResults, Path, list[SuiteEvent]]) -> None:
    results, folder, _ = over_ssh
    assert [(c.name, c.message) for c in results.checks if c.outcome is not Outcome.PASSED] == []
    assert results.verdict is SuiteVerdict.PASS
    assert HilResults.load(folder) == results


def test_latency_and_power_are_modelled_and_outputs_are_measured(
    over_ssh: tuple[HilResults, Path, list[SuiteEvent]],
) -> None:
    results, _, _ = over_ssh
    bases = {item.name: item.basis for item in results.measurements}
    assert {item.source for item in results.measurements} == {Source.EMULATED}
    assert bases["latency_p99"] is bases["power_total"] is bases["energy_per_frame"] is Basis.MODELLED
    assert bases["parity_hard_largest"] is bases["hard_ap50_board"] is Basis.MEASURED
    total, idle = results.measurement("power_total"), results.measurement("power_idle")
    assert total is not None
    assert idle is not None
    assert 0 < idle.value < total.value < 8000


def test_every_forgery_was_refused_for_its_reason(over_ssh: tuple[HilResults, Path, list[SuiteEvent]]) -> None:
    results, _, _ = over_ssh
    refused = {item.case: item.got for item in results.rejections}
    assert refused["flipped-payload-bit"] == "chunk"
    assert refused["flipped-manifest-bit"] == "signature"
    assert refused["unknown-key"] == "unknown-key"
    assert refused["rollback-given"] == "rollback"
    assert all(item.holds for item in results.rejections)


def test_progress_is_told_and_junit_and_report_are_written(
    over_ssh: tuple[HilResults, Path, list[SuiteEvent]], tmp_path: Path
) -> None:
    results, folder, events = over_ssh
    assert [event.share for event in events] == sorted(event.share for event in events)
    assert sum(event.outcome == "passed" for event in events) == len(results.checks)
    check_junit(folder / "junit.xml")
    write_html(Report("Bench", results.started_s, results=results), tmp_path / "report.html")
    assert "bit for bit" in (tmp_path / "report.html").read_text()


def test_every_check_passes_over_the_serial_line(bench: Bench, tmp_path: Path) -> None:
    results = run_suite(
        "emu:?link=serial", bench.package, None, bench.captures, tmp_path, frames=FRAMES, loop_frames=LOOP
    )
    assert [(c.name, c.message) for c in results.checks if c.outcome is Outcome.FAILED] == []
    assert results.verdict is SuiteVerdict.PASS
    assert results.link == "serial"
    assert any("--ks-frames" in item.note for item in results.measurements)


def test_a_package_of_an_unknown_key_is_rejected_by_name_and_nothing_else_is_claimed(
    bench: Bench, tmp_path: Path
) -> None:
    payload = DETECTOR.read_bytes()
    write(tmp_path / "foreign.ksm", manifest(Graph.parse(payload), 3), payload, new_key())
    results = run_suite("emu:", tmp_path / "foreign.ksm", bench.trust, None, tmp_path / "out")
    assert results.verdict is SuiteVerdict.REJECTED
    accepted = next(check for check in results.checks if check.name.endswith("test_package_is_accepted"))
    assert accepted.outcome is Outcome.REJECTED
    assert accepted.message.startswith("unknown-key: ")
    assert not any(item.name.startswith(("latency", "power")) for item in results.measurements)


def test_a_conftest_of_the_callers_folder_does_not_touch_the_suite_and_relative_paths_are_meant_from_there(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conftest.py").write_text("raise SystemExit('loaded')\n")
    monkeypatch.chdir(tmp_path)
    results = run_suite("emu:", bench.package, results_dir=Path("out"), select="identity")
    assert results.verdict is SuiteVerdict.PASS
    assert (tmp_path / "out" / "junit.xml").is_file()


def test_a_wrong_request_is_one_line_that_says_what_was_wrong(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=r"there is no such file.*pytest exit code 2") as caught:
        run_suite("emu:", bench.package, tmp_path / "no.ksr", results_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_board_that_cannot_be_reached_is_a_fault(bench: Bench, tmp_path: Path) -> None:
    results = run_suite("serial:///dev/no-such-port", bench.package, results_dir=tmp_path)
    assert results.verdict is SuiteVerdict.FAULT
    assert {check.outcome for check in results.checks} <= {Outcome.ERROR, Outcome.SKIPPED}
    assert results.exit_status == PYTEST_FAILED


OWN = """
from hil.measurements.measurement import Limit
from firmware_bridge.errors import TransferError

def test_too_slow(ks_board, ks_record):
    ks_record.require(ks_record.figure("too_slow", 90.0, "ms", limit=Limit(high=80.0, why="decision window")))

def test_cable_falls_out(ks_board):
    raise TransferError("the link broke; push again to resume")

def test_promise(ks_board):
    assert ks_board.info().serial == "another"
"""


def test_ones_own_tests_record_figures_and_tell_failures_from_faults(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN)
    code, output = run_pytest(tmp_path, "--ks-board", "emu:", "--ks-trust", str(bench.trust), "--ks-results", "out")
    assert code == FAULT
    assert "too_slow = 90 ms, limit ≤ 80 ms (decision window)" in output
    results = HilResults.load(tmp_path / "out")
    assert [check.outcome for check in results.checks] == [Outcome.FAILED, Outcome.ERROR, Outcome.FAILED]
    assert results.measurement("too_slow") is not None
    assert results.verdict is SuiteVerdict.FAULT
    first = replace(results, checks=results.checks[:1], planned=results.planned[:1])
    assert first.verdict is SuiteVerdict.LIMIT_FAILED


def test_the_ten_lines_of_the_readme_are_a_hardware_test(bench: Bench, tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = next(part.partition("```")[0] for part in readme.split("```python\n")[1:] if "ks_measured" in part)
    assert len(code.split("\n\n\n")[1].splitlines()) <= 10
    (tmp_path / "test_mine.py").write_text(code)
    package = ("--ks-board", "emu:", "--ks-package", str(bench.package), "--ks-tier", "smoke", "--ks-results", "out")
    status, output = run_pytest(tmp_path, *package)
    assert status == PYTEST_OK, output
    assert HilResults.load(tmp_path / "out").verdict is SuiteVerdict.PASS
    assert "slowest" in (tmp_path / "out" / "report.html").read_text()
