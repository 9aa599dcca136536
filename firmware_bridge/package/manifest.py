"""The manifest: what a package declares of its payload, as a value and as strict CBOR.

Owns: the schema. Knows no signature and no board: a well-formed manifest need be neither
true nor acceptable. Law: ``decode(encode(m)) == m``, and ``encode(decode(data)) == data``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

from firmware_bridge.device.graph import FORMAT_VERSION, GraphTensor
from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cbor
from firmware_bridge.package.card import SignedCard
from firmware_bridge.package.fields import LABEL, NAME, OP, TEXT, VERSION, Fields, schema_error

__all__ = [
    "CHUNK_BYTES",
    "PAYLOAD_LIMIT_BYTES",
    "SCHEMA",
    "TFLITE",
    "VERDICTS",
    "Evidence",
    "Manifest",
    "PayloadFormat",
    "TensorSpec",
    "decode",
    "encode",
]

CHUNK_BYTES = 16 * 1024
"""Size of each chunk but the last: 1.4 s of a 115200 baud line, and one flash erase block of common parts."""

PAYLOAD_LIMIT_BYTES = 512 * 1024 * 1024
"""Largest payload: its chunk table just fills the 1 MiB that the container allows."""

VERDICTS = frozenset({"PASS", "FAIL", "INCONCLUSIVE", "NONE"})
"""Verdicts of the gate; NONE: it was not run."""

SCHEMA = 3
"""Schema of a manifest with a model card; one without is written as the schema before, which is read as well."""
_WITHOUT_CARD = 2
_DIGEST_BYTES = 32
_NO_DIGEST = bytes(_DIGEST_BYTES)
_RANK_LIMIT = 8
_DTYPES = frozenset(
    {"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"}
)


@dataclass(frozen=True, slots=True)
class PayloadFormat:
    """What kind of file a payload is, and which version of that format, e.g. ``tflite`` 3."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


TFLITE = PayloadFormat("tflite", FORMAT_VERSION)
"""The one format that boards run today."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of the graph, named by its signature.

    Attributes:
        name: name in the graph's signature.
        dtype: NumPy name of the element type.
        shape: static shape.
        scale: real value of one step; 0.0 if not quantized.
        zero_point: the integer that stands for real 0.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0

    @classmethod
    def of(cls, tensor: GraphTensor) -> TensorSpec:
        """Return the specification of a graph's tensor."""
        return cls(tensor.name, tensor.dtype, tensor.shape, tensor.scale, tensor.zero_point)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Origin and verdict of the payload. A digest of 32 zero bytes stands for none.

    Attributes:
        plan: SHA-256 of the precision plan.
        calibration: SHA-256 of the calibration set.
        float_parent: SHA-256 of the float network.
        gate: SHA-256 of the gate's evidence.
        verdict: the gate's verdict, one of `VERDICTS`.
        waiver: why it may run without a passed gate; ``""`` if there is no such waiver.
    """

    plan: bytes = _NO_DIGEST
    calibration: bytes = _NO_DIGEST
    float_parent: bytes = _NO_DIGEST
    gate: bytes = _NO_DIGEST
    verdict: str = "NONE"
    waiver: str = ""

    @property
    def passed(self) -> bool:
        """Whether the gate passed, with evidence that can be looked up."""
        return self.verdict == "PASS" and self.gate != _NO_DIGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a package declares of itself.

    The four fields of the payload are filled in by `firmware_bridge.package.container.build`.

    Attributes:
        package_id: UUID of the package, 16 bytes.
        program: the program that it belongs to.
        model: name of the model.
        version: version of the model, for people.
        boards: kinds of boards that it is for, sorted.
        runtimes: (name, minimum version) of each runtime that runs it, sorted by name.
        format: what kind of file the payload is.
        ops: the graph's operations with their types, as ``CONV_2D:INT8``, sorted.
        security_version: rollback index of the program, u64.
        inputs: the graph's inputs, in the graph's order.
        outputs: the graph's outputs, in the signature's order.
        npu_ops: how many operations the NPU runs.
        evidence: origin and verdict.
        custody: reference into the custody log, or ``""``.
        card: the model card, or None.
        created_s: when it was made, seconds since 1970, UTC.
        not_before_s: begin of its validity, or None.
        not_after_s: end of its validity, or None.
        payload_bytes: size of the payload.
        payload_sha256: SHA-256 of the payload.
        chunk_bytes: size of each chunk but the last; always `CHUNK_BYTES` in this version.
        table_sha256: SHA-256 of the chunk table.
    """

    package_id: bytes
    program: str
    model: str
    version: str
    boards: tuple[str, ...]
    runtimes: tuple[tuple[str, str], ...]
    ops: tuple[str, ...]
    security_version: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    npu_ops: int
    evidence: Evidence
    created_s: int
    format: PayloadFormat = TFLITE
    custody: str = ""
    card: SignedCard | None = None
    not_before_s: int | None = None
    not_after_s: int | None = None
    payload_bytes: int = 0
    payload_sha256: bytes = b""
    chunk_bytes: int = CHUNK_BYTES
    table_sha256: bytes = b""


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as strict CBOR.

    Raises:
        InputError: a field breaks the schema, so no board would read it.
    """
    document: cbor.Value = {
        "schema": _WITHOUT_CARD if manifest.card is None else SCHEMA,
        **({} if manifest.card is None else {"card": manifest.card.values}),
        "id": manifest.package_id,
        "program": manifest.program,
        "model": manifest.model,
        "version": manifest.version,
        "boards": list(manifest.boards),
        "runtimes": [list(pair) for pair in manifest.runtimes],
        "format": [manifest.format.name, manifest.format.version],
        "ops": list(manifest.ops),
        "security": manifest.security_version,
        "bytes": manifest.payload_bytes,
        "sha256": manifest.payload_sha256,
        "chunk": manifest.chunk_bytes,
        "table": manifest.table_sha256,
        "inputs": [_tensor_document(spec) for spec in manifest.inputs],
        "outputs": [_tensor_document(spec) for spec in manifest.outputs],
        "npu": manifest.npu_ops,
        "evidence": {field.name: getattr(manifest.evidence, field.name) for field in fields(Evidence)},
        "custody": manifest.custody,
        "created": manifest.created_s,
        "from": manifest.not_before_s,
        "until": manifest.not_after_s,
    }
    data = cbor.encode(document)
    try:
        decode(data)
    except RejectedError as error:
        raise InputError(f"the manifest cannot be written: {error.detail}") from error
    return data


def decode(data: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        RejectedError: CBOR, or SCHEMA with the field's name.
    """
    read = Fields(cbor.decode(data), "manifest")
    schema = read.uint("schema", maximum=SCHEMA, minimum=_WITHOUT_CARD)
    manifest = Manifest(
        package_id=read.octets("id", 16),
        program=read.text("program", NAME),
        model=read.text("model", NAME),
        version=read.text("version", NAME),
        boards=read.texts("boards", NAME, minimum=1),
        runtimes=read.array("runtimes", _runtime),
        format=_format(read.array("format", _part)),
        ops=read.texts("ops", OP, minimum=1),
        security_version=read.uint("security"),
        payload_bytes=read.uint("bytes", maximum=PAYLOAD_LIMIT_BYTES, minimum=1),
        payload_sha256=read.octets("sha256", _DIGEST_BYTES),
        chunk_bytes=read.uint("chunk", maximum=CHUNK_BYTES, minimum=CHUNK_BYTES),
        table_sha256=read.octets("table", _DIGEST_BYTES),
        inputs=read.array("inputs", _tensor),
        outputs=read.array("outputs", _tensor),
        npu_ops=read.uint("npu", maximum=(1 << 32) - 1),
        evidence=_evidence(read.map("evidence")),
        custody=read.text("custody", TEXT),
        card=SignedCard.of(read.take("card")) if schema == SCHEMA else None,
        created_s=read.uint("created"),
        not_before_s=read.optional_uint("from"),
        not_after_s=read.optional_uint("until"),
    )
    read.finish()
    _check_whole(manifest)
    return manifest


