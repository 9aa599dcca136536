"""A read-only view of a .tflite graph: its tensors, its operations and what each costs to compute.

Owns: parsing untrusted bytes into values, or `InputError`. Runs nothing and knows no runtime.

The dtype of an operation, as it stands in op sets (``CONV_2D:INT8``), is the TFLite type of its first input that is
not constant, because the kernels of a runtime are chosen by it. A third part names the type of constant weights that
its kernel reads, where that is not the usual one: INT8 under INT8 and INT16 activations, otherwise that of the
activations. ``CONV_2D:INT8:INT4`` has 4-bit weights, ``CONV_2D:FLOAT32:INT8`` is a hybrid kernel that quantizes its
activations as it runs. Weights behind a DEQUANTIZE reach the kernel as floats, and the conversion is an operation of
its own: ``DEQUANTIZE:FLOAT16_FLOAT32``. An operation that converts types (QUANTIZE, DEQUANTIZE, CAST) names both ends:
``QUANTIZE:INT8_INT16``. A custom operation is named ``CUSTOM(name)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

from firmware_bridge.device.flatbuffer import FlatBuffer, FlatTable
from firmware_bridge.device.macs import macs
from firmware_bridge.device.schema import OPERATORS, TENSOR_TYPES
from firmware_bridge.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["CONVERSIONS", "FORMAT_VERSION", "Graph", "GraphOp", "GraphTensor"]

FORMAT_VERSION = 3
"""Version of the TFLite schema that is read; the only one in use since 2017."""

CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE", "CAST"})
"""Operations that change the type of their input; their dtype names both ends."""

_IDENTIFIER = b"TFL3"
# No kernel of a board takes more; they keep a hostile shape from becoming a huge number.
_RANK_LIMIT = 8
_ELEMENTS_LIMIT = 1 << 31
_UNSIZED = frozenset({"string", "resource", "variant", "int4"})
_ITEM_BITS = {
    "float64": 64, "complex128": 128, "int64": 64, "uint64": 64, "complex64": 64, "float32": 32, "int32": 32,
    "uint32": 32, "float16": 16, "bfloat16": 16, "int16": 16, "uint16": 16, "int4": 4,
}  # fmt: skip
# Which input of an operation are its weights.
_WEIGHTS = {
    "CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "TRANSPOSE_CONV": 1, "CONV_3D": 1, "BATCH_MATMUL": 1,
}  # fmt: skip
_USUAL_WEIGHTS = {"INT16": "INT8"}  # by the type of the activations; otherwise it is theirs


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """One tensor of a graph.

    Attributes:
        name: its name; among `Graph.inputs` and `Graph.outputs` the signature's name.
        dtype: the NumPy name of its element type, e.g. ``int8``.
        shape: its static shape, () for a scalar.
        scale: real value of one step; 0.0 when the tensor is not quantized or has a scale a channel.
        zero_point: the integer that stands for real 0.
        index: its position in the graph.
        constant: whether its value is stored in the graph.
        channels: how many scales it has: 0 float, 1 per tensor, more per channel.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0
    index: int = -1
    constant: bool = False
    channels: int = 0

    @property
    def elements(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes of its value; 4-bit values are packed in pairs."""
        return -(-self.elements * _ITEM_BITS.get(self.dtype, 8) // 8)

    def quantize(self, values: NDArray[np.float32]) -> NDArray[Any]:
        """Quantize real values for this tensor: rounded to even, saturated; unchanged if it is float."""
        if not self.scale:
            return values.astype(self.dtype)
        import numpy as np  # 20 MiB, which a board that only receives does without

        limits = np.iinfo(self.dtype)
        steps = np.rint(values / np.float32(self.scale)) + self.zero_point
        stored: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(self.dtype)
        return stored

    def dequantize(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the real values float32 that this tensor's ``values`` stand for."""
        import numpy as np

        if not self.scale:
            return values.astype(np.float32)
        return ((values.astype(np.int32) - self.zero_point) * np.float32(self.scale)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class GraphOp:
    """One operation, in execution order.

    Attributes:
        index: position in execution order.
        op: TFLite name, e.g. ``CONV_2D``.
        dtype: the type it computes in, as the module's docstring defines it, e.g. ``INT8``.
        inputs: indices of its input tensors in `Graph.tensors`, -1 for an absent optional one.
        outputs: indices of its output tensors.
        name: name of its first output tensor.
        macs: multiply-accumulates of one run.
        weight_bytes: constant bytes it reads.
        input_bytes: activation bytes it reads.
        output_bytes: activation bytes it writes.
        output_elements: values it computes.
        stored_weights: the type in which its constant weights are stored, also behind a DEQUANTIZE, e.g. ``FLOAT16``;
            ``""`` without such weights.
        unusual_weights: the type of constant weights that its kernel reads, where it is not the usual one.
    """

    index: int
    op: str
    dtype: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    name: str
    macs: int
    weight_bytes: int
    input_bytes: int
    output_bytes: int
    output_elements: int
    stored_weights: str = ""
    unusual_weights: str = ""

    @property
    def type(self) -> str:
        """The operation as it stands in an op set, e.g. ``CONV_2D:INT8`` or ``CONV_2D:INT8:INT4``."""
        return f"{self.op}:{self.kernel}"

    @property
    def kernel(self) -> str:
        """The types that choose its kernel, e.g. ``INT8`` or ``INT8:INT4``."""
        return f"{self.dtype}:{self.unusual_weights}" if self.unusual_weights else self.dtype


@dataclass(frozen=True, slots=True)
class Graph:
    """One inference graph.

    Attributes:
        signature: key of the signature that names inputs and outputs, ``""`` if the graph has none.
        inputs: its inputs, named by the signature, in the graph's order.
        outputs: its outputs, named by the signature, in the signature's order.
        tensors: every tensor, with the graph's own names.
        ops: every operation, in execution order.
        size_bytes: length of the file.
    """

    signature: str
    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    tensors: tuple[GraphTensor, ...]
    ops: tuple[GraphOp, ...]
    size_bytes: int

    @property
    def op_types(self) -> tuple[str, ...]:
        """The operations with their types that a runtime must run, sorted, each once."""
        return tuple(sorted({op.type for op in self.ops}))

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(op.macs for op in self.ops)

    @property
    def parameters(self) -> int:
        """Number of constant elements that operations with MACs read (weights and biases), shared ones once."""
        read = {i for op in self.ops if op.macs for i in op.inputs if i >= 0 and self.tensors[i].constant}
        return sum(self.tensors[i].elements for i in read)

    @classmethod
    def parse(cls, data: bytes) -> Graph:
        """Read a .tflite file.

        Args:
            data: the file's bytes; they may come from anywhere.

        Returns:
            The graph of its first signature (or, without signatures, of its subgraph).

        Raises:
            InputError: the bytes are not a well-formed graph, or use what this view does not know: several
                subgraphs, or an invalid shape.
        """
        model = FlatBuffer(data).root(_IDENTIFIER)
        if (version := model.integer(0, "I")) != FORMAT_VERSION:
            raise InputError(
                f"the graph has version {version} of the TFLite schema; only version {FORMAT_VERSION} is supported"
            )
        subgraphs = list(model.tables(2))
        if len(subgraphs) != 1:
            raise InputError(f"the graph has {len(subgraphs)} subgraphs; export one function without control flow")
        tensors = _tensors(subgraphs[0], _constant_sizes(model, len(data)))
        ops = _operations(model, subgraphs[0], tensors)
        inputs = tuple(_tensor_at(tensors, i, "an input") for i in subgraphs[0].integers(1))
        outputs = tuple(_tensor_at(tensors, i, "an output") for i in subgraphs[0].integers(2))
        signature, inputs, outputs = _named(model, tensors, inputs, outputs)
        return cls(signature, inputs, outputs, tensors, ops, len(data))


def _constant_sizes(model: FlatTable, length_bytes: int) -> list[int]:
    """Return the bytes stored in each buffer of the file."""
    sizes = []
    for buffer in model.tables(4):
        offset, size = buffer.integer(1, "Q"), buffer.integer(2, "Q")
        if offset > 1:  # large files keep constants behind the FlatBuffer; 0 and 1 mean that this one does not
            if offset + size > length_bytes:
                raise InputError(f"a constant of {size} bytes at offset {offset} extends beyond the file")
            sizes.append(size)
        else:
            sizes.append(buffer.span(0)[1])
    return sizes


def _tensors(subgraph: FlatTable, sizes: list[int]) -> tuple[GraphTensor, ...]:
    types = dict(enumerate(TENSOR_TYPES))
    return tuple(_tensor(table, index, sizes, types) for index, table in enumerate(subgraph.tables(0)))


def _tensor(table: FlatTable, index: int, sizes: list[int], types: dict[int, str]) -> GraphTensor:
    """Read and check one tensor."""
    name, shape, buffer, kind = table.text(3), table.integers(0), table.integer(2, "I"), table.integer(1, "b")
    if kind not in types:
        raise InputError(f"tensor {index} ({name!r}) has the unknown element type {kind}")
    if len(shape) > _RANK_LIMIT or any(size < 0 for size in shape) or prod(shape) > _ELEMENTS_LIMIT:
        raise InputError(f"tensor {index} ({name!r}) has the invalid shape {list(shape)[:_RANK_LIMIT]}")
    if buffer >= max(len(sizes), 1):
        raise InputError(f"tensor {index} ({name!r}) names buffer {buffer} of {len(sizes)}")
    dtype = types[kind].lower()
    stored_bytes = sizes[buffer] if sizes else 0
    tensor = GraphTensor(name, dtype, shape, index=index, constant=stored_bytes > 0)
    sparse = table.table(6) is not None
    if tensor.constant and dtype not in _UNSIZED and not sparse and stored_bytes != tensor.size_bytes:
        raise InputError(f"tensor {index} ({name!r}) stores {stored_bytes} bytes and needs {tensor.size_bytes}")
    return _quantized(tensor, table.table(4))


def _quantized(tensor: GraphTensor, parameters: FlatTable | None) -> GraphTensor:
    """Add the quantization of a tensor, if it has any."""
    if parameters is None:
        return tensor
    scales, zero_points = parameters.floats(2), parameters.integers(3, "q")
    if not scales:
        return tensor
    if not all(0 < scale < float("inf") for scale in scales) or len(zero_points) not in (0, 1, len(scales)):
        raise InputError(f"tensor {tensor.index} ({tensor.name!r}) has an invalid quantization")
    if len(scales) > 1:
        return replace(tensor, channels=len(scales))
    return replace(tensor, scale=scales[0], zero_point=zero_points[0] if zero_points else 0, channels=1)


def _operations(model: FlatTable, subgraph: FlatTable, tensors: tuple[GraphTensor, ...]) -> tuple[GraphOp, ...]:
    codes = [_code(table) for table in model.tables(1)]
    found: list[GraphOp] = []
    stored: dict[int, str] = {}  # what stands in the file for a constant that is dequantized, by the result
    for index, table in enumerate(subgraph.tables(3)):
        code = table.integer(0, "I")
        if code >= len(codes):
            raise InputError(f"operation {index} names operator code {code} of {len(codes)}")
        op = _operation(index, codes[code], table, tensors)
        if op.op == "DEQUANTIZE" and op.inputs and op.inputs[0] >= 0 and tensors[op.inputs[0]].constant:
            stored[op.outputs[0]] = tensors[op.inputs[0]].dtype.upper()
        found.append(_with_weights(op, tensors, stored))
    return tuple(found)


def _with_weights(op: GraphOp, tensors: tuple[GraphTensor, ...], stored: dict[int, str]) -> GraphOp:
    """Add the types of an operation's constant weights."""
    position = _WEIGHTS.get(op.op, len(op.inputs))
    index = op.inputs[position] if position < len(op.inputs) else -1
    if index in stored:
        return replace(op, stored_weights=stored[index])
    if index < 0 or not tensors[index].constant:
        return op
    weights = tensors[index].dtype.upper()
    # Both sides of a BATCH_MATMUL are of one type, whether or not one of them is constant.
    usual = op.dtype if op.op == "BATCH_MATMUL" else _USUAL_WEIGHTS.get(op.dtype, op.dtype)
    return replace(op, stored_weights=weights, unusual_weights="" if weights == usual else weights)


def _code(table: FlatTable) -> str:
    """Return the name of one operator code; codes up to 127 stand in the older of two fields."""
    value = max(table.integer(0, "b"), table.integer(3, "i"))
    names = dict(enumerate(OPERATORS))
    if value not in names:
        raise InputError(f"the graph uses the unknown builtin operator {value}")
    if names[value] != "CUSTOM":
        return names[value]
    if not table.text(1).isprintable():
        raise InputError(f"the graph has a custom operation with the unprintable name {table.text(1)!r}")
    return f"CUSTOM({table.text(1)})"


def _operation(index: int, op: str, table: FlatTable, tensors: tuple[GraphTensor, ...]) -> GraphOp:
    inputs, outputs = table.integers(1), table.integers(2)
    if not outputs:
        raise InputError(f"operation {index} ({op}) has no output")
    sources = [_tensor_at(tensors, i, f"an input of operation {index} ({op})") for i in inputs if i != -1]
    results = [_tensor_at(tensors, i, f"an output of operation {index} ({op})") for i in outputs]
    if any(tensor.constant for tensor in results):
        raise InputError(f"operation {index} ({op}) writes into a constant tensor")
    options = table.table(4)
    flipped = op == "BATCH_MATMUL" and options is not None and bool(options.integer(0, "B"))
    return GraphOp(
        index=index,
        op=op,
        dtype=_dtype(op, sources, results),
        inputs=inputs,
        outputs=outputs,
        name=results[0].name,
        macs=macs(op, tuple(t.shape for t in sources), results[0].shape, transposed_left=flipped),
        weight_bytes=sum(t.size_bytes for t in sources if t.constant),
        input_bytes=sum(t.size_bytes for t in sources if not t.constant),
        output_bytes=sum(t.size_bytes for t in results),
        output_elements=sum(t.elements for t in results),
    )


def _dtype(op: str, sources: list[GraphTensor], results: list[GraphTensor]) -> str:
    """Return the type that an operation computes in, as the module's docstring defines it."""
    if op in CONVERSIONS and sources:
        return f"{sources[0].dtype}_{results[0].dtype}".upper()
    # Indices and shapes are int32 inputs of many operations, in front of the activation in some.
    moving = [t for t in sources if not t.constant and (t.dtype != "int32" or results[0].dtype == "int32")]
    return (moving or results)[0].dtype.upper()


def _named(
    model: FlatTable,
    tensors: tuple[GraphTensor, ...],
    inputs: tuple[GraphTensor, ...],
    outputs: tuple[GraphTensor, ...],
) -> tuple[str, tuple[GraphTensor, ...], tuple[GraphTensor, ...]]:
    """Name inputs and outputs by the first signature; without one, by their tensors."""
    signature = next(model.tables(7), None)
    if signature is None:
        _distinct([t.name for t in (*inputs, *outputs)])
        return "", inputs, outputs
    named_inputs = _mapped(signature, 0, tensors)
    named_outputs = _mapped(signature, 1, tensors)
    if {t.index for t in named_inputs} != {t.index for t in inputs}:
        raise InputError("the graph's signature does not name every input exactly once; export it again")
    if not {t.index for t in named_outputs} <= {t.index for t in outputs}:
        raise InputError("the graph's signature names an output that the graph does not return; export it again")
    order = {tensor.index: position for position, tensor in enumerate(inputs)}
    return signature.text(2), tuple(sorted(named_inputs, key=lambda t: order[t.index])), named_outputs


def _mapped(signature: FlatTable, field: int, tensors: tuple[GraphTensor, ...]) -> tuple[GraphTensor, ...]:
    named = tuple(
        replace(_tensor_at(tensors, entry.integer(1, "I"), "the signature"), name=entry.text(0))
        for entry in signature.tables(field)
    )
    _distinct([tensor.name for tensor in named])
    return named


def _distinct(names: list[str]) -> None:
    if len(set(names)) != len(names) or "" in names:
        raise InputError(f"the names of the graph's inputs and outputs are not distinct: {sorted(names)!r}")


def _tensor_at(tensors: tuple[GraphTensor, ...], index: int, what: str) -> GraphTensor:
    if not 0 <= index < len(tensors):
        raise InputError(f"{what} names tensor {index} of {len(tensors)}")
    return tensors[index]
