"""Producing integer graphs: types as planned, inputs and outputs as promised, the same bytes, both runtimes."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.isolated import IsolatedRuntime
from firmware_bridge.device.runtime import Kernels, LiteRt, missing_ops
from models.errors import DataError, QuantizationError, RecipeError
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.feeds import Sample, quantized
from models.quant.fidelity import fidelity, refuse_collapse
from models.quant.fitting import fit_for_quantizing
from models.quant.lint import lint
from models.quant.parity import parity
from models.quant.plan import Precision, PrecisionPlan, Rule
from models.quant.produce import produce
from models.quant.ptq import quantize_ptq
from models.quant.ranges import Ranges, TensorRange
from models.records import plain, structured

INT8 = PrecisionPlan(Precision.INT8, name="int8")
MIXED = PrecisionPlan(Precision.INT8, (Rule("fusion*", Precision.INT16),), "mixed")
INT16 = PrecisionPlan(Precision.INT16, name="int16")
HEADS = PrecisionPlan(Precision.INT8, (Rule("???_2", Precision.INT16), Rule("head_*", Precision.INT16)), "heads")
FLOAT_HEAD = PrecisionPlan(Precision.INT8, (Rule("head_*", Precision.FP32), Rule("cls_2", Precision.FP16)), "float")


@pytest.fixture(scope="module")
def feeds(samples: list[dict[str, np.ndarray]]) -> list[Sample]:
    return [Sample(sample, (f"thermal={'hot' if i % 2 else 'cold'}",)) for i, sample in enumerate(samples)]


@pytest.fixture(scope="module")
def ranges(float_graph: bytes, feeds: list[Sample]) -> Ranges:
    return calibrate(float_graph, feeds, CalibrationMethod.MINMAX)


@pytest.mark.parametrize("plan", [INT8, MIXED, INT16, HEADS, FLOAT_HEAD], ids=lambda plan: plan.name)
def test_every_operation_has_the_type_of_its_plan(float_graph: bytes, ranges: Ranges, plan: PrecisionPlan) -> None:
    report = lint(Graph.parse(produce(float_graph, plan, ranges)), plan, source=Graph.parse(float_graph))
    assert report.clean, report.problems
    assert report.left_float == ()


def test_only_the_attention_is_int16_in_the_mixed_graph(float_graph: bytes, ranges: Ranges) -> None:
    graph = Graph.parse(produce(float_graph, MIXED, ranges))
    wide = {op.name for op in graph.ops if op.dtype == "INT16"}
    assert wide
    assert all("/fusion_" in name for name in wide)
    assert {op.op for op in graph.ops if "/fusion_" in op.name} >= {"BATCH_MATMUL", "SOFTMAX", "TANH"}
    assert not [op.name for op in graph.ops if "/fusion_" in op.name and op.dtype == "INT8"]


def test_inputs_have_the_range_that_was_measured_whatever_they_are_called(
    float_graph: bytes, samples: list[dict[str, np.ndarray]]
) -> None:
    """Inputs called eo and lwir need not be frames: these are a temperature, and noise of both signs."""
    given = [Sample({"eo": sample["eo"] * -400, "lwir": sample["lwir"] * 2 - 1}) for sample in samples[:6]]
    graph = Graph.parse(produce(float_graph, MIXED, calibrate(float_graph, given, CalibrationMethod.MINMAX)))
    assert {t.name for t in graph.outputs} == {"cls_2", "box_2", "kin_2"}
    for tensor in graph.inputs:
        values = np.stack([sample.feed[tensor.name] for sample in given])
        ends = (np.array([-128, 127]) - tensor.zero_point) * tensor.scale
        assert tensor.dtype == "int8"
        assert ends == pytest.approx([values.min(), max(values.max(), 0)], abs=tensor.scale)


def test_an_input_has_the_type_with_most_bits_among_its_integer_readers(float_graph: bytes, ranges: Ranges) -> None:
    def inputs(*rules: Rule) -> dict[str, str]:
        graph = Graph.parse(produce(float_graph, PrecisionPlan(Precision.INT8, rules), ranges))
        return {tensor.name: tensor.dtype for tensor in graph.inputs}

    assert inputs() == {"eo": "int8", "lwir": "int8"}
    assert inputs(Rule("eo_stem", Precision.INT16)) == {"eo": "int16", "lwir": "int8"}
    assert inputs(Rule("lwir_stem", Precision.INT16), Rule("eo_stem", Precision.FP32)) == {
        "eo": "float32",
        "lwir": "int16",
    }


def test_outputs_are_integers_of_the_type_of_their_layer(float_graph: bytes, ranges: Ranges) -> None:
    for plan, dtype in ((INT8, "int8"), (HEADS, "int16"), (INT16, "int16")):
        outputs = Graph.parse(produce(float_graph, plan, ranges)).outputs
        assert {t.dtype for t in outputs} == {dtype}
        assert all(t.scale > 0 for t in outputs)


def test_the_attention_in_int16_sits_between_all_int8_and_all_int16(
    float_graph: bytes, ranges: Ranges, feeds: list[Sample]
) -> None:
    worst = [
        min(output.sqnr_db for output in fidelity(float_graph, produce(float_graph, plan, ranges), feeds, limit=8))
        for plan in (INT8, MIXED, INT16)
    ]
    assert 20 < worst[0] < worst[1] < worst[2]


def test_the_same_inputs_give_the_same_bytes(float_graph: bytes, ranges: Ranges) -> None:
    again = structured(Ranges, plain(ranges))
    assert produce(float_graph, MIXED, ranges) == produce(float_graph, MIXED, again)
    assert produce(float_graph, MIXED, ranges, "tflite-runtime") == produce(float_graph, MIXED, again, "tflite-runtime")


@pytest.mark.parametrize("plan", [INT8, MIXED, INT16, HEADS, FLOAT_HEAD], ids=lambda plan: plan.name)
def test_both_runtimes_agree_bit_for_bit_in_the_reference_kernels(
    float_graph: bytes, ranges: Ranges, feeds: list[Sample], plan: PrecisionPlan
) -> None:
    litert, bridged = produce(float_graph, plan, ranges), produce(float_graph, plan, ranges, "tflite-runtime")
    session = LiteRt().load(litert, Kernels.REFERENCE)
    runtime = IsolatedRuntime("tflite-runtime")
    inputs = [quantized(sample.feed, session.graph) for sample in feeds[:3]]
    with runtime.load(bridged, Kernels.REFERENCE) as other:
        found = parity(session, other, inputs)
    for output in found:
        # Float operations (and bridges through float) may differ in the last bit; integers may not.
        assert output.equal if plan is not FLOAT_HEAD else output.max_lsb <= 1, output
    assert missing_ops(Graph.parse(bridged).op_types, runtime.info()) == ()
    assert missing_ops(Graph.parse(litert).op_types, LiteRt().info()) == ()


def test_optimised_kernels_stay_within_a_few_steps_of_the_reference(
    float_graph: bytes, ranges: Ranges, feeds: list[Sample]
) -> None:
    model = produce(float_graph, MIXED, ranges)
    first, second = (LiteRt().load(model, kernels) for kernels in Kernels)
    for output in parity(first, second, [quantized(sample.feed, first.graph) for sample in feeds[:4]]):
        assert output.max_lsb <= 9, output
        assert output.mean_lsb < 1


def test_the_unbridged_graph_is_refused_by_tflite_runtime_and_its_op_table_says_so(
    float_graph: bytes, ranges: Ranges
) -> None:
    from firmware_bridge.errors import InputError

    model = produce(float_graph, MIXED, ranges)
    runtime = IsolatedRuntime("tflite-runtime")
    assert missing_ops(Graph.parse(model).op_types, runtime.info()) == ("QUANTIZE:INT8_INT16",)
    with pytest.raises(InputError, match="tflite-runtime cannot prepare"):
        runtime.load(model)


def test_an_all_float_plan_gives_the_float_graph_and_needs_no_ranges(float_graph: bytes, feeds: list[Sample]) -> None:
    model = produce(float_graph, PrecisionPlan(Precision.FP32), Ranges({}, "none"))
    assert {t.dtype for t in Graph.parse(model).inputs} == {"float32"}
    assert all(output.sqnr_db > 100 for output in fidelity(float_graph, model, feeds, limit=2))


def test_fp16_halves_the_weights_and_keeps_sixty_decibels(float_graph: bytes, feeds: list[Sample]) -> None:
    model = produce(float_graph, PrecisionPlan(Precision.FP16), Ranges({}, "none"))
    assert "DEQUANTIZE:FLOAT16_FLOAT32" in Graph.parse(model).op_types
    assert all(output.sqnr_db > 60 for output in fidelity(float_graph, model, feeds, limit=2))


def test_an_fp16_graph_from_elsewhere_is_unfolded_and_quantized(float_graph: bytes, feeds: list[Sample]) -> None:
    half = produce(float_graph, PrecisionPlan(Precision.FP16), Ranges({}, "none"))
    result = quantize_ptq(half, MIXED, feeds)
    assert "DEQUANTIZE:FLOAT16_FLOAT32" not in Graph.parse(result.model).op_types
    assert all(output.cosine > 0.99 for output in result.outputs)


def test_a_graph_without_signature_is_quantized_under_its_tensors_names(
    float_graph: bytes, samples: list[dict[str, np.ndarray]]
) -> None:
    from models.quant import editing

    model = editing.read_model(float_graph)
    model.signatureDefs = None
    bare = editing.write_model(model)
    names = {t.name: t.shape for t in Graph.parse(fit_for_quantizing(bare)).inputs}
    feeds = [Sample({n: s["eo" if shape[-1] == 3 else "lwir"] for n, shape in names.items()}) for s in samples[:6]]
    ranges = calibrate(bare, feeds, CalibrationMethod.MINMAX)
    assert {t.dtype for t in Graph.parse(produce(bare, INT8, ranges)).inputs} == {"int8"}


def test_a_rule_that_names_no_layer_is_refused_with_names_that_come_close(float_graph: bytes, ranges: Ranges) -> None:
    with pytest.raises(RecipeError, match=r"no layer matches 'fusionn_q'.*fusion_q"):
        produce(float_graph, PrecisionPlan(Precision.INT8, (Rule("fusionn_q", Precision.INT16),)), ranges)


def test_a_type_that_an_operation_cannot_have_is_refused_and_the_possible_ones_are_named(ranges: Ranges) -> None:
    model, data = _tiled()
    with pytest.raises(QuantizationError, match=r"TILE cannot be int8 on litert; supported are fp16, fp32"):
        produce(model, INT8, calibrate(model, data))
    left = produce(model, INT8, calibrate(model, data), allow_float=True)
    assert "TILE:FLOAT32" in Graph.parse(left).op_types
    assert lint(Graph.parse(left), INT8, allow_float=True).left_float


def _tiled() -> tuple[bytes, list[Sample]]:
    """A graph of one operation that the quantizer does not write."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32, name="x")])
    def run(x):
        return {"y": tf.tile(x, (1, 2))}

    module = tf.Module()
    module.f = run
    model = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()], module).convert()
    rng = np.random.default_rng(1)
    return model, [Sample({"x": rng.random((1, 4)).astype(np.float32)}) for _ in range(4)]