def _check_whole(manifest: Manifest) -> None:
    """Check what concerns more than one field."""
    names = [name for name, _ in manifest.runtimes]
    if not names or any(a >= b for a, b in pairwise(names)):
        raise schema_error("manifest.runtimes is not sorted, each name once, at least one")
    for key, specs in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
        if not specs or len({spec.name for spec in specs}) != len(specs):
            raise schema_error(f"manifest.{key} is empty or names a tensor twice")
    if manifest.card is not None and set(manifest.card.inputs) != {spec.name for spec in manifest.inputs}:
        raise schema_error("manifest.card.inputs are not manifest.inputs")
    begin, end = manifest.not_before_s, manifest.not_after_s
    if begin is not None and end is not None and begin > end:
        raise schema_error("manifest.from is after manifest.until")


def _tensor_document(spec: TensorSpec) -> cbor.Value:
    return {
        "name": spec.name,
        "dtype": spec.dtype,
        "shape": list(spec.shape),
        "scale": float(spec.scale),
        "zero": spec.zero_point,
    }


def _tensor(value: cbor.Value) -> TensorSpec:
    read = Fields(value, "tensor")
    spec = TensorSpec(
        name=read.text("name", LABEL),
        dtype=read.choice("dtype", _DTYPES),
        shape=read.array("shape", _dimension),
        scale=read.number("scale"),
        zero_point=read.integer("zero", 32),
    )
    read.finish()
    if len(spec.shape) > _RANK_LIMIT or spec.scale < 0:
        raise schema_error(f"tensor {spec.name} has more than {_RANK_LIMIT} dimensions, or a negative scale")
    return spec


def _dimension(value: cbor.Value) -> int:
    if type(value) is not int or not 1 <= value < 1 << 31:
        raise schema_error("tensor.shape is not of positive integers of 32 bits")
    return value


def _runtime(value: cbor.Value) -> tuple[str, str]:
    match value:
        case [str(name), str(version)] if NAME.fullmatch(name) and VERSION.fullmatch(version):
            return name, version
    raise schema_error("manifest.runtimes is not of [name, minimum version like 2.14.0]")


def _part(value: cbor.Value) -> cbor.Value:
    return value


def _format(parts: tuple[cbor.Value, ...]) -> PayloadFormat:
    match parts:
        case (str(name), int(version)) if NAME.fullmatch(name) and type(version) is int and 0 < version < 1 << 16:
            return PayloadFormat(name, version)
    raise schema_error('manifest.format is not [name, version from 1 to 65535] like ["tflite", 3]')


def _evidence(read: Fields) -> Evidence:
    evidence = Evidence(
        plan=read.octets("plan", _DIGEST_BYTES),
        calibration=read.octets("calibration", _DIGEST_BYTES),
        float_parent=read.octets("float_parent", _DIGEST_BYTES),
        gate=read.octets("gate", _DIGEST_BYTES),
        verdict=read.choice("verdict", VERDICTS),
        waiver=read.text("waiver", TEXT),
    )
    read.finish()
    return evidence
