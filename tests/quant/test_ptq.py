"""Post-training quantization over captures: conditions count, and progress is told."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from models.captures import Capture, CaptureSet, Conditions
from models.errors import DataError
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.feeds import Sample
from models.quant.fidelity import compared, worst_condition_error
from models.quant.plan import Precision, PrecisionPlan, Rule
from models.quant.produce import produce
from models.quant.ptq import quantize_ptq

MIXED = PrecisionPlan(Precision.INT8, (Rule("fusion*", Precision.INT16),), "mixed")


def _captures(count: int = 12) -> CaptureSet:
    rng = np.random.default_rng(4)
    eo = rng.integers(0, 256, (count, 16, 24, 3), dtype=np.uint8)
    lwir = rng.integers(20_000, 26_000, (count, 16, 24)).astype(np.uint16)
    captures = [
        Capture(f"c{i}", f"s{i}", 24, 16, Conditions((("thermal", "day" if i % 3 else "crossover"),)), ())
        for i in range(count)
    ]
    return CaptureSet.from_arrays("noise", captures, eo, lwir)


@pytest.mark.parametrize("method", list(CalibrationMethod))
def test_every_method_gives_a_faithful_mixed_graph_from_captures(float_graph: bytes, method: CalibrationMethod) -> None:
    told: list[tuple[int, int]] = []
    result = quantize_ptq(float_graph, MIXED, _captures(), method=method, progress=lambda a, b: told.append((a, b)))
    assert {output.name for output in result.outputs} == {"cls_2", "box_2", "kin_2"}
    assert all(output.cosine > 0.99 and output.sqnr_db > 20 for output in result.outputs)
    assert told[-1][0] == told[-1][1] == len(told)
    assert method.value in result.ranges.source


def test_frames_are_fed_as_eight_bits_minus_128(float_graph: bytes) -> None:
    graph = Graph.parse(produce(float_graph, MIXED, calibrate(float_graph, _captures(), CalibrationMethod.MINMAX)))
    frame = np.arange(256, dtype=np.uint8)
    assert {t.name for t in graph.inputs} == {"eo", "lwir"}
    for tensor in graph.inputs:
        assert (tensor.dtype, tensor.scale, tensor.zero_point) == ("int8", pytest.approx(1 / 255, rel=1e-6), -128)
        assert np.array_equal(tensor.quantize(frame / np.float32(255)), frame.astype(np.int16) - 128)


def test_without_a_method_the_graph_is_the_best_of_all_in_its_worst_condition(float_graph: bytes) -> None:
    captures = _captures()
    used = captures.subset([index for index in range(len(captures)) if index not in _held_out(captures)])
    errors = {
        method: worst_condition_error(
            float_graph, quantize_ptq(float_graph, MIXED, captures, method=method).model, used
        )
        for method in CalibrationMethod
    }
    chosen = quantize_ptq(float_graph, MIXED, captures)
    assert worst_condition_error(float_graph, chosen.model, used) == min(errors.values())
    assert min(errors.values()) < max(errors.values())


def _held_out(captures: CaptureSet) -> list[int]:
    """Return every fifth capture of each condition."""
    by_condition: dict[object, list[int]] = {}
    for index, capture in enumerate(captures.captures):
        by_condition.setdefault(capture.conditions, []).append(index)
    return [index for found in by_condition.values() for index in found[4::5]]


def test_what_is_held_out_has_no_part_in_the_graph(float_graph: bytes, samples: list[dict[str, np.ndarray]]) -> None:
    given = [Sample(feed) for feed in samples[:15]]
    changed = [
        Sample({name: value * 3 for name, value in one.feed.items()}) if index % 5 == 4 else one
        for index, one in enumerate(given)
    ]
    plain, other = (quantize_ptq(float_graph, MIXED, data) for data in (given, changed))
    assert plain.model == other.model
    assert plain.outputs == other.outputs
    assert min(output.sqnr_db for output in plain.held_out) > 15 > min(output.sqnr_db for output in other.held_out)
    assert any("held-out" in note for note in other.notes)


def test_a_small_signal_on_a_large_mean_is_not_called_faithful() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(4, 100)).astype(np.float32) * 0.1
    expected = [{"y": 200 + row} for row in signal]
    lost = [{"y": np.full(100, 200.0, np.float32)} for _ in signal]
    (found,) = compared(expected, lost)
    assert found.sqnr_db == pytest.approx(0, abs=0.1)
    assert found.cosine < 0.2
    (plain,) = compared([{"y": row} for row in signal], [{"y": row + 0.001} for row in signal])
    (moved,) = compared(expected, [{"y": 200 + row + np.float32(0.001)} for row in signal])
    assert moved.sqnr_db == pytest.approx(plain.sqnr_db, abs=0.5)


def test_ranges_record_the_digest_of_their_data_and_do_not_depend_on_its_order(float_graph: bytes) -> None:
    captures = _captures()
    shuffled = captures.subset(list(reversed(range(len(captures)))))
    first, second = (calibrate(float_graph, data, CalibrationMethod.WORST_CONDITION) for data in (captures, shuffled))
    assert first.data == captures.digest
    assert first.tensors == second.tensors


def test_a_graph_with_other_inputs_than_frames_is_not_fed_from_captures(float_graph: bytes) -> None:
    from models.quant import editing

    model = editing.read_model(float_graph)
    for entry in model.signatureDefs[0].inputs:
        entry.name = f"other_{entry.name.decode() if isinstance(entry.name, bytes) else entry.name}"
    renamed = editing.write_model(model)
    assert all(t.name.startswith("other_") for t in Graph.parse(renamed).inputs)
    with pytest.raises(DataError, match="captures feed the inputs eo and lwir"):
        calibrate(renamed, _captures())


def test_the_worst_condition_decides_and_not_the_average_over_all_samples() -> None:
    """Counts of a common and a rare category: 100,000 values near zero for each one far out."""
    from models.quant import calibrate as module
    from models.quant import clipping

    rng = np.random.default_rng(0)
    common = clipping.binned(np.abs(rng.normal(size=100_000)), 0.0, 20.0) * 10_000
    rare = clipping.binned(rng.uniform(10, 20, size=100), 0.0, 20.0)
    seen = module._Activation(0.0, 20.0, np.stack([common + rare, common, rare]))
    by_method = {method: module._range("x", seen, method).high for method in CalibrationMethod}
    assert by_method[CalibrationMethod.MINMAX] == 20
    assert by_method[CalibrationMethod.MSE] < 10
    assert by_method[CalibrationMethod.PERCENTILE] < 10
    assert by_method[CalibrationMethod.WORST_CONDITION] > 15
    assert {module._range("x", seen, method).full_high for method in CalibrationMethod} == {25.0}
