"""``ks100 sensitivity``, ``plan`` and ``cost`` from files to files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ks100.cli.main import main
from models.quant.plan import PrecisionPlan
from tests.sensitivity.small_study import stored

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    stored(folder)
    code = main(_sensitivity(folder))
    assert code == 0
    return folder


def _sensitivity(folder: Path, *more: str) -> list[str]:
    return [
        "sensitivity", str(folder / "float.tflite"), "--captures", str(folder / "captures"), "--leaders", "3",
        "--work", str(folder / "kept"), "--out", str(folder / "map.json"), "--html", str(folder / "map.html"), *more,
    ]  # fmt: skip


def _plan(folder: Path, *more: str) -> list[str]:
    return [
        "plan",
        str(folder / "float.tflite"),
        "--map",
        str(folder / "map.json"),
        "--out",
        str(folder / "plan.json"),
        *more,
    ]


def test_a_map_is_printed_drawn_and_found_again(work: Path, capsys) -> None:
    before = (work / "map.json").read_text()
    assert main(_sensitivity(work, "--top", "4")) == 0
    shown = capsys.readouterr().out
    assert "the 4 most sensitive of" in shown
    assert "rank correlation" in shown
    assert "sum 100.0%" in shown
    assert "attention entropy" in shown
    assert (work / "map.json").read_text() == before
    assert (work / "map.html").read_text().count("<svg") == 3


def test_a_plan_is_measured_as_real_graphs_before_it_is_chosen(work: Path, capsys) -> None:
    options = ("--captures", str(work / "captures"), "--work", str(work / "kept"), "--watts", "1.53", "--tries", "2")
    assert main(_plan(work, *options, "--html", str(work / "front.html"))) == 0
    shown = capsys.readouterr().out
    assert "Pareto front" in shown
    assert "as real graphs on hard-dev, and all INT8" in shown
    assert "AP50 against all INT8 on hard-dev: " in shown
    assert "greedy order" in shown
    assert PrecisionPlan.load(work / "plan.json").rules
    assert "<svg" in (work / "front.html").read_text()
    assert main(["cost", str(work / "float.tflite"), "--plan", str(work / "plan.json")]) == 0


def test_an_infeasible_budget_fails_with_the_limit_that_binds(work: Path, capsys) -> None:
    assert main(_plan(work, "--watts", "1.501")) == 1
    assert "W over" in capsys.readouterr().err


def test_a_map_of_another_graph_is_a_usage_error(work: Path, capsys) -> None:
    data = json.loads((work / "map.json").read_text()) | {"model": "0" * 64}
    (work / "other.json").write_text(json.dumps(data))
    assert main(["plan", str(work / "float.tflite"), "--map", str(work / "other.json")]) == 2
    assert "another graph" in capsys.readouterr().err


def test_a_hand_written_plan_is_checked(work: Path, capsys) -> None:
    (work / "hand.json").write_text('{"default": "int8", "rules": [{"match": "no_such_layer", "precision": "int16"}]}')
    assert main(["cost", str(work / "float.tflite"), "--plan", str(work / "hand.json")]) == 2
    assert "no_such_layer" in capsys.readouterr().err


def test_the_cost_table_shows_a_roofline_and_the_source_of_every_number(work: Path, capsys) -> None:
    page = work / "roofline.html"
    assert main(["cost", str(work / "float.tflite"), "--plan", "mixed", "--constants", "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    assert "MODELLED" in shown
    assert "assumed" in shown
    assert "<svg" in page.read_text()
    assert main(["cost", "no-such-network"]) == 2
    assert "fusion-transformer" in capsys.readouterr().err
