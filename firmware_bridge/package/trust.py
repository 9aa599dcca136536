"""ALL rules that decide whether a package or a trust store is accepted, in the order in which they are checked.

Owns: every decision. Does no I/O and has no clock: bytes, trust store and the board's facts are passed in, so that the
same file runs on the host and on the board. Only this module constructs a `VerifiedPackage`, and an agent installs and
runs nothing else.

Order: header and lengths; strict envelope; key known, algorithm the key's, key not revoked; signature; schema;
length as signed; program; board; format; runtime; rollback; validity; evidence; capacity; chunk table; chunks; whole
digest; only then the first FlatBuffer parse, and the graph against the manifest. The normative text is
docs/package-format.md.
"""

from __future__ import annotations

import hashlib
from dataclasses import InitVar, dataclass, field

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cose
from firmware_bridge.package import manifest as manifests
from firmware_bridge.package.container import PackageFile
from firmware_bridge.package.context import BoardContext
from firmware_bridge.package.fields import version_numbers
from firmware_bridge.package.layout import CONTENT_TYPE, DIGEST_BYTES, DOMAIN, HEADER_BYTES, Header, check_length
from firmware_bridge.package.manifest import TFLITE, Manifest, TensorSpec
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.trust_store import ProgramKey, TrustStore, build_store

__all__ = [
    "AcceptedPackage",
    "BoardContext",
    "ProgramKey",
    "TrustStore",
    "VerifiedPackage",
    "accept_store",
    "build_store",
    "check_graph",
    "verify_envelope",
    "verify_file",
    "verify_head",
    "verify_package",
    "verify_payload",
]

_SEAL = object()


@dataclass(frozen=True, slots=True)
class AcceptedPackage:
    """A package whose head is accepted; its payload may come.

    Attributes:
        manifest: the signed manifest.
        key_id: the key that signed it.
        chunk_digests: SHA-256 of each chunk.
    """

    manifest: Manifest
    key_id: bytes
    chunk_digests: tuple[bytes, ...] = field(repr=False)
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        _require_seal(seal, "verify_head")

    def check_chunk(self, index: int, data: bytes | memoryview) -> None:
        """Check one chunk of the payload.

        Raises:
            RejectedError: CHUNK, it is not the chunk with this index.
        """
        if not 0 <= index < len(self.chunk_digests):
            raise RejectedError(RejectReason.CHUNK, f"chunk {index} of {len(self.chunk_digests)}")
        if hashlib.sha256(data).digest() != self.chunk_digests[index]:
            raise RejectedError(RejectReason.CHUNK, f"chunk {index} of {len(self.chunk_digests)}, {len(data)} bytes")


@dataclass(frozen=True, slots=True)
class VerifiedPackage:
    """A package that passed every rule; ``payload`` is the very object that was hashed.

    Attributes:
        manifest: the signed manifest.
        key_id: the key that signed it.
        payload: the graph's bytes.
        graph: the graph.
    """

    manifest: Manifest
    key_id: bytes
    payload: bytes = field(repr=False)
    graph: Graph = field(repr=False)
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        _require_seal(seal, "verify_payload")


def accept_store(current: TrustStore | None, data: bytes) -> TrustStore:
    """Decide whether a trust store may be installed.

    Args:
        current: the store on the board, None in the factory.
        data: the new store.

    Returns:
        The store to hold from now on.

    Raises:
        RejectedError: as `TrustStore.decode`; TRUST_SIGNATURES, the current roots have not signed it; PROGRAM, it is
            of another program; TRUST_VERSION, it is not newer and not the same bytes.
    """
    new = TrustStore.decode(data)
    if current is None or new.raw == current.raw:
        return new
    new.require_roots(current, "the current")
    if new.program != current.program:
        raise RejectedError(RejectReason.PROGRAM, f"trust store of {new.program}, the board is of {current.program}")
    if new.version <= current.version:
        raise RejectedError(RejectReason.TRUST_VERSION, f"version {new.version}, the board has {current.version}")
    return new


