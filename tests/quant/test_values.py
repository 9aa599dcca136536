"""What no kernel computes correctly with is found in the graph's own values, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from models.errors import QuantizationError
from models.quant import editing, grid
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.feeds import Sample
from models.quant.plan import STANDARD_PLANS, Precision
from models.quant.produce import produce
from models.quant.ptq import quantize_ptq
from models.quant.ranges import Ranges, TensorRange
from models.quant.trials import Trials
from models.quant.values import value_problems

INT8, INT16 = STANDARD_PLANS["int8"], STANDARD_PLANS["int16"]


@pytest.fixture(scope="module")
def layers() -> bytes:
    """A convolution with RELU6 called ``conv``, and a sum with the input called ``sum``."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernel = tf.constant(rng.normal(size=(1, 1, 4, 4)).astype(np.float32))
    module = tf.Module()

    def run(x):
        seen = tf.nn.relu6(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME", name="conv"), [0.1, 0.2, 0.3, 0.4]))
        return {"y": tf.add(seen, x, name="sum")}

    module.f = tf.function(run, input_signature=[tf.TensorSpec((1, 4, 4, 4), tf.float32, name="x")])
    concrete = module.f.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


@pytest.fixture(scope="module")
def feeds() -> list[Sample]:
    rng = np.random.default_rng(1)
    return [Sample({"x": rng.uniform(-1, 1, (1, 4, 4, 4)).astype(np.float32)}) for _ in range(6)]


def _edited(layers: bytes, feeds: list[Sample], plan: Any, change: Callable[[Any, dict[str, Any]], None]) -> Any:
    """Return the object form of the produced graph after ``change(model, tensors by role)``."""
    ranges = calibrate(layers, feeds, CalibrationMethod.MINMAX)
    model = editing.read_model(produce(layers, plan, ranges))
    codes, tensors = editing.operator_names(model), model.subgraphs[0].tensors
    conv = next(op for op in model.subgraphs[0].operators if codes[op.opcodeIndex] == "CONV_2D")
    roles = dict(zip(("input", "weights", "bias"), (tensors[i] for i in conv.inputs), strict=True))
    change(model, {**roles, "output": tensors[int(conv.outputs[0])]})
    return model


def _set_bias(model: Any, tensors: dict[str, Any], value: int, dtype: Any) -> None:
    buffer = model.buffers[tensors["bias"].buffer]
    values = np.frombuffer(bytes(buffer.data), dtype).copy()
    values[2] = value
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)


def test_sound_graphs_have_no_problem(layers: bytes, feeds: list[Sample]) -> None:
    for plan in (INT8, INT16):
        assert value_problems(_edited(layers, feeds, plan, lambda *_: None)) == ()


@pytest.mark.parametrize(("plan", "dtype"), [(INT8, np.int32), (INT16, np.int64)])
def test_a_clipped_bias_is_named_with_its_channel(layers: bytes, feeds: list[Sample], plan: Any, dtype: Any) -> None:
    model = _edited(layers, feeds, plan, lambda m, t: _set_bias(m, t, 2**31 - 1, dtype))
    (problem,) = value_problems(model)
    assert "bias" in problem
    assert "channel 2" in problem


@pytest.mark.parametrize(
    ("role", "scale", "found"),
    [
        ("output", 1e-40, "no normal 32-bit float"),
        ("input", float("inf"), "no normal 32-bit float"),
        ("output", 1e-9, "ratio of the sum to the output"),
        ("output", 1e12, "ratio of the sum to the output"),
        ("bias", 1.0, "scale is not that of input times weights"),
    ],
)
def test_scales_that_no_kernel_computes_with_are_named(
    layers: bytes, feeds: list[Sample], role: str, scale: float, found: str
) -> None:
    def change(_: Any, tensors: dict[str, Any]) -> None:
        held = tensors[role].quantization
        held.scale = np.full(len(held.scale), scale, np.float32)

    assert any(found in problem for problem in value_problems(_edited(layers, feeds, INT8, change)))


def test_a_zero_point_in_sixteen_bits_is_named(layers: bytes, feeds: list[Sample]) -> None:
    def change(_: Any, tensors: dict[str, Any]) -> None:
        tensors["output"].quantization.zeroPoint = np.array([3], np.int64)

    (problem,) = value_problems(_edited(layers, feeds, INT16, change))
    assert "zero point of channel 0 is 3" in problem


def test_a_graph_that_ends_its_process_is_survived_and_its_operation_named(layers: bytes, feeds: list[Sample]) -> None:
    """ADD ends the process where its output is 2^20 times finer than its inputs."""
    model = editing.read_model(produce(layers, INT8, calibrate(layers, feeds, CalibrationMethod.MINMAX)))
    codes = editing.operator_names(model)
    added = next(op for op in model.subgraphs[0].operators if codes[op.opcodeIndex] == "ADD")
    model.subgraphs[0].tensors[int(added.outputs[0])].quantization.scale = np.array([1e-12], np.float32)
    with Trials() as trials:
        with pytest.raises(QuantizationError, match=r"does not survive it: ADD '.*' ends the process"):
            trials.outputs(editing.write_model(model), feeds)
        sound = produce(layers, INT8, calibrate(layers, feeds, CalibrationMethod.MINMAX))
        assert len(trials.outputs(sound, feeds)) == len(feeds)


@pytest.mark.parametrize("plan", [INT8, INT16], ids=lambda plan: plan.name)
@pytest.mark.parametrize("faded", [1e-7, 1e-12])
def test_activations_far_finer_than_what_they_are_made_of_are_written_as_kernels_take_them(
    layers: bytes, feeds: list[Sample], plan: Any, faded: float
) -> None:
    ranges = calibrate(layers, feeds, CalibrationMethod.MINMAX)
    graph = Graph.parse(layers)
    tight = {op.name: TensorRange.plain(-faded, faded) for op in graph.ops}
    model = produce(layers, plan, Ranges({**ranges.tensors, **tight}, "faded"))
    with Trials() as trials:
        assert np.isfinite(trials.outputs(model, feeds)[0]["y"]).all()


def test_a_candidate_that_fails_is_left_out_with_a_note(
    layers: bytes, feeds: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.quant import ptq

    written, made = ptq.written, []

    def first_fails(*arguments: Any) -> bytes:
        made.append(arguments)
        if len(made) == 1:
            raise QuantizationError("channels of 1e40")
        return written(*arguments)

    monkeypatch.setattr(ptq, "written", first_fails)
    result = quantize_ptq(layers, INT8, feeds)
    assert "left out: minmax, because channels of 1e40" in result.notes
    assert result.outputs[0].sqnr_db > 25


def test_the_grid_is_that_of_the_written_graph(layers: bytes, feeds: list[Sample]) -> None:
    ranges = calibrate(layers, feeds, CalibrationMethod.MINMAX)
    for plan, precision in ((INT8, Precision.INT8), (INT16, Precision.INT16)):
        tensor = Graph.parse(produce(layers, plan, ranges)).outputs[0]
        span = ranges.tensors[Graph.parse(layers).ops[-1].name]
        ends = (span.full_low, span.full_high) if precision is Precision.INT16 else (span.low, span.high)
        made = grid.activation_grid(*ends, precision)
        assert (tensor.scale, tensor.zero_point) == (pytest.approx(made.scale, rel=1e-6), made.zero_point)
