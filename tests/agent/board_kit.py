"""What tests of a board need: keys of this run, real signed packages of small real graphs, and a board in a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.agent.identity import BoardIdentity
from firmware_bridge.agent.inference.engine import Engine, RuntimeEngine
from firmware_bridge.agent.service import BoardParts, BoardService
from firmware_bridge.agent.state.storage import LocalStorage, Storage
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import default_runtime
from firmware_bridge.package.container import PackageFile, build
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import ProgramKey, build_store
from firmware_bridge.protocol import messages as m
from hil.conformance.signing_kit import manifest_of, new_key
from hil.virtual.clock import ModelledClock

PROGRAM = "falcon"


def graph_bytes(seed: int = 1, padding_bytes: int = 0) -> bytes:
    """eo and lwir int8 -> CONV_2D each, ADD, QUANTIZE to int16, TANH; ``padding_bytes`` of noise make it larger."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    rng, model, graph = np.random.default_rng(seed), schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes, model.buffers = 3, [graph], [], [schema.BufferT()]
    graph.tensors, graph.operators, graph.name = [], [], "main"

    def buffer(data: bytes) -> int:
        model.buffers.append(schema.BufferT())
        model.buffers[-1].data = np.frombuffer(data, np.uint8)
        return len(model.buffers) - 1

    def tensor(
        name: str, kind: str, shape: tuple[int, ...], scales: tuple[float, ...], zero: int = 0, data: Any = None
    ) -> int:
        item, quantization = schema.TensorT(), schema.QuantizationParametersT()
        item.name, item.shape, item.type, item.buffer = name, list(shape), getattr(schema.TensorType, kind), 0
        quantization.scale, quantization.zeroPoint, quantization.quantizedDimension = (
            list(scales),
            [zero] * len(scales),
            0,
        )
        item.quantization = quantization
        if data is not None:
            item.buffer = buffer(data.tobytes())
        graph.tensors.append(item)
        return len(graph.tensors) - 1

    def op(name: str, inputs: list[int], output: int, options: Any, version: int) -> None:
        code, item = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
        code.version = version
        model.operatorCodes.append(code)
        item.opcodeIndex, item.inputs, item.outputs = len(model.operatorCodes) - 1, inputs, [output]
        if options is not None:
            item.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            item.builtinOptions = options
        graph.operators.append(item)

    def convolution(name: str, channels: int) -> tuple[int, int]:
        frame = tensor(f"{name}:0", "INT8", (1, 16, 24, channels), (1 / 255,), -128)
        weights = rng.integers(-127, 128, (8, 3, 3, channels)).astype(np.int8)
        scales = tuple(float(s) for s in rng.uniform(0.01, 0.03, 8))
        kernel = tensor(f"{name}_w", "INT8", weights.shape, scales, data=weights)
        bias = rng.integers(-99, 99, 8).astype(np.int32)
        shift = tensor(f"{name}_b", "INT32", (8,), tuple(s / 255 for s in scales), data=bias)
        mapped = tensor(f"{name}/conv", "INT8", (1, 16, 24, 8), (0.04,), -3)
        options = schema.Conv2DOptionsT()
        options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
        options.padding = 0
        op("CONV_2D", [frame, kernel, shift], mapped, options, 3)
        return frame, mapped

    (eo, eo_map), (lwir, lwir_map) = convolution("eo", 3), convolution("lwir", 1)
    fused = tensor("fused", "INT8", (1, 16, 24, 8), (0.06,), 2)
    wide = tensor("wide", "INT16", (1, 16, 24, 8), (0.0003,))
    bent = tensor("bent", "INT16", (1, 16, 24, 8), (1 / 32768,))
    op("ADD", [eo_map, lwir_map], fused, schema.AddOptionsT(), 2)
    op("QUANTIZE", [fused], wide, schema.QuantizeOptionsT(), 3)
    op("TANH", [wide], bent, None, 3)
    graph.inputs, graph.outputs = [eo, lwir], [fused, bent]
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = "serving_default", 0
    names = {"eo": eo, "lwir": lwir}, {"map_2": fused, "kin_2": bent}
    signature.inputs, signature.outputs = ([_map(schema, *item) for item in side.items()] for side in names)
    model.signatureDefs = [signature]
    if padding_bytes:
        note = schema.MetadataT()
        note.name, note.buffer = "padding", buffer(rng.bytes(padding_bytes))
        model.metadata = [note]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _map(schema: Any, name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, index
    return entry


def random_inputs(graph: Graph, seed: int = 3) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {t.name: rng.integers(-128, 128, t.shape).astype(t.dtype) for t in graph.inputs}


@dataclass
class Office:
    """Keys of one run, and what is signed with them."""

    roots: list[PemSigner] = field(default_factory=lambda: [new_key(), new_key()])
    key: PemSigner = field(default_factory=new_key)
    other: PemSigner = field(default_factory=new_key)
    stranger: PemSigner = field(default_factory=new_key)

    def trust(self, version: int = 1, revoked: str = "", floor: int = 0) -> bytes:
        keys = (
            ProgramKey(self.key.public_key_spki, PROGRAM, revoked=revoked),
            ProgramKey(self.other.public_key_spki, "heron"),
        )
        return build_store(
            program=PROGRAM,
            version=version,
            roots=[root.public_key_spki for root in self.roots],
            threshold=2,
            keys=keys,
            signers=self.roots,
            floors=[(PROGRAM, floor)] if floor else [],
        ).raw

    def package(
        self, payload: bytes | None = None, *, signer: PemSigner | None = None, version: str = "1.0.0", **fields: Any
    ) -> PackageFile:
        payload = graph_bytes() if payload is None else payload
        return PackageFile.of(
            build(manifest_of(payload, PROGRAM, "ks100", version=version, **fields), payload, signer or self.key)
        )


class SteadyRails:
    """Two rails that draw the same at any time."""

    labels = ("VDD_A", "VDD_B")
    period_s = 0.002

    def read_mw(self) -> tuple[float | None, ...]:
        return (1500.0, 250.0)


def parts(where: Path | Storage, engine: Engine | None = None, **fields: Any) -> BoardParts:
    given: dict[str, Any] = {
        "identity": BoardIdentity("ks100", "T0001", emulated=True),
        "capacity_bytes": 8 << 20,
        "storage": LocalStorage(where) if isinstance(where, Path) else where,
        "engine": engine or RuntimeEngine(default_runtime()),
        "clock": ModelledClock(),
        "rails": SteadyRails(),
        "wall_s": lambda: 1_900_000_000.0,
    }
    return BoardParts(**{**given, **fields})


def boot(where: Path | Storage, engine: Engine | None = None, **fields: Any) -> BoardService:
    service = BoardService(parts(where, engine, **fields))
    service.start()
    return service


def push(service: BoardService, package: PackageFile) -> m.Installed:
    """What a host does: offer the head, send what is wanted, finish."""
    for index in wanted(service.offer(package.head), package):
        service.chunk(index, package.chunk(index))
    return service.finish()


def wanted(answer: m.ChunksNeeded, package: PackageFile) -> list[int]:
    return [i for i in range(package.chunk_count) if answer.missing[i // 8] >> i % 8 & 1]


def install(service: BoardService, package: PackageFile) -> str:
    """Push, activate, confirm; return the slot."""
    slot = push(service, package).slot
    service.activate(slot)
    service.confirm()
    return slot


def slot_states(service: BoardService) -> dict[str, str]:
    return {slot.name: slot.state for slot in service.info().slots}


def results(service: BoardService, action: str) -> list[str]:
    return [entry.result for entry in service.audit(0).entries if entry.action == action]


def message_inputs(arrays: dict[str, NDArray[Any]]) -> dict[str, m.Tensor]:
    return {name: m.Tensor(a.dtype.name, a.shape, a.tobytes()) for name, a in arrays.items()}
