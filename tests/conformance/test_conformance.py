"""The suite passes on the real agent, and a board that is lax in any one way does not pass it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from firmware_bridge.agent.service import BoardService
from firmware_bridge.package import cose, trust
from firmware_bridge.protocol import connection
from hil.conformance import greetings, session
from hil.conformance.catalogue import RULES, chosen
from hil.conformance.report import render_html, write_conformance_junit
from hil.conformance.results import ConformanceResults, Status
from hil.conformance.runner import attack
from hil.errors import EvidenceError
from tests.conformance.memory_board import MemoryBoard


@pytest.fixture
def board(tmp_path: Path) -> Iterator[MemoryBoard]:
    board = MemoryBoard(tmp_path / "board")
    yield board
    board.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> ConformanceResults:
    board = MemoryBoard(tmp_path_factory.mktemp("whole") / "board")
    try:
        return attack(board.reach, RULES)
    finally:
        board.close()


@pytest.mark.slow
def test_the_agent_conforms_in_every_case(results: ConformanceResults) -> None:
    assert [case.name for case in results.cases if case.status.is_failure] == []
    untried = {case.rule for case in results.cases if case.status is Status.NOT_APPLICABLE}
    assert untried == {"line-rate"}, "memory has no rate"
    assert results.passed
    assert results.agent_deaths == 0


@pytest.mark.slow
def test_the_suite_is_as_wide_as_it_says(results: ConformanceResults) -> None:
    valid = [case for case in results.cases if case.rule.startswith("valid-")]
    assert len(results.rules) >= 70
    assert len(results.cases) - len(valid) >= 500
    assert len(valid) >= 50
    assert len({case.name for case in results.cases}) == len(results.cases)


@pytest.mark.slow
def test_a_head_is_refused_before_any_chunk_crosses(results: ConformanceResults) -> None:
    at_the_head = {"signature-arithmetic", "signature-bits", "algorithm", "unknown-key", "rollback", "program", "board"}
    assert all(case.wire_bytes < 2048 for case in results.cases if case.rule in at_the_head)


def _lenient(*_arguments: object, **_fields: object) -> None:
    """Stand in for a check, and accept whatever it is given."""


LAX = {
    "signature": (lambda m: m.setattr(cose, "signed_by", lambda *_: True), "signature-arithmetic"),
    "program": (lambda m: m.setattr(trust, "_check_program", _lenient), "program"),
    "board": (lambda m: m.setattr(trust, "_check_board", _lenient), "board"),
    "format": (lambda m: m.setattr(trust, "_check_format", _lenient), "format"),
    "runtime": (lambda m: m.setattr(trust, "_check_runtime", _lenient), "runtime"),
    "validity": (lambda m: m.setattr(trust, "_check_validity", _lenient), "validity"),
    "evidence": (lambda m: m.setattr(trust, "_check_evidence", _lenient), "evidence"),
    "chunk": (lambda m: m.setattr(trust.AcceptedPackage, "check_chunk", _lenient), "chunk-bits"),
}


@pytest.mark.parametrize("check", sorted(LAX))
def test_a_board_that_leaves_out_a_check_is_caught(
    board: MemoryBoard, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_lax, rule = LAX[check]
    make_lax(monkeypatch)
    found = attack(board.reach, chosen([rule]))
    assert not found.passed
    wrong = {Status.WRONGLY_ACCEPTED, Status.WRONG_REASON, Status.BROKEN_PROMISE}
    assert wrong & set(found.counts)


def test_a_board_that_does_not_write_down_its_refusals_is_caught(
    board: MemoryBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoardService, "_decided", lambda *arguments: arguments[-1]())
    found = attack(board.reach, chosen(["unknown-key"]))
    assert set(found.counts) == {Status.BROKEN_PROMISE}
    assert "audit log" in found.cases[0].broken[0]


def test_a_board_that_is_too_strict_is_caught(board: MemoryBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    real = trust._check_evidence

    def strict(manifest: trust.Manifest) -> None:
        if manifest.evidence.waiver:
            raise trust.RejectedError(trust.RejectReason.EVIDENCE, "no waivers here")
        real(manifest)

    monkeypatch.setattr(trust, "_check_evidence", strict)
    found = attack(board.reach, chosen(["valid-fields"]))
    assert found.counts[Status.WRONGLY_REJECTED] == 4
    assert not found.passed


def test_a_listed_failure_is_expected_and_a_listed_pass_is_told(
    board: MemoryBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_check_validity", _lenient)
    found = attack(board.reach, chosen(["validity", "program"]), expected_failures={"validity"})
    assert found.passed
    again = attack(MemoryBoard(Path(str(board.reach.disk) + "2")).reach, chosen(["program"]),
                   expected_failures={"program/key-of-another"})  # fmt: skip
    assert [case.name for case in again.cases if case.counts_against] == ["program/key-of-another"]


@pytest.mark.slow
def test_results_survive_json_and_reports_name_every_case(results: ConformanceResults, tmp_path: Path) -> None:
    results.save(tmp_path / "results.json")
    assert ConformanceResults.load(tmp_path / "results.json") == results
    (tmp_path / "other.json").write_text('{"cases": []}')
    with pytest.raises(EvidenceError, match="not the result"):
        ConformanceResults.load(tmp_path / "other.json")
    write_conformance_junit(results, tmp_path / "junit.xml")
    suite = ET.parse(tmp_path / "junit.xml").getroot()
    assert suite.get("tests") == str(len(results.cases))
    assert suite.get("failures") == "0"
    page = render_html(results)
    assert "The board conforms" in page
    assert all(f">{case.label}<" in page for case in results.cases)
    assert "CVE-2022-21449" in page


def test_an_interrupted_run_tells_what_it_found_and_is_no_pass(board: MemoryBoard) -> None:
    def interrupt(fraction: float, what: str) -> None:
        if what.startswith("3/"):
            raise KeyboardInterrupt

    found = attack(board.reach, chosen(["rollback"]), progress=interrupt)
    assert len(found.cases) == 3 < found.planned
    assert all(case.status is Status.PASSED for case in found.cases)
    assert not found.passed
    assert "not completed" in render_html(found)


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(EvidenceError, match="'no-such'"):
        chosen(["no-such"])


def test_one_case_can_be_tried_alone(board: MemoryBoard) -> None:
    found = attack(board.reach, chosen(["rollback/waived"]))
    assert [case.name for case in found.cases] == ["rollback/waived"]
    assert found.passed


def test_a_case_that_does_not_exist_is_not_a_pass(board: MemoryBoard) -> None:
    with pytest.raises(EvidenceError, match=r"no case rollback/nothing; its cases are security-0"):
        attack(board.reach, chosen(["rollback/nothing"]))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_board_whose_reader_ends_is_caught(board: MemoryBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(connection.Connection, "_fail", defect)
    monkeypatch.setattr(session, "_PATIENCE_S", 2.0)
    found = attack(board.reach, chosen(["before-hello/big-integer"]))
    assert not found.passed


def test_a_board_that_leaves_the_lock_to_who_sleeps_is_caught(
    board: MemoryBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(greetings, "_EVICTED_S", 3.0)
    monkeypatch.setattr(board._lock, "_idle_s", 1e9)
    found = attack(board.reach, chosen(["idle-holder"]))
    assert [case.observed for case in found.cases] == ["held for 3 s by one who did nothing"]
