"""Makes the test vectors of docs/package-format.md: `python tests/vectors/generate.py`.

Keys are made afresh and thrown away when it ends: only public keys and signed bytes are kept, so a new run changes
every file but none of the expectations. The name of a vector is the fault that it carries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.package import cbor, container
from firmware_bridge.package.container import CONTENT_TYPE
from firmware_bridge.package.ecdsa import Algorithm, PublicKey, to_der
from firmware_bridge.package.manifest import Evidence, PayloadFormat
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import TrustStore
from firmware_bridge.protocol.messages import BoardInfo
from hil.conformance.signing_kit import FLOOR, RawPackage, SigningKit

FOLDER = Path(__file__).parent
CONTEXT: dict[str, Any] = {
    "board": "ks100",
    "program": "falcon",
    "runtime": {"name": "litert", "version": "2.3.0", "ops": ["ADD:INT8", "RELU:INT8"]},
    "floor": 3,
    "capacity_bytes": 65536,
    "time_s": 1_800_000_000,
}


@dataclass(frozen=True)
class Vector:
    """One vector: the bytes, what the board is, and what a verifier must say."""

    name: str
    data: bytes
    expect: str
    context: dict[str, Any]
    store: str = "trust.store"


class VectorKit(SigningKit):
    """The suite's kit for a board of the vectors' context; packages are bytes, and their payload is the graph alone."""

    program, other_program = "falcon", "heron"

    def __init__(self) -> None:
        runtime = RuntimeInfo("litert", "2.3", ())
        board = BoardInfo("ks100", "V1", False, "0.1.0", self.program, 1, FLOOR, 65536, runtime, (), (), "")
        super().__init__(board, 1_790_000_000)
        self.payload = self.graph

    def store(self, version: int = 1, **changes: Any) -> TrustStore:
        """Return a trust store of all keys."""
        return super().store(version, **changes)

    def package(self, signer: PemSigner | None = None, payload: bytes | None = None, **changes: Any) -> bytes:
        """Return a package that is signed well, whatever it says."""
        return _bytes(super().package(signer, payload, **changes))

    def raw(self, document: cbor.Value | None = None, *, protected: bytes | None = None, **more: Any) -> bytes:
        """Return a package whose envelope is made by hand."""
        return _bytes(self.enveloped(document, header=protected, **more))


def _bytes(package: RawPackage) -> bytes:
    return package.head + package.payload


def vectors(shop: VectorKit) -> Iterator[Vector]:
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


def _container(shop: VectorKit, good: bytes, make: Callable[..., Vector]) -> Iterator[Vector]:
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


def _envelope(shop: VectorKit, make: Callable[..., Vector]) -> Iterator[Vector]:
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


def _keys(shop: VectorKit, good: bytes, make: Callable[..., Vector]) -> Iterator[Vector]:
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
    return to_der(signature)


def _other_s(signature: bytes) -> bytes:
    """Return the other valid signature, (r, n - s); the larger s of the two."""
    order, s = Algorithm.ES256.order, int.from_bytes(signature[32:], "big")
    return signature[:32] + max(s, order - s).to_bytes(32, "big")


def _schema(shop: VectorKit, make: Callable[..., Vector]) -> Iterator[Vector]:
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


def _policy(shop: VectorKit, good: bytes, make: Callable[..., Vector]) -> Iterator[Vector]:
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


def _payload(shop: VectorKit, good: bytes, make: Callable[..., Vector]) -> Iterator[Vector]:
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
    wider = tuple(replace(spec, shape=(1, 8)) for spec in shop.manifest.inputs)
    yield make("graph-other-shape", shop.package(inputs=wider), "graph")
    yield make("graph-op-undeclared", shop.package(ops=("RELU:INT8",)), "graph")
    yield make("graph-input-renamed", shop.package(inputs=shop.manifest.inputs[::-1]), "graph")


def main() -> None:
    """Write all files."""
    shop = VectorKit()
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
