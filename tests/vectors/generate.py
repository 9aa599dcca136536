"""Makes the test vectors of docs/package-format.md: `python tests/vectors/generate.py`.

Keys are made afresh and thrown away when it ends: only public keys and signed bytes are kept, so a new run changes
every file but none of the expectations. The name of a vector is the fault that it carries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import tflite
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.device.graph import Graph
from firmware_bridge.package import cbor, container, cose
from firmware_bridge.package import manifest as manifests
from firmware_bridge.package.container import CONTENT_TYPE, DOMAIN, Header, chunk_table
from firmware_bridge.package.ecdsa import Algorithm, PublicKey
from firmware_bridge.package.manifest import Evidence, Manifest, PayloadFormat, TensorSpec
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import ProgramKey, TrustStore, build_store

FOLDER = Path(__file__).parent
CONTEXT: dict[str, Any] = {
    "board": "ks100",
    "program": "falcon",
    "runtime": {"name": "litert", "version": "2.3.0", "ops": ["ADD:INT8", "RELU:INT8"]},
    "floor": 3,
    "capacity_bytes": 65536,
    "time_s": 1_800_000_000,
}


def tiny_graph(elements: int = 4) -> bytes:
    """Return a real graph: y = a + b, int8, with a signature."""
    b = flatbuffers.Builder(1024)
    names = ("a", "b", "y")
    tensors = [_tensor(b, name, elements) for name in names]
    tensor_vector = _vector(b, tflite.SubGraphStartTensorsVector, tensors)
    ins, outs = b.CreateNumpyVector(np.array([0, 1], "int32")), b.CreateNumpyVector(np.array([2], "int32"))
    tflite.OperatorStart(b)
    tflite.OperatorAddOpcodeIndex(b, 0)
    tflite.OperatorAddInputs(b, ins)
    tflite.OperatorAddOutputs(b, outs)
    operators = _vector(b, tflite.SubGraphStartOperatorsVector, [tflite.OperatorEnd(b)])
    ins, outs = b.CreateNumpyVector(np.array([0, 1], "int32")), b.CreateNumpyVector(np.array([2], "int32"))
    tflite.SubGraphStart(b)
    tflite.SubGraphAddTensors(b, tensor_vector)
    tflite.SubGraphAddInputs(b, ins)
    tflite.SubGraphAddOutputs(b, outs)
    tflite.SubGraphAddOperators(b, operators)
    subgraphs = _vector(b, tflite.ModelStartSubgraphsVector, [tflite.SubGraphEnd(b)])
    tflite.OperatorCodeStart(b)
    tflite.OperatorCodeAddVersion(b, 2)
    codes = _vector(b, tflite.ModelStartOperatorCodesVector, [tflite.OperatorCodeEnd(b)])
    tflite.BufferStart(b)
    buffers = _vector(b, tflite.ModelStartBuffersVector, [tflite.BufferEnd(b)])
    maps = [_tensor_map(b, name, index) for index, name in enumerate(names)]
    inputs = _vector(b, tflite.SignatureDefStartInputsVector, maps[:2])
    outputs = _vector(b, tflite.SignatureDefStartOutputsVector, maps[2:])
    key = b.CreateString("serving_default")
    tflite.SignatureDefStart(b)
    tflite.SignatureDefAddInputs(b, inputs)
    tflite.SignatureDefAddOutputs(b, outputs)
    tflite.SignatureDefAddSignatureKey(b, key)
    signatures = _vector(b, tflite.ModelStartSignatureDefsVector, [tflite.SignatureDefEnd(b)])
    tflite.ModelStart(b)
    tflite.ModelAddVersion(b, 3)
    tflite.ModelAddOperatorCodes(b, codes)
    tflite.ModelAddSubgraphs(b, subgraphs)
    tflite.ModelAddBuffers(b, buffers)
    tflite.ModelAddSignatureDefs(b, signatures)
    b.Finish(tflite.ModelEnd(b), b"TFL3")
    return bytes(b.Output())


def _tensor(b: Any, name: str, elements: int) -> int:
    text, shape = b.CreateString(name), b.CreateNumpyVector(np.array([1, elements], "int32"))
    scale, zero = b.CreateNumpyVector(np.array([0.1], "float32")), b.CreateNumpyVector(np.array([-3], "int64"))
    tflite.QuantizationParametersStart(b)
    tflite.QuantizationParametersAddScale(b, scale)
    tflite.QuantizationParametersAddZeroPoint(b, zero)
    quantization = tflite.QuantizationParametersEnd(b)
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, tflite.TensorType.INT8)
    tflite.TensorAddName(b, text)
    tflite.TensorAddQuantization(b, quantization)
    return int(tflite.TensorEnd(b))


def _tensor_map(b: Any, name: str, index: int) -> int:
    text = b.CreateString(name)
    tflite.TensorMapStart(b)
    tflite.TensorMapAddName(b, text)
    tflite.TensorMapAddTensorIndex(b, index)
    return int(tflite.TensorMapEnd(b))


def _vector(b: Any, start: Callable[[Any, int], Any], items: list[int]) -> int:
    start(b, len(items))
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return int(b.EndVector())


@dataclass(frozen=True)
class Vector:
    """One vector: the bytes, what the board is, and what a verifier must say."""

    name: str
    data: bytes
    expect: str
    context: dict[str, Any]
    store: str = "trust.store"


class SigningKit:
    """Fresh keys, a good package, and ways to make bad ones with good signatures."""

    def __init__(self) -> None:
        def key(algorithm: Algorithm) -> PemSigner:
            return PemSigner(ec.generate_private_key(algorithm.curve))

        self.roots = [key(Algorithm.ES256), key(Algorithm.ES384), key(Algorithm.ES256)]
        self.good, self.good384 = key(Algorithm.ES256), key(Algorithm.ES384)
        self.revoked, self.other, self.stranger, self.narrow, self.expired = (key(Algorithm.ES256) for _ in range(5))
        self.keys = (
            ProgramKey(self.good.public_key_spki, "falcon"),
            ProgramKey(self.good384.public_key_spki, "falcon"),
            ProgramKey(self.revoked.public_key_spki, "falcon", revoked="laptop lost"),
            ProgramKey(self.other.public_key_spki, "heron"),
            ProgramKey(self.narrow.public_key_spki, "falcon", boards=("ks200",)),
            ProgramKey(self.expired.public_key_spki, "falcon", not_after_s=1_700_000_000),
        )
        self.graph = tiny_graph()
        graph = Graph.parse(self.graph)
        self.manifest = Manifest(
            package_id=bytes(range(16)),
            program="falcon",
            model="tiny-add",
            version="1.0.0",
            boards=("ks100",),
            runtimes=(("litert", "2.3"), ("tflite-runtime", "2.14.0")),
            ops=graph.op_types,
            security_version=3,
            inputs=tuple(map(TensorSpec.of, graph.inputs)),
            outputs=tuple(map(TensorSpec.of, graph.outputs)),
            npu_ops=1,
            evidence=Evidence(
                *(hashlib.sha256(w).digest() for w in (b"plan", b"calibration", b"float", b"gate")), "PASS"
            ),
            created_s=1_790_000_000,
            custody="0:" + "0" * 64,
        )

    def store(self, version: int = 1, **changes: Any) -> TrustStore:
        """Return a trust store of all keys."""
        wanted = {
            "program": "falcon",
            "version": version,
            "roots": [root.public_key_spki for root in self.roots],
            "threshold": 2,
            "keys": self.keys,
            "signers": self.roots[:2],
            "floors": [("falcon", 2)],
            "created_s": 1_790_000_000,
        }
        return build_store(**{**wanted, **changes})

    def package(self, signer: PemSigner | None = None, payload: bytes | None = None, **changes: Any) -> bytes:
        """Return a package that is signed well, whatever it says."""
        return container.build(replace(self.manifest, **changes), payload or self.graph, signer or self.good)

    def raw(
        self,
        document: cbor.Value | None = None,
        *,
        manifest: bytes | None = None,
        protected: bytes | None = None,
        unprotected: cbor.Value = None,
        domain: bytes = DOMAIN,
        signature: Callable[[bytes], bytes] | None = None,
        tag: bytes = b"\xd2",
    ) -> bytes:
        """Return a package whose envelope is made by hand."""
        signer = self.good
        if manifest is None:
            manifest = cbor.encode(document) if document is not None else self.manifest_bytes()
        header = protected or cose.protected_sign1(signer.algorithm, signer.key_id, CONTENT_TYPE)
        message = cbor.encode(["Signature1", header, domain, manifest])
        value = signature(signer.sign(message)) if signature else signer.sign(message)
        envelope = tag + cbor.encode([header, {} if unprotected is None else unprotected, manifest, value])
        table = chunk_table(self.graph)
        return Header(len(envelope), len(table), len(self.graph)).to_bytes() + envelope + table + self.graph

    def manifest_bytes(self, **changes: Any) -> bytes:
        """Return the manifest of the good graph."""
        unsigned = container.prepare(replace(self.manifest, **changes), self.graph, bytes(32), Algorithm.ES256)
        return manifests.encode(unsigned.manifest)

    def document(self, **changes: Any) -> dict[Any, Any]:
        """Return the good manifest's map, with fields changed; a field set to ``...`` is left out."""
        found = cbor.decode(self.manifest_bytes())
        assert isinstance(found, dict)
        found.update(changes)
        return {key: value for key, value in found.items() if value is not ...}