def verify_envelope(data: bytes, store: TrustStore | None, context: BoardContext) -> tuple[Manifest, bytes]:
    """Judge a package by its header and envelope alone: usually its first two kilobytes.

    Args:
        data: the package's first bytes; bytes after the envelope are not looked at.
        store: the trust store, None if there is none yet.
        context: the board.

    Returns:
        The signed manifest, and the id of the key that signed it.

    Raises:
        RejectedError: any reason from FRAME to CAPACITY.
    """
    header = Header.parse(data)
    end = HEADER_BYTES + header.envelope_bytes
    if len(data) < end:
        raise RejectedError(RejectReason.LENGTH, f"the envelope is cut: {len(data)} bytes of {end}")
    envelope = cose.Sign1.parse(data[HEADER_BYTES:end], CONTENT_TYPE, DOMAIN)
    key = _signing_key(envelope.signature, store)
    if not cose.signed_by(envelope.signature, key.key):
        raise RejectedError(RejectReason.SIGNATURE, f"key {key.key_id.hex()[:16]}")
    manifest = manifests.decode(envelope.payload)
    if manifest.payload_bytes != header.payload_bytes:
        raise RejectedError(
            RejectReason.LENGTH, f"header: {header.payload_bytes} payload bytes, manifest: {manifest.payload_bytes}"
        )
    floor = max(context.floor, store.floor(manifest.program) if store is not None else 0)
    _check_program(manifest, key, context)
    _check_board(manifest, key, context)
    _check_format(manifest)
    _check_runtime(manifest, context.runtime)
    if manifest.security_version < floor:
        raise RejectedError(RejectReason.ROLLBACK, f"security version {manifest.security_version}, floor {floor}")
    _check_validity(manifest, key, context.time_s)
    _check_evidence(manifest)
    if context.capacity_bytes is not None and manifest.payload_bytes > context.capacity_bytes:
        raise RejectedError(RejectReason.CAPACITY, f"{manifest.payload_bytes} bytes, room for {context.capacity_bytes}")
    return manifest, key.key_id


def verify_head(head: bytes, store: TrustStore | None, context: BoardContext) -> AcceptedPackage:
    """Judge a package's head: header, envelope and chunk table, exactly.

    Raises:
        RejectedError: any reason from FRAME to CHUNK_TABLE.
    """
    header = Header.parse(head)
    check_length(len(head), header.head_bytes, "head")
    manifest, key_id = verify_envelope(head, store, context)
    table = head[HEADER_BYTES + header.envelope_bytes :]
    if hashlib.sha256(table).digest() != manifest.table_sha256:
        raise RejectedError(RejectReason.CHUNK_TABLE, "its digest is not the manifest's")
    digests = tuple(table[start : start + DIGEST_BYTES] for start in range(0, len(table), DIGEST_BYTES))
    return AcceptedPackage(manifest, key_id, digests, _SEAL)


def verify_payload(accepted: AcceptedPackage, payload: bytes) -> VerifiedPackage:
    """Judge the whole payload of an accepted package.

    Raises:
        RejectedError: LENGTH, TRAILING, CHUNK, DIGEST or GRAPH.
    """
    manifest = accepted.manifest
    # A buffer that its owner can change could be hashed as one thing and run as another.
    if type(payload) is not bytes:
        raise TypeError(f"a payload is bytes, got {type(payload).__name__}")
    check_length(len(payload), manifest.payload_bytes, "payload")
    _check_digests(accepted, payload)
    return VerifiedPackage(manifest, accepted.key_id, payload, check_graph(manifest, payload), _SEAL)


def verify_package(data: bytes, store: TrustStore | None, context: BoardContext) -> VerifiedPackage:
    """Judge a whole package.

    Raises:
        RejectedError: any reason, in the order of the module's docstring.
    """
    return verify_file(PackageFile.of(data), store, context)


def verify_file(package: PackageFile, store: TrustStore | None, context: BoardContext) -> VerifiedPackage:
    """Judge a whole package that was read from a file, without copying its payload; otherwise as `verify_package`."""
    return verify_payload(verify_head(package.head, store, context), package.body)


def check_graph(manifest: Manifest, payload: bytes) -> Graph:
    """Parse the payload and compare it with what the manifest declares of it.

    A signer calls it before signing; a verifier's first FlatBuffer parse is here, after every digest.

    Raises:
        RejectedError: GRAPH.
    """
    try:
        graph = Graph.parse(payload)
    except InputError as error:
        raise RejectedError(RejectReason.GRAPH, str(error)) from error
    pairs = (("inputs", graph.inputs, manifest.inputs), ("outputs", graph.outputs, manifest.outputs))
    for what, tensors, declared in pairs:
        found = tuple(TensorSpec.of(tensor) for tensor in tensors)
        if found != declared:
            raise RejectedError(RejectReason.GRAPH, f"its {what} are {_shown(found)}, declared {_shown(declared)}")
    if graph.op_types != manifest.ops:
        difference = sorted(set(graph.op_types) ^ set(manifest.ops))
        raise RejectedError(RejectReason.GRAPH, f"its operations differ from those declared in {', '.join(difference)}")
    return graph