def test_a_missing_range_names_the_activation(float_graph: bytes, ranges: Ranges) -> None:
    lost = next(name for name in ranges.tensors if "head_trunk" in name)
    kept = Ranges({name: span for name, span in ranges.tensors.items() if name != lost}, ranges.source)
    with pytest.raises(QuantizationError, match="head_trunk"):
        produce(float_graph, INT8, kept)


@pytest.mark.parametrize("span", [(float("nan"), 1.0), (0.0, float("inf")), (0.0, 1e30), (2.0, 1.0)])
def test_a_range_that_is_not_finite_or_overflows_is_refused(
    float_graph: bytes, ranges: Ranges, span: tuple[float, float]
) -> None:
    name = next(name for name in ranges.tensors if "head_trunk" in name)
    broken = Ranges({**ranges.tensors, name: TensorRange.plain(*span)}, ranges.source)
    with pytest.raises(QuantizationError, match="head_trunk"):
        produce(float_graph, INT8, broken)


def test_a_constant_activation_is_quantized_and_does_not_blow_up(
    float_graph: bytes, samples: list[dict[str, np.ndarray]]
) -> None:
    dark = [Sample({name: np.zeros_like(value) for name, value in samples[0].items()})]
    model = produce(float_graph, INT8, calibrate(float_graph, dark))
    graph = Graph.parse(model)
    outputs = LiteRt().load(model).run(quantized(samples[0], graph))
    assert all(np.isfinite(graph_output.dequantize(outputs[graph_output.name])).all() for graph_output in graph.outputs)