def vectors(shop: SigningKit) -> Iterator[Vector]:
    """Yield all vectors, in the order of the checks."""

    def make(name: str, data: bytes, expect: str, store: str = "trust.store", **context: Any) -> Vector:
        return Vector(name, data, expect, {**CONTEXT, **context}, store)

    good = shop.package()
    yield make("accepted-es256", good, "accepted")
    yield make("accepted-es384", shop.package(shop.good384), "accepted")
    yield make("accepted-equal-to-floor", shop.package(security_version=3), "accepted")
    yield make("accepted-no-trusted-time", shop.package(not_after_s=1), "accepted", time_s=None)
    yield make("accepted-waived", shop.package(evidence=Evidence(verdict="FAIL", waiver="bench only")), "accepted")
    yield make("accepted-high-s", shop.raw(signature=_other_s), "accepted")
    yield from _container(shop, good, make)
    yield from _envelope(shop, make)
    yield from _keys(shop, good, make)
    yield from _schema(shop, make)
    yield from _policy(shop, good, make)
    yield from _payload(shop, good, make)


def _container(shop: SigningKit, good: bytes, make: Callable[..., Vector]) -> Iterator[Vector]:
    yield make("empty", b"", "frame")
    yield make("magic", b"\x88" + good[1:], "frame")
    yield make("future-version", good[:11] + b"\x02" + good[12:], "frame")
    yield make("prefixed", b"junk" + good, "frame")
    yield make("envelope-over-cap", good[:12] + (16385).to_bytes(4, "big") + good[16:], "length")
    yield make("payload-4-gib", good[:20] + b"\xff\xff\xff\xff" + good[24:], "length")
    yield make("table-too-long", good[:16] + (64).to_bytes(4, "big") + good[20:], "length")
    yield make("cut-in-payload", good[:-1], "length")
    yield make("trailing-byte", good + b"\0", "trailing-bytes")
    yield make("two-packages", good + good, "trailing-bytes")
    # One byte less of payload, cut to match: only the signed length tells.
    yield make("payload-length-unsigned", good[:20] + (len(shop.graph) - 1).to_bytes(4, "big") + good[24:-1], "length")