def _signing_key(signature: cose.Signature, store: TrustStore | None) -> ProgramKey:
    if store is None:
        raise RejectedError(RejectReason.NO_TRUST)
    key = store.key(signature.key_id)
    shown = signature.key_id.hex()[:16]
    if key is None:
        raise RejectedError(RejectReason.UNKNOWN_KEY, f"key {shown}")
    if signature.algorithm is not key.algorithm:
        raise RejectedError(
            RejectReason.ALGORITHM, f"header {signature.algorithm.name}, key {shown} is for {key.algorithm.name}"
        )
    if key.revoked:
        raise RejectedError(RejectReason.REVOKED_KEY, f"key {shown}: {key.revoked}")
    return key


def _check_program(manifest: Manifest, key: ProgramKey, context: BoardContext) -> None:
    if key.program != manifest.program:
        raise RejectedError(RejectReason.PROGRAM, f"package of {manifest.program}, signed by a key of {key.program}")
    if context.program is not None and manifest.program != context.program:
        raise RejectedError(RejectReason.PROGRAM, f"package of {manifest.program}, board of {context.program}")


def _check_board(manifest: Manifest, key: ProgramKey, context: BoardContext) -> None:
    if key.boards and not set(manifest.boards) <= set(key.boards):
        allowed = ", ".join(key.boards)
        raise RejectedError(RejectReason.BOARD, f"for {', '.join(manifest.boards)}; its key signs for {allowed}")
    if context.board is not None and context.board not in manifest.boards:
        raise RejectedError(RejectReason.BOARD, f"for {', '.join(manifest.boards)}; this is {context.board}")


def _check_format(manifest: Manifest) -> None:
    if manifest.format != TFLITE:
        raise RejectedError(RejectReason.FORMAT, f"{manifest.format}; this board reads {TFLITE}")


def _check_runtime(manifest: Manifest, runtime: RuntimeInfo | None) -> None:
    if runtime is None:
        return
    minimum = dict(manifest.runtimes).get(runtime.name)
    if minimum is None:
        named = ", ".join(name for name, _ in manifest.runtimes)
        raise RejectedError(RejectReason.RUNTIME, f"for {named}; the board has {runtime.name}")
    if version_numbers(runtime.version) < version_numbers(minimum):
        raise RejectedError(RejectReason.RUNTIME, f"{runtime.name} {runtime.version}, at least {minimum} needed")
    missing = sorted(set(manifest.ops) - set(runtime.ops))
    if missing:
        raise RejectedError(RejectReason.RUNTIME, f"{runtime.name} {runtime.version} lacks {', '.join(missing)}")


def _check_validity(manifest: Manifest, key: ProgramKey, time_s: float | None) -> None:
    """Check both periods, only where the time is trusted: a board at 1970 must still boot its model."""
    if time_s is None:
        return
    for what, begin, end in (
        ("package", manifest.not_before_s, manifest.not_after_s),
        ("key", key.not_before_s, key.not_after_s),
    ):
        if begin is not None and time_s < begin:
            raise RejectedError(RejectReason.VALIDITY, f"the {what} is valid from {begin}, it is {time_s:.0f}")
        if end is not None and time_s > end:
            raise RejectedError(RejectReason.VALIDITY, f"the {what} was valid until {end}, it is {time_s:.0f}")


def _check_evidence(manifest: Manifest) -> None:
    evidence = manifest.evidence
    if not evidence.passed and not evidence.waiver:
        raise RejectedError(RejectReason.EVIDENCE, f"verdict {evidence.verdict}, and no waiver is signed")


def _check_digests(accepted: AcceptedPackage, payload: bytes) -> None:
    """Check the digest of the whole: one pass. Only when it fails are the chunks checked one by one."""
    if hashlib.sha256(payload).digest() == accepted.manifest.payload_sha256:
        return
    view, size = memoryview(payload), accepted.manifest.chunk_bytes
    for index in range(len(accepted.chunk_digests)):
        accepted.check_chunk(index, view[index * size : (index + 1) * size])
    raise RejectedError(RejectReason.DIGEST, "the chunks match their table, the whole does not")


def _shown(specs: tuple[TensorSpec, ...]) -> str:
    return "[" + ", ".join(f"{s.name}:{s.dtype}{list(s.shape)}*{s.scale:g}{s.zero_point:+d}" for s in specs) + "]"


def _require_seal(seal: object, maker: str) -> None:
    if seal is not _SEAL:
        raise TypeError(f"only firmware_bridge.package.trust.{maker} makes this value")
