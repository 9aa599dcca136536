"""The history keeps every run once, and says how much figures vary between like runs."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tests.hil.hil_examples as example
from hil.comparison.history import History
from hil.comparison.spread import pooled_spread
from hil.errors import EvidenceError, ResultsError
from hil.measurements.measurement import Better
from hil.measurements.results import HilResults


def run(number: int, power_mw: float, payload: str = "ab" * 32, serial: str = "B1") -> HilResults:
    results = example.results()
    assert results.package is not None
    assert results.board is not None
    power = replace(example.figure("power_total", power_mw, "mW"), better=Better.LOWER)
    return replace(
        results, started_s=example.STARTED_S + 3600 * number, measurements=(power,),
        package=replace(results.package, payload_sha256=payload), board=replace(results.board, serial=serial),
    )  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Return a history of two packages on two boards: 1 % between runs, 10 % between packages, 5 % between boards."""
    path = tmp_path_factory.mktemp("runs") / "h"
    random, history, number = np.random.default_rng(2), History(path), 0
    for package, of_package in (("ab", 2000.0), ("cd", 2200.0)):
        for serial, of_board in (("B1", 1.0), ("B2", 1.05)):
            for _ in range(12):
                value = of_package * of_board * (1 + 0.01 * random.normal())
                number += 1
                assert history.append(run(number, value, package * 32, serial), path.parent) == number
    return history


def test_a_run_is_kept_once_with_its_figures(tmp_path: Path) -> None:
    history, results = History(tmp_path / "deep" / "hil.sqlite"), run(1, 2000.0)
    assert history.append(results, tmp_path) == history.append(results, tmp_path) == 1
    kept = history.runs()
    assert [(item.model, item.serial, item.verdict) for item in kept] == [("fusion-small", "B1", "pass")]
    assert history.figures(1) == [("power_total", 2000.0, "mW")]
    with pytest.raises(EvidenceError, match="has no run 2"):
        history.figures(2)


def test_a_run_without_a_board_is_not_kept(tmp_path: Path) -> None:
    assert History(tmp_path / "h").append(example.results(board=None), tmp_path) is None
    assert not (tmp_path / "h").exists()


def test_the_variation_is_that_within_packages_and_boards(filled: History) -> None:
    on_one = filled.spreads(run(90, 1.0), run(91, 1.0, "cd" * 32))["power_total"]
    assert on_one.deviation == pytest.approx(0.01, rel=0.3)
    assert (on_one.freedom, on_one.runs) == (44, 48)
    on_two = filled.spreads(run(90, 1.0), run(91, 1.0, serial="B2"))["power_total"]
    assert on_two.deviation > 2 * on_one.deviation, "two boards differ by more than two runs on one"


def test_runs_of_another_setup_do_not_count(filled: History, tmp_path: Path) -> None:
    other = replace(run(90, 1.0), link="serial")
    assert filled.spreads(other, other) == {}
    assert History(tmp_path / "none").spreads(other, other) == {}


def test_too_few_runs_give_no_variation_and_a_pooled_one_is_that_of_its_groups() -> None:
    assert pooled_spread([[1.0, 1.01], [5.0], [], [2.0, 2.1, 2.0]]) is None
    found = pooled_spread([[0.9, 1.1] * 5, [9.0, 11.0] * 5])
    assert found is not None
    assert found.deviation == pytest.approx(0.1 * np.sqrt(20 / 18))


def test_several_programs_append_at_once(tmp_path: Path) -> None:
    def append(first: int) -> None:
        for number in range(first, first + 5):
            History(tmp_path / "h").append(run(number, 2000.0), tmp_path)

    threads = [threading.Thread(target=append, args=(5 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(History(tmp_path / "h").runs()) == 20


def test_a_file_that_is_no_history_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but longer than its header would be" * 4)
    with pytest.raises(EvidenceError, match=r"text is not a history"):
        History(tmp_path / "text").runs()
    with sqlite3.connect(tmp_path / "other") as data:
        data.execute("create table mine (x)")
    with pytest.raises(EvidenceError, match="something else"):
        History(tmp_path / "other").append(run(1, 2000.0), tmp_path)
    with pytest.raises(ResultsError, match="cannot be"):
        History(tmp_path / "text" / "h").append(run(1, 2000.0), tmp_path)


def test_the_commands_show_runs_figures_and_their_trend(
    filled: History, tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    path = filled.path
    code, out, _ = said("hil", "history", "list", "--history", path, "--last", 3)
    assert (code, out.count("fusion-small 1.0.0")) == (0, 3)
    assert "power_total" in said("hil", "history", "show", 7, "--history", path)[1]
    code, out, _ = said("hil", "history", "trend", "power_total", "--history", path, "--svg", tmp_path / "t.svg")
    assert (code, out.count("fusion-small")) == (0, 48)
    assert (tmp_path / "t.svg").read_text().count("<circle") == 48
    code, _, err = said("hil", "history", "trend", "nothing", "--history", path)
    assert (code, "there are: power_total" in err) == (2, True)


def test_reading_writes_nothing_and_an_empty_file_becomes_a_history_with_its_first_run(tmp_path: Path) -> None:
    (tmp_path / "h").touch()
    history = History(tmp_path / "h")
    assert history.runs() == []
    assert (tmp_path / "h").read_bytes() == b""
    history.append(run(1, 2000.0), tmp_path)
    assert [item.id for item in history.runs()] == [1]
