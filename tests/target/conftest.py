"""Small graphs built by hand through the schema's object form: no TensorFlow in these tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def _pack(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


class Builder:
    """Collects tensors and operations of one subgraph."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.model = schema.ModelT()
        self.model.version = 3
        self.subgraph = schema.SubGraphT()
        self.subgraph.tensors, self.subgraph.operators, self.subgraph.name = [], [], "main"
        self.model.subgraphs, self.model.operatorCodes = [self.subgraph], []
        self.model.buffers = [schema.BufferT()]

    def tensor(
        self, name: str, dtype: str, shape: tuple[int, ...], scales: tuple[float, ...] = (), zero: int = 0,
        data: np.ndarray | None = None, axis: int = 0,
    ) -> int:  # fmt: skip
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), getattr(self.schema.TensorType, dtype)
        tensor.buffer = 0
        if scales:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = list(scales)
            tensor.quantization.zeroPoint = [zero] * len(scales)
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def op(
        self, name: str, inputs: list[int], outputs: list[int], kind: str = "", version: int = 1, **options: Any
    ) -> None:
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(self.schema.BuiltinOperator, name)
        code.version = version
        self.model.operatorCodes.append(code)
        op = self.schema.OperatorT()
        op.opcodeIndex, op.inputs, op.outputs = len(self.model.operatorCodes) - 1, inputs, outputs
        if kind:
            op.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            op.builtinOptions = getattr(self.schema, kind + "T")()
            for field, value in options.items():
                setattr(op.builtinOptions, field, value)
        self.subgraph.operators.append(op)

    def finish(self, inputs: dict[str, int], outputs: dict[str, int], signature: bool = True) -> bytes:
        self.subgraph.inputs, self.subgraph.outputs = list(inputs.values()), list(outputs.values())
        if signature:
            entry = self.schema.SignatureDefT()
            entry.signatureKey, entry.subgraphIndex = "serving_default", 0
            entry.inputs, entry.outputs = (
                [self._entry(name, index) for name, index in side.items()] for side in (inputs, outputs)
            )
            self.model.signatureDefs = [entry]
        return _pack(self.model)

    def _entry(self, name: str, index: int) -> Any:
        entry = self.schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        return entry


def convolution_graph(signature: bool = True, swap: bool = False) -> bytes:
    """int8 frame [1, 4, 6, 2] -> CONV_2D int8 -> QUANTIZE int16 -> TANH int16, and the INT8 map itself."""
    b = Builder()
    rng = np.random.default_rng(5)
    frame = b.tensor("frame:0", "INT8", (1, 4, 6, 2), (1 / 255,), -128)
    weights = b.tensor(
        "w", "INT8", (3, 3, 3, 2), (0.01, 0.02, 0.03), data=rng.integers(-127, 128, (3, 3, 3, 2)).astype(np.int8)
    )
    bias = b.tensor("b", "INT32", (3,), (0.01 / 255, 0.02 / 255, 0.03 / 255), data=np.array([9, -9, 3], np.int32))
    feature = b.tensor("model/stem/Relu", "INT8", (1, 4, 6, 3), (0.02,), -5)
    wide = b.tensor("model/stem/Relu_quantized", "INT16", (1, 4, 6, 3), (0.0001,))
    bent = b.tensor("model/norm/Tanh", "INT16", (1, 4, 6, 3), (1 / 32768,))
    b.op("CONV_2D", [frame, weights, bias], [feature], "Conv2DOptions", 3, strideW=1, strideH=1, padding=0)
    b.op("QUANTIZE", [feature], [wide], "QuantizeOptions", 3)
    b.op("TANH", [wide], [bent], version=3)
    outputs = {"map": feature, "bent": bent} if not swap else {"bent": bent, "map": feature}
    return b.finish({"eo": frame}, outputs, signature)


@pytest.fixture(scope="session")
def small_graph() -> bytes:
    return convolution_graph()


@pytest.fixture
def builder() -> Builder:
    return Builder()