def _envelope(shop: SigningKit, make: Callable[..., Vector]) -> Iterator[Vector]:
    header = cbor.encode({1: -7, 3: CONTENT_TYPE, 4: shop.good.key_id})
    yield make("no-tag", shop.raw(tag=b""), "envelope")
    yield make("tag-of-cose-mac", shop.raw(tag=b"\xd1"), "envelope")
    yield make("alg-unprotected", shop.raw(unprotected={1: -7}), "envelope")
    yield make("header-not-canonical", shop.raw(protected=b"\xb8\x03" + header[1:]), "cbor")
    yield make("header-empty", shop.raw(protected=b"\xa0"), "envelope")
    yield make("header-crit", shop.raw(protected=cbor.encode({**_map(header), 2: [99]})), "envelope")
    yield make("content-type", shop.raw(protected=cbor.encode({**_map(header), 3: "text/plain"})), "envelope")
    yield make("kid-short", shop.raw(protected=cbor.encode({**_map(header), 4: b"\1" * 8})), "envelope")
    yield make("alg-hs256", shop.raw(protected=cbor.encode({**_map(header), 1: 5})), "algorithm")
    yield make("alg-none", shop.raw(protected=cbor.encode({**_map(header), 1: None})), "algorithm")
    yield make("alg-es384-on-p256", shop.raw(protected=cbor.encode({**_map(header), 1: -35})), "algorithm")