def test_nan_in_calibration_data_is_refused_by_the_name_of_the_input(
    float_graph: bytes, samples: list[dict[str, np.ndarray]]
) -> None:
    broken = {name: value.copy() for name, value in samples[0].items()}
    broken["lwir"][0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"lwir.*NaN"):
        calibrate(float_graph, [Sample(broken)])


def test_an_empty_calibration_set_is_refused(float_graph: bytes) -> None:
    with pytest.raises(DataError, match="no samples"):
        calibrate(float_graph, [])


def test_a_collapsed_output_is_an_error_unless_it_is_allowed(float_graph: bytes, feeds: list[Sample]) -> None:
    ranges = calibrate(float_graph, feeds, CalibrationMethod.MINMAX)
    tight = Ranges(
        {name: TensorRange.plain(span.low * 1e-3, span.high * 1e-3) for name, span in ranges.tensors.items()}, "broken"
    )
    outputs = fidelity(float_graph, produce(float_graph, INT8, tight), feeds, limit=4)
    with pytest.raises(QuantizationError, match="collapsed"):
        refuse_collapse(outputs)
    refuse_collapse(outputs, least_cosine=-1.0)


def test_a_file_that_is_no_graph_is_refused_as_data() -> None:
    with pytest.raises(DataError, match="float graph cannot be read"):
        produce(b"not a graph", INT8, Ranges({}, "none"))


