"""Operations without an integer form are rewritten as others: the same function in float, each with both kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import LiteRt, op_table
from models.quant import editing
from models.quant.fitting import fit_for_quantizing, rewritten
from models.quant.plan import Precision
from models.quant.quantizer import supported_ops
from tests.quant.hand_made import HandMade

Shape = tuple[int, ...]


def graph_of(
    kind: str, inputs: Sequence[Shape | np.ndarray], outputs: Sequence[Shape], options: str = "", **fields: Any
) -> bytes:
    """Return a float graph of one operation: arrays among its inputs are constants."""
    graph = HandMade()
    read = [
        graph.constant(f"k{at}", one) if isinstance(one, np.ndarray) else graph.input(f"x{at}", one)
        for at, one in enumerate(inputs)
    ]
    made = graph.operation(kind, read, [(f"y{at}", shape) for at, shape in enumerate(outputs)], options, **fields)
    return graph.bytes(made)


def ints(*values: Any) -> np.ndarray:
    return np.asarray(values, np.int32)


def floats(*values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)


IMAGE, PADDING = (1, 4, 6, 8), ints([0, 0], [1, 2], [0, 1], [0, 0])
CASES = {
    "NEG": graph_of("NEG", [IMAGE], [IMAGE]),
    "ABS": graph_of("ABS", [IMAGE], [IMAGE]),
    "SQUARE": graph_of("SQUARE", [IMAGE], [IMAGE]),
    "HARD_SWISH": graph_of("HARD_SWISH", [IMAGE], [IMAGE]),
    "LEAKY_RELU": graph_of("LEAKY_RELU", [IMAGE], [IMAGE], "LeakyReluOptions", alpha=0.1),
    "PRELU": graph_of("PRELU", [IMAGE, np.linspace(-0.5, 1, 8, dtype=np.float32).reshape(1, 1, 8)], [IMAGE]),
    "SQUARED_DIFFERENCE": graph_of("SQUARED_DIFFERENCE", [IMAGE, (1, 4, 6, 1)], [IMAGE]),
    "L2_NORMALIZATION": graph_of("L2_NORMALIZATION", [(1, 5, 16)], [(1, 5, 16)], "L2NormOptions"),
    "SUM": graph_of("SUM", [IMAGE, ints(1, 2)], [(1, 8)], "ReducerOptions", keepDims=False),
    "SUM kept": graph_of("SUM", [IMAGE, ints(-1)], [(1, 4, 6, 1)], "ReducerOptions", keepDims=True),
    "SPLIT": graph_of("SPLIT", [np.asarray(-1, np.int32), IMAGE], [(1, 4, 6, 4)] * 2, "SplitOptions", numSplits=2),
    "SPLIT_V": graph_of(
        "SPLIT_V",
        [IMAGE, ints(1, 3, 2), np.asarray(2, np.int32)],
        [(1, 4, 1, 8), (1, 4, 3, 8), (1, 4, 2, 8)],
        "SplitVOptions",
        numSplits=3,
    ),
    "PACK": graph_of("PACK", [(1, 6), (1, 6)], [(1, 2, 6)], "PackOptions", axis=1, valuesCount=2),
    "UNPACK": graph_of("UNPACK", [(1, 3, 5)], [(1, 5)] * 3, "UnpackOptions", axis=1, num=3),
    "EXPAND_DIMS": graph_of("EXPAND_DIMS", [(1, 5), np.asarray(1, np.int32)], [(1, 1, 5)], "ExpandDimsOptions"),
    "SQUEEZE": graph_of("SQUEEZE", [(1, 1, 5)], [(1, 5)], "SqueezeOptions", squeezeDims=[1]),
    "PADV2": graph_of("PADV2", [IMAGE, PADDING, floats(-3)], [(1, 7, 7, 8)], "PadV2Options"),
    "MAXIMUM": graph_of("MAXIMUM", [IMAGE, floats(0.25)], [IMAGE], "MaximumMinimumOptions"),
    "MINIMUM": graph_of("MINIMUM", [IMAGE, (1, 1, 1, 8)], [IMAGE], "MaximumMinimumOptions"),
    "DEPTH_TO_SPACE": graph_of("DEPTH_TO_SPACE", [IMAGE], [(1, 8, 12, 2)], "DepthToSpaceOptions", blockSize=2),
    "SPACE_TO_DEPTH": graph_of("SPACE_TO_DEPTH", [IMAGE], [(1, 2, 3, 32)], "SpaceToDepthOptions", blockSize=2),
    "POW": graph_of("POW", [IMAGE, floats(2)], [IMAGE], "PowOptions"),
    "RELU6": graph_of("RELU6", [IMAGE], [IMAGE]),
}  # fmt: skip


def run(graph: bytes, seed: int) -> list[np.ndarray]:
    session = LiteRt().load(graph)
    rng = np.random.default_rng(seed)
    feed = {t.name: rng.normal(0, 3, t.shape).astype(np.float32) for t in session.graph.inputs}
    found = session.run(feed)
    return [found[tensor.name] for tensor in session.graph.outputs]


@pytest.mark.parametrize("name", CASES)
def test_each_rewrite_is_the_same_function(name):
    after = fit_for_quantizing(CASES[name])
    kinds = {op.op for op in Graph.parse(after).ops}
    assert name.split()[0] not in kinds
    for seed in range(3):
        for expected, found in zip(run(CASES[name], seed), run(after, seed), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", CASES)
def test_what_stands_there_has_integer_kernels_of_both_widths(name):
    runs = set(op_table("litert"))
    for op in Graph.parse(fit_for_quantizing(CASES[name])).ops:
        for precision in (Precision.INT8, Precision.INT16):
            assert op.op in supported_ops(precision), op.op
            assert f"{op.op}:{precision.op_dtype}" in runs, op.op


def test_rewrites_are_named_by_layer_and_what_cannot_be_written_stays():
    (found,) = rewritten(CASES["HARD_SWISH"])
    assert (found.op, found.layer, found.into) == ("HARD_SWISH", "y0", ("ADD", "MUL", "MUL"))
    steep = graph_of("LEAKY_RELU", [IMAGE], [IMAGE], "LeakyReluOptions", alpha=1.5)
    assert not rewritten(steep)
    assert [op.op for op in Graph.parse(fit_for_quantizing(steep)).ops] == ["LEAKY_RELU"]


def test_a_mask_of_minus_a_billion_before_a_softmax_is_softened_and_closes_as_well():
    graph, mask = HandMade(), np.zeros((1, 1, 5), np.float32)
    mask[..., 3:] = -1e9
    x = graph.input("x", (1, 4, 5))
    (masked,) = graph.operation("ADD", [x, graph.constant("mask", mask)], [("masked", (1, 4, 5))], "AddOptions")
    before = graph.bytes(graph.operation("SOFTMAX", [masked], [("y", (1, 4, 5))], "SoftmaxOptions", beta=1.0))
    after = fit_for_quantizing(before)
    (found,) = rewritten(before)
    assert "mask of -64" in found.text
    assert min(value.min() for value in editing.float_constants(after).values()) == -64
    for expected, got in zip(run(before, 1), run(after, 1), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)
        assert not got[..., 3:].max() > 1e-20


def test_a_large_negative_constant_elsewhere_stays():
    graph = graph_of("ADD", [IMAGE, floats(-1e9)], [IMAGE], "AddOptions")
    assert not rewritten(graph)