def _map(data: bytes) -> dict[Any, Any]:
    found = cbor.decode(data)
    assert isinstance(found, dict)
    return found


def _keys(shop: SigningKit, good: bytes, make: Callable[..., Vector]) -> Iterator[Vector]:
    order = Algorithm.ES256.order
    n, zero = order.to_bytes(32, "big"), bytes(32)
    yield make("no-trust-store", good, "no-trust-store", store="")
    yield make("key-unknown", shop.package(shop.stranger), "unknown-key")
    yield make("key-revoked", shop.package(shop.revoked), "revoked-key")
    forged = cbor.encode({1: -7, 3: CONTENT_TYPE, 4: shop.good384.key_id})
    yield make("kid-of-another-curve", shop.raw(protected=forged), "algorithm")
    foreign = cbor.encode({1: -7, 3: CONTENT_TYPE, 4: shop.other.key_id})
    yield make("kid-of-another-key", shop.raw(protected=foreign), "signature")
    yield make("signature-r0-s0", shop.raw(signature=lambda _: zero + zero), "signature")
    yield make("signature-r0", shop.raw(signature=lambda s: zero + s[32:]), "signature")
    yield make("signature-s0", shop.raw(signature=lambda s: s[:32] + zero), "signature")
    yield make("signature-r-is-n", shop.raw(signature=lambda s: n + s[32:]), "signature")
    yield make("signature-s-is-n", shop.raw(signature=lambda s: s[:32] + n), "signature")
    yield make("signature-short", shop.raw(signature=lambda s: s[:-1]), "signature")
    yield make("signature-long", shop.raw(signature=lambda s: s + b"\0"), "signature")
    yield make("signature-empty", shop.raw(signature=lambda _: b""), "signature")
    yield make("signature-der", shop.raw(signature=_as_der), "signature")
    yield make("signature-wrong-domain", shop.raw(domain=b"KS-100 trust store v1"), "signature")
    yield make("signature-no-domain", shop.raw(domain=b""), "signature")


def _as_der(signature: bytes) -> bytes:
    from firmware_bridge.package.ecdsa import to_der

    return to_der(signature)


def _other_s(signature: bytes) -> bytes:
    """Return the other valid signature, (r, n - s); the larger s of the two."""
    order, s = Algorithm.ES256.order, int.from_bytes(signature[32:], "big")
    return signature[:32] + max(s, order - s).to_bytes(32, "big")


def _schema(shop: SigningKit, make: Callable[..., Vector]) -> Iterator[Vector]:
    plain = shop.manifest_bytes()
    yield make("manifest-trailing", shop.raw(manifest=plain + b"\0"), "cbor")
    yield make("manifest-indefinite", shop.raw(manifest=b"\xbf" + plain[2:] + b"\xff"), "cbor")
    yield make("manifest-depth-bomb", shop.raw(manifest=b"\x81" * 4096 + b"\0"), "cbor")
    yield make("manifest-huge-string", shop.raw(manifest=b"\x5b\x7f" + b"\xff" * 7), "cbor")
    yield make("manifest-duplicate-key", shop.raw(manifest=b"\xa2\x62id\x00\x62id\x00"), "cbor")
    yield make("manifest-unsorted", shop.raw(manifest=b"\xa2\x62id\x00\x61a\x00"), "cbor")
    yield make("manifest-bad-utf8", shop.raw(manifest=b"\xa1\x61\xff\x00"), "cbor")
    yield make("manifest-long-integer", shop.raw(manifest=b"\xa1\x61a\x18\x01"), "cbor")
    yield make("manifest-nan", shop.raw(manifest=b"\xa1\x61a\xf9\x7e\x00"), "cbor")
    yield make("manifest-tag", shop.raw(manifest=b"\xa1\x61a\xc0\x60"), "cbor")
    yield make("manifest-not-a-map", shop.raw(document=[1, 2]), "schema")
    yield make("manifest-field-missing", shop.raw(document=shop.document(model=...)), "schema")
    yield make("manifest-field-unknown", shop.raw(document=shop.document(extra=1)), "schema")
    yield make("manifest-version-negative", shop.raw(document=shop.document(security=-1)), "schema")
    yield make("manifest-version-float", shop.raw(document=shop.document(security=3.5)), "schema")
    yield make("manifest-version-true", shop.raw(document=shop.document(security=True)), "schema")
    yield make("manifest-path-in-name", shop.raw(document=shop.document(model="../../etc/passwd")), "schema")
    yield make("manifest-payload-zero", shop.raw(document=shop.document(bytes=0)), "schema")
    yield make("manifest-future-schema", shop.raw(document=shop.document(schema=3)), "schema")
    yield make("manifest-past-schema", shop.raw(document=shop.document(schema=1)), "schema")
    yield make("manifest-format-without-version", shop.raw(document=shop.document(format=["tflite"])), "schema")


