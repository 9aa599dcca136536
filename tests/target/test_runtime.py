"""The runtimes behind their seam: right numbers by signature name, and errors of ours alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.isolated import IsolatedRuntime
from firmware_bridge.device.runtime import (
    Kernels,
    LiteRt,
    available,
    default_runtime,
    missing_ops,
    op_table,
)
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import BenchError, BoardError, InputError
from models.quant.activation_tap import Probe


def _frame(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (1, 4, 6, 2)).astype(np.int8)


@pytest.mark.parametrize("kernels", list(Kernels))
def test_outputs_come_by_signature_name_in_the_graphs_types(small_graph: bytes, kernels: Kernels) -> None:
    session = LiteRt().load(small_graph, kernels)
    outputs = session.run({"eo": _frame()})
    assert {n: (v.dtype.name, v.shape) for n, v in outputs.items()} == {
        t.name: (t.dtype, t.shape) for t in session.graph.outputs
    }


def test_the_reference_kernels_compute_the_quantized_convolution(small_graph: bytes) -> None:
    """Against the arithmetic itself, in real numbers, rounded to the output's grid."""
    graph = Graph.parse(small_graph)
    outputs = LiteRt().load(small_graph, Kernels.REFERENCE).run({"eo": _frame()})
    real = _convolved(graph, _frame())
    step = next(t for t in graph.outputs if t.name == "map")
    assert np.abs(step.quantize(real).astype(int) - outputs["map"]).max() <= 1
    bent = next(t for t in graph.outputs if t.name == "bent")
    assert np.abs(np.tanh(step.dequantize(outputs["map"])) - bent.dequantize(outputs["bent"])).max() < 2e-3


def _convolved(graph: Graph, frame: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(5)
    weights = rng.integers(-127, 128, (3, 3, 3, 2)) * np.array([0.01, 0.02, 0.03]).reshape(3, 1, 1, 1)
    bias = np.array([9, -9, 3]) * np.array([0.01, 0.02, 0.03]) / 255
    padded = np.pad(graph.inputs[0].dequantize(frame)[0], ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((1, 4, 6, 3), np.float32)
    for y in range(4):
        for x in range(6):
            out[0, y, x] = np.tensordot(weights, padded[y : y + 3, x : x + 3], 3) + bias
    return out


def test_outputs_belong_to_the_caller_and_do_not_change_with_the_next_run(small_graph: bytes) -> None:
    session = LiteRt().load(small_graph)
    first = session.run({"eo": _frame(1)})
    kept = {name: value.copy() for name, value in first.items()}
    session.run({"eo": _frame(2)})
    assert all(np.array_equal(first[name], kept[name]) for name in kept)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, "takes the inputs eo; given: none"),
        ({"eo": np.zeros((1, 4, 6, 2), np.uint8)}, "int8.*uint8"),
        ({"eo": np.zeros((1, 4, 6, 3), np.int8)}, r"\[1, 4, 6, 2\]"),
        ({"eo": np.zeros((1, 4, 6, 2), np.int8), "more": np.zeros(1)}, "more"),
    ],
)
def test_wrong_inputs_are_refused_by_what_is_wrong(small_graph: bytes, inputs: dict, told: str) -> None:
    with pytest.raises(InputError, match=told):
        LiteRt().load(small_graph).run(inputs)


def test_bytes_that_are_no_graph_never_reach_the_runtime() -> None:
    with pytest.raises(InputError, match="FlatBuffer"):
        LiteRt().load(b"\0" * 100)


def test_a_runtime_reports_its_name_version_and_sorted_op_table() -> None:
    info = default_runtime("litert").info()
    assert info.name == "litert"
    assert info.version.split(".")[0].isdigit()
    assert info.ops == tuple(sorted(info.ops)) == op_table("litert")
    assert {"CONV_2D:INT8", "SOFTMAX:INT16", "QUANTIZE:INT8_INT16"} <= set(info.ops)


def test_the_op_tables_know_what_each_runtime_refuses() -> None:
    needed = ("CONV_2D:INT8", "QUANTIZE:INT8_INT16", "RSQRT:INT16")
    assert missing_ops(needed, RuntimeInfo("litert", "2", op_table("litert"))) == ()
    assert missing_ops(needed, RuntimeInfo("x", "2", op_table("tflite-runtime"))) == needed[1:]


def test_an_unknown_runtime_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="litert, tflite-runtime"):
        default_runtime("onnx")
    with pytest.raises(InputError, match="no op table"):
        op_table("onnx")


def test_the_default_runtime_is_the_first_that_is_available() -> None:
    assert default_runtime().info().name == available()[0].info().name == "litert"


def test_tflite_runtime_refuses_a_process_that_has_tensorflow() -> None:
    """In a process of its own, with a stand-in module: only its presence counts."""
    code = (
        "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"
        "from firmware_bridge.device.runtime import TfliteRuntime, available\n"
        "assert [r.name for r in available()] == ['litert']\n"
        "TfliteRuntime()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "BenchError: tflite-runtime cannot run in a process that has TensorFlow" in result.stderr


def test_an_isolated_runtime_gives_the_same_outputs_as_one_in_process(small_graph: bytes) -> None:
    expected = LiteRt().load(small_graph, Kernels.REFERENCE).run({"eo": _frame()})
    with IsolatedRuntime("litert").load(small_graph, Kernels.REFERENCE) as session:
        for _ in range(2):
            got = session.run({"eo": _frame()})
            assert all(np.array_equal(got[name], expected[name]) for name in expected)
        with pytest.raises(BoardError, match="takes the inputs"):
            session.run({})
        assert np.array_equal(session.run({"eo": _frame()})["map"], expected["map"])


def test_an_isolated_runtimes_process_ends_with_its_session(small_graph: bytes) -> None:
    session = IsolatedRuntime("litert").load(small_graph)
    session.close()
    session.close()
    with pytest.raises(BoardError):
        session.run({"eo": _frame()})


def test_tflite_runtime_refuses_the_conversion_that_its_table_lacks(small_graph: bytes) -> None:
    with pytest.raises(InputError, match="tflite-runtime cannot prepare"):
        IsolatedRuntime("tflite-runtime").load(small_graph)


def test_a_missing_runtime_names_the_extra_to_install() -> None:
    from firmware_bridge.device.runtime import import_runtime

    with pytest.raises(BenchError, match=r'pip install "ks100\[board\]"'):
        import_runtime("no_such_runtime", "no-such-runtime", "board")


def test_a_probe_sees_every_activation_once_in_execution_order(small_graph: bytes) -> None:
    seen = list(Probe(small_graph).run({"eo": _frame()}))
    assert [tensor.name for tensor, _ in seen] == [
        "frame:0", "model/stem/Relu", "model/stem/Relu_quantized", "model/norm/Tanh"
    ]  # fmt: skip
    expected = LiteRt().load(small_graph).run({"eo": _frame()})
    assert np.array_equal(seen[-1][1], expected["bent"])


def test_importing_the_target_brings_no_heavy_module() -> None:
    code = (
        "import sys, firmware_bridge.device.runtime, firmware_bridge.device.cost\n"
        "bad = {'tensorflow', 'paramiko', 'click', 'rich', 'models', 'ai_edge_litert'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
