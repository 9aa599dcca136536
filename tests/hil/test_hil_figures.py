"""Power, quantiles, parity and comparisons: the arithmetic behind the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.hil.hil_examples as example
from hil.checks.board_frames import frames_for_link, spread
from hil.checks.board_session import Comparison
from hil.checks.suite_request import SuiteRequest
from hil.comparison.changes import Change
from hil.comparison.policy import ComparisonPolicy
from hil.comparison.runs import compare
from hil.comparison.spread import RunSpread
from hil.errors import EvidenceError
from hil.measurements.measurement import Better, Limit, Margin, Varies
from hil.measurements.quantiles import interval, quantile
from hil.measurements.recorder import Recorder
from hil.measurements.results import SuiteVerdict
from models.errors import DataError
from models.evaluation.detections import load_detections, save_detections
from models.heads import Detections


@given(st.lists(st.floats(0.1, 1e4), min_size=64, max_size=400), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_a_sample_that_the_share_does_not_exceed(values: list[float], share: float) -> None:
    samples = np.array(values)
    found = quantile(samples, share)
    assert found in samples
    assert (samples <= found).mean() >= share - 1e-9
    low, high = interval(samples, share)
    assert low <= found <= high


def run(seed: int, median_ms: float, frames: int = 600) -> Any:
    measured = example.measured(seed, frames, median_ms)
    samples = np.array(measured.latency_ms)
    figures = tuple(example.latency(share, quantile(samples, share), n=frames) for share in (0.5, 0.9, 0.99))
    loop = replace(example.results().loop, frames=frames)
    return example.results(measured=measured, measurements=figures, loop=loop)


KNOWN = RunSpread(0.004, 30, 40)
SPREADS = dict.fromkeys(
    ("latency_p50", "latency_p90", "latency_p99", "frame_rate", "power_total", "case_temperature_p90"), KNOWN
)


def changes(before: Any, after: Any) -> dict[str, Change]:
    return {row.name: row.change for row in compare(before, after, spreads=SPREADS).rows}


def test_without_earlier_runs_nothing_that_varies_is_decided_and_it_is_said_what_it_takes() -> None:
    found = compare(run(1, 3.4), run(2, 4.2))
    assert {row.change for row in found.rows} == {Change.INCONCLUSIVE}
    assert found.verdict is SuiteVerdict.INCONCLUSIVE
    assert all("--against" in row.note for row in found.rows)


def test_a_figure_that_never_varies_is_compared_by_its_value() -> None:
    def count(ops: int, began_s: float = 0.0) -> Any:
        exact = example.figure("npu_ops", ops, "1", better=Better.HIGHER, margin=Margin(0.0), varies=Varies.NEVER)
        return replace(example.results(measurements=(exact,)), started_s=began_s)

    assert compare(count(80), count(80, 9.0)).rows[0].change is Change.SAME
    assert compare(count(80), count(79)).rows[0].change is Change.WORSE


def test_accuracy_of_another_graph_is_left_to_the_gate() -> None:
    def found(points: float, digest: str) -> Any:
        ap50 = example.figure("hard_ap50_board", points, "points", better=Better.HIGHER, varies=Varies.FRAMES)
        package = replace(example.results().package, payload_sha256=digest)
        return example.results(measurements=(ap50,), package=package)

    row = compare(found(58.0, "ab" * 32), found(58.0, "cd" * 32)).rows[0]
    assert (row.change, "--captures" in row.note) == (Change.INCONCLUSIVE, True)
    assert compare(found(58.0, "ab" * 32), replace(found(58.0, "ab" * 32), started_s=9.0)).rows[0].change is Change.SAME


def test_the_policys_margins_and_limits_decide() -> None:
    policy = ComparisonPolicy(margins={"latency_*": Margin(0.5)}, limits={"latency_p50": Limit(high=3.0, why="x")})
    found = compare(run(1, 3.4), run(2, 4.2), policy, spreads=SPREADS)
    assert {row.change for row in found.rows} == {Change.SAME}
    assert found.verdict is SuiteVerdict.LIMIT_FAILED
    assert "the policy's limit ≤ 3 ms (x)" in found.over[0]


def test_two_runs_of_the_same_board_are_the_same() -> None:
    found = compare(run(1, 3.4), run(2, 3.4), ComparisonPolicy(margins={"latency_*": Margin(0.05)}), spreads=SPREADS)
    assert {row.change for row in found.rows} == {Change.SAME}
    assert found.verdict is SuiteVerdict.PASS


def test_a_slower_run_is_worse_and_a_faster_one_better() -> None:
    assert set(changes(run(1, 3.4), run(2, 4.2)).values()) == {Change.WORSE}
    assert set(changes(run(1, 4.2), run(2, 3.4)).values()) == {Change.BETTER}


def test_a_difference_near_the_margin_is_inconclusive_and_not_a_pass() -> None:
    found = compare(run(1, 3.4), run(2, 3.4 + 0.015 * 3.5), spreads=SPREADS)
    assert Change.INCONCLUSIVE in {row.change for row in found.rows}
    assert found.verdict is SuiteVerdict.INCONCLUSIVE


def test_fewer_frames_a_second_are_worse_and_more_are_better() -> None:
    before, slow, fast = (
        example.results(measurements=(example.figure("frame_rate", v, "1/s", better=Better.HIGHER),))
        for v in (60, 40, 90)
    )
    assert changes(before, slow) == {"frame_rate": Change.WORSE}
    assert changes(before, fast) == {"frame_rate": Change.BETTER}


def own(median_c: float, seed: int, better: Better = Better.LOWER) -> Any:
    """Return a run with a measurement of a user's own: the 90 % quantile of a temperature, with its samples."""
    drawn = median_c + np.random.default_rng(seed).normal(0, 0.5, 200)
    recorder = Recorder(example.results(measurements=(), samples={}), None)
    recorder.figure(
        "case_temperature_p90", quantile(drawn, 0.9), "C", n=200, better=better, margin=Margin(0.0, 1.0),
        quantile=0.9, series=recorder.samples("case_temperature", drawn),
    )  # fmt: skip
    return recorder.results


