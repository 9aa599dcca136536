"""A candidate and a baseline on one real emulated board, in turns: what is installed, and what is left there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_bridge.package.container import PackageFile, build
from hil.against import BlockPlan, one_board, run_blocks
from hil.boards import open_board
from hil.comparison.interleaved import BlockComparison, LegLoop
from hil.comparison.policy import ComparisonPolicy
from hil.conformance.signing_kit import manifest_of
from hil.errors import EvidenceError
from hil.measurements.results import HilResults, SuiteVerdict
from ks100.errors import ExitCode
from tests.agent.board_kit import Office, graph_bytes

BLOCKS = 3


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


def plan(office: Office, candidate: object) -> BlockPlan:
    baseline = office.package(graph_bytes(1))
    loop = LegLoop(frames=70, warmup=2, idle_s=0.25)
    return BlockPlan(
        baseline, candidate, office.trust(), None, None, None, ComparisonPolicy(), BLOCKS, loop
    )  # type: ignore[arg-type]  # fmt: skip


def test_each_is_pushed_once_and_runs_in_turns_and_the_board_keeps_the_baseline(office: Office, tmp_path: Path) -> None:
    said: list[str] = []
    with one_board("emu:?link=serial") as url:
        candidate = office.package(graph_bytes(2))
        found = run_blocks(url, plan(office, candidate), tmp_path, lambda _, text: said.append(text))
        with open_board(url) as board:
            info, log = board.info(), board.audit()
    assert len(found.blocks) == BLOCKS, "three blocks decide nothing"
    assert [block.candidate_first for block in found.blocks] == [False, True, False]
    actions = [entry.action for entry in log]
    assert actions.count("install") == 2
    assert actions.count("activate") == 2 * BLOCKS + 2, "one each leg, the baseline's own, and the last"
    states = {slot.name: slot.state for slot in info.slots}
    assert (states[info.active], sorted(states.values())) == ("confirmed", ["confirmed", "installed"])
    assert any(f"at most {BLOCKS}" in text for text in said)
    assert BlockComparison.load(tmp_path).blocks == found.blocks
    assert HilResults.load(tmp_path).verdict is SuiteVerdict.INCOMPLETE, "the suite has not run yet"
    assert found.verdict is SuiteVerdict.INCONCLUSIVE
    assert all("would decide it" in row.note for row in found.rows if row.change.value == "inconclusive")


def test_packages_of_two_programs_are_not_compared(office: Office, tmp_path: Path) -> None:
    payload = graph_bytes(2)
    other = PackageFile.of(build(manifest_of(payload, "heron", "ks100", version="1.0.0"), payload, office.other))
    with one_board("emu:?link=serial") as url, pytest.raises(EvidenceError, match="different programs"):
        run_blocks(url, plan(office, other), tmp_path, lambda *_: None)


def test_what_cannot_be_a_baseline_is_named_before_anything_runs(
    office: Office, tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "new.ksm").write_bytes(office.package(graph_bytes(1)).data)
    (tmp_path / "trust.ksr").write_bytes(office.trust())
    (tmp_path / "old.json").write_text(json.dumps({"schema": 1}))
    for name, words in (("old.json", "schema 1"), ("trust.ksr", "")):
        code, _, err = said(
            "hil", "run", tmp_path / "new.ksm", "--against", tmp_path / name, "--results", tmp_path / "r"
        )
        assert code in (ExitCode.USAGE, ExitCode.REJECTED), err
        assert words in err
    assert not (tmp_path / "r").exists()
