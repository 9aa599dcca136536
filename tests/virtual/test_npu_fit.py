"""Fitting a profile: constants of another board are found again, and a trace that cannot tell them is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from hashlib import sha256
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile, profile_text
from hil.errors import EvidenceError
from hil.virtual.npu_fit import TraceRun, fit_constants, with_constants
from ks100.steps.npu_trace import Trace
from tests.target.synthetic_graph import graph_of_work

_TEXT = profile_text("ks100")
_TRUTH = {
    "npu.INT8.macs_per_s": 4.1e11,
    "npu.INT8.elements_per_s": 2.0e10,
    "npu.INT8.mac_pj": 31.0,
    "npu.INT8.element_pj": 60.0,
    "npu_overhead.op_s": 5e-6,
    "memory.dram_bytes_per_s": 4e9,
    "memory.dram_pj_per_byte": 150.0,
}
_MAC_BOUND: dict[str, float] = {"macs": 4e8, "elements": 1e5, "weight_bytes": 1e4}
_ELEMENT_BOUND = {"macs": 1e5, "elements": 3e6, "weight_bytes": 1e3}
_DRAM_BOUND = {"macs": 1e6, "elements": 1e4, "weight_bytes": 3e6}
_TINY = {"macs": 1e3, "elements": 1e2, "weight_bytes": 1e2}


def _graphs(*mixes: Sequence[dict[str, float]]) -> list[Graph]:
    return [graph_of_work(*(("CONV_2D", "INT8", work) for work in mix)) for mix in mixes]


_VARIED = _graphs(
    [_MAC_BOUND] * 3, [_ELEMENT_BOUND] * 3, [_DRAM_BOUND] * 3, [_TINY] * 40, [_MAC_BOUND, _DRAM_BOUND],
    [_ELEMENT_BOUND, _MAC_BOUND] * 2, [_DRAM_BOUND, _TINY] * 4,
)  # fmt: skip


def _measured(graphs: Sequence[Graph], noise: float = 0.003) -> list[TraceRun]:
    """What a board with `_TRUTH` would have been measured to take."""
    board = BoardProfile.parse(with_constants(_TEXT, _TRUTH, "truth"), "truth")
    rng = np.random.default_rng(3)
    runs = []
    for number, graph in enumerate(graphs):
        found = cost(graph, board)
        latency, energy = (1 + noise * rng.standard_normal(2)) * (found.latency_ms, found.energy_mj)
        runs.append(
            TraceRun(
                graph=f"{number}.tflite", sha256="", latency_ms=latency, energy_mj=energy, latency_error=noise,
                energy_error=noise,
            )
        )  # fmt: skip
    return runs


def test_the_constants_of_another_board_are_found_within_two_per_cent_and_their_intervals():
    found = fit_constants(_TEXT, "ks100", _VARIED, _measured(_VARIED), tuple(_TRUTH))
    fitted = {item.key: item for item in found.constants}
    assert set(fitted) == set(_TRUTH)
    for key, value in _TRUTH.items():
        assert fitted[key].value == pytest.approx(value, rel=0.02), key
        assert fitted[key].low < fitted[key].value < fitted[key].high
        assert not fitted[key].wide
    inside = [item.low <= _TRUTH[key] <= item.high for key, item in fitted.items()]
    assert sum(inside) >= len(inside) - 1
    assert np.abs(found.residuals).max() < 0.015


def test_the_fitted_profile_says_where_its_numbers_come_from_and_changes_no_other():
    found = fit_constants(_TEXT, "ks100", _VARIED, _measured(_VARIED), ("npu.INT8.mac_pj",))
    before, after = BoardProfile.load("ks100"), BoardProfile.parse(found.text, "fitted")
    changed = [new for old, new in zip(before.constants, after.constants, strict=True) if old != new]
    assert [item.key for item in changed] == ["npu.INT8.mac_pj"]
    assert changed[0].source == "fitted to 7 measured graphs"
    same = {field.name for field in dataclasses.fields(before)} - {"npu", "constants"}
    assert all(getattr(before, name) == getattr(after, name) for name in same)


def test_what_the_graphs_cannot_tell_apart_is_refused_by_name():
    graphs = _graphs(*[[_MAC_BOUND] * count for count in (1, 2, 3, 4, 5, 6)])
    with pytest.raises(EvidenceError, match=r"cannot tell .*npu\.INT8\.mac_pj.* apart"):
        fit_constants(_TEXT, "ks100", graphs, _measured(graphs), ("npu.INT8.mac_pj", "npu.INT8.element_pj"))


def test_too_few_graphs_are_refused_with_how_many_it_takes():
    with pytest.raises(EvidenceError, match="measure at least 4 graphs"):
        fit_constants(_TEXT, "ks100", _VARIED[:3], _measured(_VARIED[:3]), tuple(_TRUTH))


def test_a_constant_that_no_graph_uses_or_that_is_not_there_is_named():
    with pytest.raises(EvidenceError, match=r"no graph of the trace depends on npu\.INT16\.mac_pj"):
        fit_constants(_TEXT, "ks100", _VARIED, _measured(_VARIED), ("npu.INT16.mac_pj",))
    with pytest.raises(EvidenceError, match=r"no constant npu\.INT9"):
        fit_constants(_TEXT, "ks100", _VARIED, _measured(_VARIED), ("npu.INT9.*",))


def test_the_command_refuses_a_graph_that_was_not_measured_and_a_trace_of_one(said, tmp_path):
    tiny = Path(str(resources.files("hil.conformance") / "tiny.tflite")).read_bytes()
    (tmp_path / "a.tflite").write_bytes(tiny)
    run = TraceRun(graph="a.tflite", sha256=sha256(tiny).hexdigest(), latency_ms=0.1, energy_mj=0.1)
    Trace("a board", (run,)).save(tmp_path / "trace.json")
    code, _, err = said("npu", "fit", tmp_path / "trace.json")
    assert (code, err.count("\n")) == (2, 1)
    assert "measure at least" in err
    (tmp_path / "a.tflite").write_bytes(tiny + b"\0")
    code, _, err = said("npu", "fit", tmp_path / "trace.json")
    assert (code, err.count("\n")) == (2, 1)
    assert "is not the graph that was measured" in err