def _policy(shop: SigningKit, good: bytes, make: Callable[..., Vector]) -> Iterator[Vector]:
    now, late = CONTEXT["time_s"], CONTEXT["time_s"] + 1
    yield make("program-of-key", shop.package(shop.other), "program")
    yield make("program-of-board", shop.package(shop.other, program="heron"), "program")
    yield make("board-kind", shop.package(boards=("ks200",)), "board")
    yield make("board-beyond-key-scope", shop.package(shop.narrow), "board")
    yield make("format-other", shop.package(format=PayloadFormat("onnx", 3)), "format")
    yield make("format-future", shop.package(format=PayloadFormat("tflite", 4)), "format")
    yield make("runtime-lacks-weight-type", shop.package(ops=("ADD:INT8", "CONV_2D:INT8:INT4")), "runtime")
    yield make("runtime-other", good, "runtime", runtime={**CONTEXT["runtime"], "name": "onnx"})
    yield make("runtime-old", good, "runtime", runtime={**CONTEXT["runtime"], "version": "2.2.9"})
    yield make("runtime-lacks-op", good, "runtime", runtime={**CONTEXT["runtime"], "ops": ["RELU:INT8"]})
    yield make("rollback-board-floor", shop.package(security_version=2), "rollback")
    yield make("rollback-store-floor", shop.package(security_version=1), "rollback", floor=0)
    yield make("validity-expired", shop.package(not_after_s=now - 1), "validity")
    yield make("validity-not-yet", shop.package(not_before_s=late), "validity")
    yield make("validity-key-expired", shop.package(shop.expired), "validity")
    yield make("evidence-none", shop.package(evidence=Evidence()), "evidence")
    yield make("evidence-failed", shop.package(evidence=replace(shop.manifest.evidence, verdict="FAIL")), "evidence")
    yield make("evidence-digest-zero", shop.package(evidence=Evidence(verdict="PASS")), "evidence")
    yield make("capacity", good, "capacity", capacity_bytes=len(shop.graph) - 1)


def _payload(shop: SigningKit, good: bytes, make: Callable[..., Vector]) -> Iterator[Vector]:
    head = container.head_length(good)
    flipped = bytearray(good)
    flipped[head - 1] ^= 1
    yield make("chunk-table-flipped", bytes(flipped), "chunk-table")
    flipped = bytearray(good)
    flipped[-1] ^= 1
    yield make("chunk-flipped", bytes(flipped), "chunk")
    other = shop.document(sha256=bytes(32))
    yield make("payload-digest", shop.raw(document=other), "payload-digest")
    yield make("graph-broken", shop.package(payload=b"\x10\0\0\0TFL3" + b"\xff" * 64), "graph")
    yield make("graph-other-shape", shop.package(payload=tiny_graph(8)), "graph")
    yield make("graph-op-undeclared", shop.package(ops=("RELU:INT8",)), "graph")
    yield make("graph-input-renamed", shop.package(inputs=shop.manifest.inputs[::-1]), "graph")


def main() -> None:
    """Write all files."""
    shop = SigningKit()
    for old in FOLDER.glob("*.ksm"):
        old.unlink()
    (FOLDER / "graph.tflite").write_bytes(shop.graph)
    (FOLDER / "trust.store").write_bytes(shop.store().raw)
    (FOLDER / "signer.pub").write_bytes(PublicKey(shop.good.public_key_spki).to_pem())
    index = []
    for vector in vectors(shop):
        (FOLDER / f"{vector.name}.ksm").write_bytes(vector.data)
        index.append({"file": f"{vector.name}.ksm", "expect": vector.expect, "store": vector.store} | vector.context)
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()