def test_a_measurement_of_ones_own_is_compared_by_its_own_direction_margin_and_samples() -> None:
    assert changes(own(50, 1), own(50.2, 2)) == {"case_temperature_p90": Change.SAME}
    assert changes(own(50, 1), own(53, 2)) == {"case_temperature_p90": Change.WORSE}
    assert changes(own(50, 1, Better.HIGHER), own(53, 2, Better.HIGHER)) == {"case_temperature_p90": Change.BETTER}
    row = compare(own(50, 1), own(50.2, 2), spreads=SPREADS).rows[0]
    half = KNOWN.half_width(row.before, 0.95)
    assert (row.low, row.high) == pytest.approx((row.after - row.before - half, row.after - row.before + half))
    assert row.margin == 1.0


def test_a_figure_that_improves_neither_way_is_not_compared() -> None:
    with pytest.raises(EvidenceError, match="no figure in common"):
        compare(own(50, 1, Better.NEITHER), own(53, 2, Better.NEITHER))


def test_a_figure_whose_direction_changed_between_the_runs_is_not_compared() -> None:
    with pytest.raises(EvidenceError, match="direction"):
        compare(own(50, 1), own(50, 2, Better.HIGHER))


def test_a_quantile_without_its_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="series"):
        example.figure("p99", 1.0, quantile=0.99)


@pytest.mark.parametrize(
    "changed",
    [
        {"board": example.board_info(emulated=False)},
        {"board": replace(example.board_info(), board="ks200")},
        {"link": "serial"},
        {"board": None},
    ],
)
def test_runs_of_different_sources_boards_or_links_are_not_compared(changed: dict[str, Any]) -> None:
    with pytest.raises(EvidenceError):
        compare(example.results(), replace(example.results(), **changed))


class Constant:
    """A session that always gives the same outputs."""

    graph: Any = None

    def __init__(self, **outputs: np.ndarray) -> None:
        self.outputs = outputs

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - they are always the same
        return dict(self.outputs)


def test_parity_counts_differing_values_and_the_largest_step() -> None:
    comparison = Comparison(Constant(a=np.array([1, -128, 5], np.int8)), Constant(a=np.array([1, 127, 4], np.int8)))
    comparison.run({})
    assert (comparison.elements, comparison.differing, comparison.largest_steps) == (3, 2, 255)


def test_parity_of_different_outputs_is_refused() -> None:
    one, other = Constant(a=np.zeros(3, np.int8)), Constant(a=np.zeros(3, np.int16))
    with pytest.raises(EvidenceError):
        Comparison(one, other).run({})


@given(st.integers(1, 500), st.integers(1, 500))
def test_spread_gives_that_many_distinct_positions(available: int, count: int) -> None:
    count = min(available, count)
    found = spread(available, count)
    assert len(found) == count
    assert found == sorted(found)
    assert 0 <= found[0] <= found[-1] < available


def test_a_serial_line_limits_the_frames_and_says_so() -> None:
    from firmware_bridge.device.graph import Graph
    from tests.hil.hil_bench import DETECTOR

    graph = Graph.parse(DETECTOR.read_bytes())
    count, why = frames_for_link(SuiteRequest("emu:?link=serial"), graph, 200)
    assert 10 < count < 60
    assert "--ks-frames" in why
    assert frames_for_link(SuiteRequest("emu:"), graph, 200) == (200, "")
    slow, _ = frames_for_link(SuiteRequest("serial:///dev/ttyUSB0?baud=115200"), graph, 200)
    assert slow < count
    assert frames_for_link(SuiteRequest("emu:", frames=5), graph, 200)[0] == 5


def test_detections_come_back_from_disk_equal(tmp_path: Any) -> None:
    def found(n: int) -> Detections:
        ones = np.arange(n, dtype=np.float32)
        return Detections(np.ones((n, 4), np.float32), ones, np.arange(n), ones, ones)

    items = {"board": [found(2), found(0), found(3)], "host": [found(0), found(0), found(0)]}
    save_detections(tmp_path / "d.npz", ["a", "b", "c"], items)
    captures, back = load_detections(tmp_path / "d.npz")
    assert captures == ("a", "b", "c")
    for model, frames in items.items():
        for mine, theirs in zip(frames, back[model], strict=True):
            for part in ("boxes", "scores", "classes", "range_m", "velocity_mps"):
                np.testing.assert_array_equal(getattr(mine, part), getattr(theirs, part))


def test_damaged_detections_are_refused(tmp_path: Any) -> None:
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DataError):
        load_detections(tmp_path / "d.npz")
