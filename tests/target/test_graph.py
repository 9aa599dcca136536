"""The graph view: what it reads from a good file, and that no bytes at all make it crash or hang."""

from __future__ import annotations

import random
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.device.graph import Graph
from firmware_bridge.errors import InputError


def test_inputs_and_outputs_carry_the_signatures_names_and_their_quantization(small_graph: bytes) -> None:
    graph = Graph.parse(small_graph)
    assert graph.signature == "serving_default"
    (frame,) = graph.inputs
    assert (frame.name, frame.dtype, frame.shape, frame.zero_point) == ("eo", "int8", (1, 4, 6, 2), -128)
    assert frame.scale == pytest.approx(1 / 255)
    assert [(t.name, t.dtype) for t in graph.outputs] == [("map", "int8"), ("bent", "int16")]
    assert graph.size_bytes == len(small_graph)


def test_an_operations_type_is_that_of_its_activations_and_conversions_name_both_ends(small_graph: bytes) -> None:
    graph = Graph.parse(small_graph)
    assert [op.type for op in graph.ops] == ["CONV_2D:INT8", "QUANTIZE:INT8_INT16", "TANH:INT16"]
    assert graph.op_types == ("CONV_2D:INT8", "QUANTIZE:INT8_INT16", "TANH:INT16")


def test_work_and_traffic_are_counted_from_shapes(small_graph: bytes) -> None:
    conv, quantize, _ = Graph.parse(small_graph).ops
    assert conv.macs == 4 * 6 * 3 * 3 * 3 * 2
    assert conv.weight_bytes == 3 * 3 * 3 * 2 + 3 * 4
    assert (conv.input_bytes, conv.output_bytes) == (48, 72)
    assert (quantize.macs, quantize.output_bytes, quantize.output_elements) == (0, 144, 72)
    assert Graph.parse(small_graph).parameters == 54 + 3


def test_a_weight_with_a_scale_a_channel_has_no_single_scale(small_graph: bytes) -> None:
    weights = next(t for t in Graph.parse(small_graph).tensors if t.name == "w")
    assert (weights.channels, weights.scale, weights.constant) == (3, 0.0, True)


def test_quantize_and_dequantize_invert_each_other_on_the_grid(small_graph: bytes) -> None:
    for tensor in (*Graph.parse(small_graph).inputs, *Graph.parse(small_graph).outputs):
        limits = np.iinfo(tensor.dtype)
        grid = np.linspace(limits.min, limits.max, 200).astype(tensor.dtype)
        assert np.array_equal(tensor.quantize(tensor.dequantize(grid)), grid)
    assert tensor.quantize(np.array([1e9, -1e9], np.float32)).tolist() == [limits.max, limits.min]


def test_a_graph_without_signature_is_named_by_its_tensors(builder: Any) -> None:
    a, b = (builder.tensor(name, "INT8", (1, 2), (0.1,)) for name in ("in", "out"))
    builder.op("TANH", [a], [b])
    graph = Graph.parse(builder.finish({"x": a}, {"y": b}, signature=False))
    assert (graph.signature, graph.inputs[0].name, graph.outputs[0].name) == ("", "in", "out")


def test_matmul_macs_follow_the_transposition_of_its_sides(builder: Any) -> None:
    left, right, out = (
        builder.tensor(name, "FLOAT32", shape)
        for name, shape in (("a", (1, 2, 7, 5)), ("b", (1, 2, 7, 3)), ("c", (1, 2, 5, 3)))
    )
    builder.op("BATCH_MATMUL", [left, right], [out], "BatchMatMulOptions", adjX=True)
    (op,) = Graph.parse(builder.finish({"a": left, "b": right}, {"c": out})).ops
    assert op.macs == 2 * 5 * 3 * 7


def test_every_truncation_is_refused_as_input(small_graph: bytes) -> None:
    for length in range(len(small_graph)):
        _refused_or_read(small_graph[:length])
    for length in range(len(small_graph) // 2):
        with pytest.raises(InputError):
            Graph.parse(small_graph[:length])


def test_bit_flips_are_refused_as_input_or_change_the_view_but_never_crash(small_graph: bytes) -> None:
    chosen = random.Random(11).sample(range(8 * len(small_graph)), 4000)
    refused = sum(_refused_or_read(_flipped(small_graph, bit)) for bit in chosen)
    assert refused > 500


def test_broken_words_are_refused_as_input(small_graph: bytes) -> None:
    """Offsets and counts at their extremes, at every aligned place."""
    for position in range(0, len(small_graph) - 4, 4):
        for value in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(small_graph), 2**32 - position):
            word = struct.pack("<I", value & 0xFFFFFFFF)
            _refused_or_read(small_graph[:position] + word + small_graph[position + 4 :])


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_behind_the_identifier_are_refused_as_input(tail: bytes) -> None:
    with pytest.raises(InputError):
        Graph.parse(tail)
    _refused_or_read(struct.pack("<I", 8) + b"TFL3" + tail)