def test_a_graph_of_another_plan_does_not_pass_the_lint(float_graph: bytes, ranges: Ranges) -> None:
    report = lint(Graph.parse(produce(float_graph, INT8, ranges)), MIXED)
    assert any("fusion_softmax" in problem and "int16" in problem for problem in report.problems)
    assert not report.clean


def test_what_integer_kernels_hard_code_is_injected_whatever_was_measured(float_graph: bytes, ranges: Ranges) -> None:
    """Also where a conversion follows, which the kernels do not hard-code."""
    wrong = {
        name: TensorRange.plain(-1e-6, 1e-6) if name.endswith(("Tanh", "Softmax", "Sigmoid")) else span
        for name, span in ranges.tensors.items()
    }
    plan = PrecisionPlan(
        Precision.INT8, (Rule("fusion_norm", Precision.INT16), Rule("fusion_softmax", Precision.INT16))
    )
    graph = Graph.parse(produce(float_graph, plan, Ranges(wrong, "wrong")))
    ends = {graph.tensors[op.outputs[0]].name: graph.tensors[op.outputs[0]] for op in graph.ops}
    assert {t.scale for name, t in ends.items() if name.endswith(("Tanh", "Softmax"))} == {1 / 32768}
    after = [t.scale for name, t in ends.items() if name.endswith(("Tanh_quantized", "Softmax_quantized"))]
    assert len(after) == 2
    assert all(1 / 256 < scale < 2 / 254 for scale in after)


def test_the_lint_lists_every_boundary_with_both_ends(float_graph: bytes, ranges: Ranges) -> None:
    report = lint(Graph.parse(produce(float_graph, MIXED, ranges)), MIXED)
    found = {(b.kind, b.source, target) for b in report.boundaries for target in b.targets}
    assert ("QUANTIZE:INT8_INT16", "lwir_add", "fusion_pool") in found
    assert ("QUANTIZE:INT16_INT8", "fusion_add", "neck_concat") in found


def test_constants_that_the_file_keeps_behind_its_flatbuffer_are_taken_in(
    float_graph: bytes, ranges: Ranges, feeds: list[Sample]
) -> None:
    """The quantizer writes larger graphs so; an editor that drops them would give a graph of zeros."""
    from models.quant import editing

    outside = _moved_out(float_graph)
    assert len(editing.write_model(editing.read_model(outside))) > len(float_graph) * 0.9
    assert produce(outside, MIXED, ranges) == produce(_repacked(float_graph), MIXED, ranges)


def _repacked(model: bytes) -> bytes:
    from models.quant import editing

    return editing.write_model(editing.read_model(model))


def _moved_out(model: bytes) -> bytes:
    """Put every constant behind the FlatBuffer; offsets are found by packing twice, since their size is fixed."""
    from models.quant import editing

    edited = editing.read_model(model)
    blobs = [None if buffer.data is None else bytes(buffer.data) for buffer in edited.buffers]
    length = 1 << 30
    for _ in range(2):
        at, tail = length, b""
        for buffer, blob in zip(edited.buffers, blobs, strict=True):
            if blob is not None:
                tail += bytes(-(length + len(tail)) % 16)
                at = length + len(tail)
                buffer.data, buffer.offset, buffer.size = None, at, len(blob)
                tail += blob
        packed = editing.write_model(edited)
        length = len(packed)
    return packed + tail
