"""Comparisons by blocks: intervals that may be looked at, changes that are found, and what is said of open ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hil.comparison.blocks import Block, LegFigure, is_decided, judge_blocks
from hil.comparison.changes import Change, verdict_of
from hil.comparison.intervals import blocks_needed, confidence_sequence, sequence_width, student_interval, student_width
from hil.comparison.policy import ComparisonPolicy
from hil.errors import SuiteError
from hil.measurements.measurement import Better, Margin
from hil.measurements.results import SuiteVerdict
from tests.hil.simulated_boards import compared

POLICY = ComparisonPolicy()
LOAD = (8.0, 40.0)


def ever_wrong(width: object, looks: int, count: int = 2000) -> float:
    """Return how often an interval misses the mean, 0, at any of the looks after 2 to ``looks`` blocks."""
    drawn = np.random.default_rng(3).normal(size=(count, looks))
    blocks = np.arange(1, looks + 1)
    mean = drawn.cumsum(axis=1) / blocks
    spread = np.sqrt((drawn**2).cumsum(axis=1) - blocks * mean**2)[:, 1:] / np.sqrt(blocks[1:] - 1)
    half = np.array([width(int(n), 0.95) for n in blocks[1:]])  # type: ignore[operator]
    return float((np.abs(mean[:, 1:]) > half * spread).any(axis=1).mean())


def test_a_confidence_sequence_may_be_looked_at_after_each_block_and_students_interval_may_not() -> None:
    assert ever_wrong(sequence_width, 60) <= 0.05
    assert ever_wrong(student_width, 60) > 0.2


def test_students_interval_is_the_textbooks() -> None:
    assert student_interval([1.0, 2.0, 3.0, 4.0], 0.95) == pytest.approx((0.4457, 4.5543), abs=1e-3)


def test_an_interval_of_one_block_or_with_no_number_is_everything() -> None:
    assert confidence_sequence([1.0], 0.95) == confidence_sequence([1.0, np.nan, 2.0, 1.0, 1.0], 0.95)
    assert confidence_sequence([1.0], 0.95) == (-np.inf, np.inf)


def test_the_blocks_that_it_would_take_are_enough_as_often_as_it_says() -> None:
    needed = blocks_needed(1.0, 0.9, 0.95, 0.8)
    assert needed is not None
    drawn = np.random.default_rng(1).normal(size=(2000, needed))
    half = sequence_width(needed, 0.95) * drawn.std(axis=1, ddof=1)
    assert (drawn.mean(axis=1) + half < 0.9).mean() == pytest.approx(0.8, abs=0.05)
    assert blocks_needed(1.0, 0.0, 0.95, 0.8) is None
    assert blocks_needed(1.0, 1e-9, 0.95, 0.8) is None


def test_a_board_against_itself_is_not_worse_and_stops_early() -> None:
    rows, blocks = compared(1, LOAD, LOAD, 16)
    assert verdict_of(rows) is SuiteVerdict.PASS
    assert len(blocks) < 12


@pytest.mark.parametrize(("after", "figure"), [((8.24, 40.0), "latency_p"), ((8.0, 41.2), "energy_per_frame")])
def test_a_rise_of_three_percent_is_found_through_noise(after: tuple[float, float], figure: str) -> None:
    rows, blocks = compared(2, LOAD, after, 16)
    worse = [row.name for row in rows if row.change is Change.WORSE]
    assert worse
    assert all(name.startswith(figure) for name in worse)
    assert verdict_of(rows) is SuiteVerdict.LIMIT_FAILED
    assert [block.candidate_first for block in blocks[:3]] == [False, True, False]


def block(before: float, after: float, **more: object) -> Block:
    one, other = (LegFigure(value, "1/s", **more) for value in (before, after))  # type: ignore[arg-type]
    return Block({"frame_rate": one}, {"frame_rate": other})


def test_a_figure_that_should_be_high_is_worse_when_it_falls() -> None:
    blocks = [block(60 + 0.1 * n % 3, 50 + 0.2 * n % 3, better=Better.HIGHER) for n in range(6)]
    assert judge_blocks(blocks, POLICY)[0].change is Change.WORSE
    turned = [Block(item.after, item.before) for item in blocks]
    assert judge_blocks(turned, POLICY)[0].change is Change.BETTER


def test_what_a_leg_could_not_measure_is_missing_and_no_pass() -> None:
    good = block(60.0, 60.0)
    bad = Block(good.before, {"frame_rate": LegFigure(float("nan"), "1/s", invalid="the sensor is stuck")})
    row = judge_blocks([good, bad], POLICY)[0]
    assert (row.change, row.note) == (Change.MISSING, "block 2, candidate: the sensor is stuck")
    assert verdict_of([row]) is SuiteVerdict.INCONCLUSIVE


def test_an_open_figure_says_how_many_blocks_would_decide_it() -> None:
    drawn = np.random.default_rng(4).normal(60, 0.5, (5, 2))
    row = judge_blocks([block(*pair) for pair in drawn], ComparisonPolicy(margins={"*": Margin(0.0, 0.5)}))[0]
    assert row.change is Change.INCONCLUSIVE
    assert row.note.startswith("about ")
    assert not is_decided([row])
    assert is_decided([row, replace(row, change=Change.WORSE)])


def test_a_policy_is_read_and_the_longest_name_that_fits_counts(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[margins]\n"*" = { relative = 0.1 }\n"power_*" = { absolute = 20.0 }\n[accuracy]\npower = 0.9\n')
    policy = ComparisonPolicy.load(path)
    assert policy.margin("power_total") == Margin(0.0, 20.0)
    assert policy.margin("own_figure", Margin(0.5)) == Margin(0.1)
    assert ComparisonPolicy().margin("own_figure", Margin(0.5)) == Margin(0.5)
    assert policy.accuracy.power == 0.9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("margin = 1", "unknown field margin; known are confidence"),
        ("confidence = 1.0", "confidence must be over 0.5 and under 1"),
        ("[margins]\nx = { relative = -0.1 }", r"margins\.x must not be negative"),
        ("[margins]\nx = 0.1", "margins"),
        ("[limits]\nx = { why = 'y' }", r"limits\.x has neither low nor high"),
        ("[accuracy]\nmin_scenes = 0", "min_scenes must be at least 2"),
        ("[[", "is not a policy of comparisons"),
    ],
)
def test_a_wrong_policy_is_one_line_that_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(SuiteError, match=said) as caught:
        ComparisonPolicy.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