def test_parts_that_refer_to_one_another_in_masses_are_refused_quickly() -> None:
    """All entries of the tensor vector point to one tensor with a long name: quadratic work from a small file."""
    flat = _aliased(name_bytes=60_000, count=20_000)
    started = time.monotonic()
    with pytest.raises(InputError, match="already read many times"):
        Graph.parse(flat)
    assert time.monotonic() - started < 2


def test_a_graph_of_another_schema_version_is_refused_by_its_number(small_graph: bytes) -> None:
    flat = bytearray(small_graph)
    root = int.from_bytes(flat[:4], "little")
    table = root - int.from_bytes(flat[root : root + 4], "little", signed=True)
    version = root + int.from_bytes(flat[table + 4 : table + 6], "little")
    assert flat[version] == 3
    flat[version] = 4
    with pytest.raises(InputError, match="version 4 of the TFLite schema; only version 3 is supported"):
        Graph.parse(bytes(flat))


def _aliased(name_bytes: int, count: int) -> bytes:
    """A model whose one subgraph lists the same tensor ``count`` times."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    b = flatbuffers.Builder(1 << 20)
    name = b.CreateString("t" * name_bytes)
    schema.TensorStart(b)
    schema.TensorAddName(b, name)
    tensor = schema.TensorEnd(b)
    schema.SubGraphStartTensorsVector(b, count)
    for _ in range(count):
        b.PrependUOffsetTRelative(tensor)
    tensors = b.EndVector()
    schema.SubGraphStart(b)
    schema.SubGraphAddTensors(b, tensors)
    subgraph = schema.SubGraphEnd(b)
    schema.ModelStartSubgraphsVector(b, 1)
    b.PrependUOffsetTRelative(subgraph)
    subgraphs = b.EndVector()
    schema.ModelStart(b)
    schema.ModelAddVersion(b, 3)
    schema.ModelAddSubgraphs(b, subgraphs)
    b.Finish(schema.ModelEnd(b), file_identifier=b"TFL3")
    return bytes(b.Output())


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def _refused_or_read(data: bytes) -> bool:
    """Parse; any other exception than InputError fails the test. Return whether it was refused."""
    try:
        graph = Graph.parse(data)
    except InputError as error:
        text = str(error)
    else:
        text = ""
    assert "\n" not in text
    if text:
        return True
    assert graph.op_types is not None
    assert graph.macs >= 0
    return False


def _with(change: str, b: Any) -> bytes:
    """Build a graph with one thing wrong."""
    a, c = b.tensor("in", "INT8", (1, 2), (0.1,)), b.tensor("out", "INT8", (1, 2), (0.1,))
    if change == "short constant":
        b.tensor("w", "INT32", (9,), data=np.zeros(4, np.int8))
    if change == "shape":
        b.subgraph.tensors[c].shape = [1, -1]
    if change == "bomb":
        b.subgraph.tensors[c].shape = [1 << 20, 1 << 20]
    if change == "rank":
        b.subgraph.tensors[c].shape = [1] * 9
    if change == "scale":
        b.subgraph.tensors[c].quantization.scale = [float("nan")]
    if change == "buffer":
        b.subgraph.tensors[c].buffer = 77
    b.op("TANH", [a if change != "index" else 99], [c] if change != "no output" else [])
    if change == "code":
        b.subgraph.operators[0].opcodeIndex = 5
    if change == "unknown op":
        b.model.operatorCodes[0].builtinCode = 9999
    if change == "subgraphs":
        b.model.subgraphs.append(b.subgraph)
    names = {"x": a} if change != "unnamed input" else {}
    data = b.finish(names, {"y": c} if change != "same name" else {"x": c})
    if change == "unnamed input":
        b.subgraph.inputs = [a]
        data = _repack(b)
    return data


def _repack(b: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(b.model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("short constant", "stores 4 bytes and needs 36"),
        ("shape", "invalid shape"),
        ("bomb", "invalid shape"),
        ("rank", "invalid shape"),
        ("scale", "invalid quantization"),
        ("buffer", "buffer 77"),
        ("index", "tensor 99 of 2"),
        ("no output", "no output"),
        ("code", "operator code 5 of 1"),
        ("unknown op", "unknown builtin operator 9999"),
        ("subgraphs", "2 subgraphs"),
        ("unnamed input", "does not name every input"),
    ],
)
def test_a_contradictory_graph_is_refused_by_what_is_wrong(change: str, told: str, builder: Any) -> None:
    with pytest.raises(InputError, match=told):
        Graph.parse(_with(change, builder))


def test_names_are_those_of_the_schema() -> None:
    import tflite
    from ai_edge_litert import schema_py_generated as newer

    from firmware_bridge.device.schema import OPERATORS, TENSOR_TYPES

    for names, enum in ((OPERATORS, "BuiltinOperator"), (TENSOR_TYPES, "TensorType")):
        for schema in (tflite, newer):
            known = {value: name for name, value in vars(getattr(schema, enum)).items() if isinstance(value, int)}
            shared = min(len(known), len(names))
            assert [known[number] for number in range(shared)] == list(names[:shared])
