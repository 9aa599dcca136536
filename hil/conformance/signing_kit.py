"""The means of attacks: keys that live as long as the run, a good package, and ways to make bad ones of it.

Everything here is signed by keys that are made afresh and that a board under test is provisioned with; no key of a real
program is ever needed. Owns no expectation: what a board must say is in the rules. Vectors, simulations and benchmarks
sign with it too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.device.graph import Graph
from firmware_bridge.package import cbor, container, cose
from firmware_bridge.package import manifest as manifests
from firmware_bridge.package.container import CONTENT_TYPE, DOMAIN, Header, PackageFile, chunk_table
from firmware_bridge.package.ecdsa import Algorithm
from firmware_bridge.package.manifest import CHUNK_BYTES, Evidence, Manifest, TensorSpec
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import ProgramKey, TrustStore, build_store
from firmware_bridge.protocol.messages import BoardInfo

__all__ = ["FLOOR", "STORE_VERSION", "RawPackage", "SigningKit", "manifest_of", "new_key", "tiny_graph"]

FLOOR = 3
"""The board's floor during the run: the security version of the model that it runs."""
STORE_VERSION = 5
_LONG_AGO_S, _YEAR_S = 1_500_000_000, 365 * 86_400
_NOISE_BYTES = 3 * CHUNK_BYTES  # behind the graph: packages of four chunks


@dataclass(frozen=True)
class RawPackage:
    """A package as a push sends it, well-formed or not.

    Attributes:
        head: what is offered.
        payload: what the chunks are cut from.
        swaps: chunks that are sent in place of others, by index.
    """

    head: bytes
    payload: bytes
    swaps: Mapping[int, bytes] | None = None

    @classmethod
    def of(cls, data: bytes) -> RawPackage:
        """Return a well-formed package's parts."""
        package = PackageFile.of(data)
        return cls(package.head, package.body)

    @property
    def chunk_count(self) -> int:
        """How many chunks the payload has."""
        return -(-len(self.payload) // CHUNK_BYTES)

    def chunk(self, index: int) -> bytes:
        """Return what is sent as chunk ``index``."""
        if self.swaps is not None and index in self.swaps:
            return self.swaps[index]
        return self.payload[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]


def new_key(algorithm: Algorithm = Algorithm.ES256) -> PemSigner:
    """Return a key that lives as long as this process."""
    return PemSigner(ec.generate_private_key(algorithm.curve))


def tiny_graph() -> bytes:
    """Return a real graph: y = a + b, int8, with a signature."""
    return resources.files("hil.conformance").joinpath("tiny.tflite").read_bytes()


def manifest_of(payload: bytes, program: str, board: str, **fields: Any) -> Manifest:
    """Return a true manifest of a graph, with a passed gate; ``fields`` replace its fields."""
    graph = Graph.parse(payload)
    plan, calibration, parent, gate = (hashlib.sha256(part).digest() for part in (b"p", b"c", b"f", b"g"))
    said: dict[str, Any] = {
        "package_id": bytes(range(16)),
        "program": program,
        "model": "tiny-add",
        "version": "1.0.0",
        "boards": (board,),
        "runtimes": (("litert", "2.0"),),
        "ops": graph.op_types,
        "security_version": 1,
        "inputs": tuple(map(TensorSpec.of, graph.inputs)),
        "outputs": tuple(map(TensorSpec.of, graph.outputs)),
        "npu_ops": 0,
        "evidence": Evidence(plan, calibration, parent, gate, "PASS"),
        "created_s": _LONG_AGO_S,
    }
    return Manifest(**{**said, **fields})


class SigningKit:
    """Fresh keys for one run against one board.

    Attributes:
        program: what the good key signs for.
        other_program: what another key of the same trust store signs for.
        info: the board: its kind and runtime stand in what is signed for it.
        now_s: seconds since 1970 on the host.
    """

    program, other_program = "conformance", "conformance-other"

    def __init__(self, info: BoardInfo, now_s: int) -> None:
        self.info, self.now_s = info, now_s
        self.roots = [new_key(), new_key(Algorithm.ES384), new_key()]
        self.good, self.good384 = new_key(), new_key(Algorithm.ES384)
        self.revoked, self.other, self.stranger, self.narrow, self.expired, self.early = (new_key() for _ in range(6))
        self.graph = tiny_graph()
        self.payload = self.graph + hashlib.shake_256(b"noise").digest(_NOISE_BYTES)
        self._serial = 0

    @cached_property
    def keys(self) -> tuple[ProgramKey, ...]:
        """The program keys of the board's trust store."""
        return (
            ProgramKey(self.good.public_key_spki, self.program),
            ProgramKey(self.good384.public_key_spki, self.program),
            ProgramKey(self.revoked.public_key_spki, self.program, revoked="laptop lost"),
            ProgramKey(self.other.public_key_spki, self.other_program),
            ProgramKey(self.narrow.public_key_spki, self.program, boards=("another-board",)),
            ProgramKey(self.expired.public_key_spki, self.program, not_after_s=_LONG_AGO_S),
            ProgramKey(self.early.public_key_spki, self.program, not_before_s=self.now_s + _YEAR_S),
        )

    @cached_property
    def manifest(self) -> Manifest:
        """A manifest that the board accepts; sizes and digests are filled in when it is signed."""
        runtime = self.info.runtime
        return manifest_of(
            self.graph, self.program, self.info.board, runtimes=((runtime.name, runtime.version),),
            security_version=FLOOR, created_s=self.now_s,
        )  # fmt: skip

    def fresh_payload(self, noise_bytes: int = _NOISE_BYTES) -> bytes:
        """Return the graph with noise that no board has seen."""
        self._serial += 1
        # A pattern, each chunk another: it deflates well, so that a slow line does not make the suite slow.
        blocks = (hashlib.sha256(f"{self._serial} {n}".encode()).digest() * 32 for n in range(noise_bytes // 1024 + 1))
        return self.graph + b"".join(blocks)[:noise_bytes]

    # --- packages ---------------------------------------------------------------------------------------------

    def package(self, signer: PemSigner | None = None, payload: bytes | None = None, **changes: Any) -> RawPackage:
        """Return a validly signed package with any content."""
        data = container.build(replace(self.manifest, **changes), payload or self.payload, signer or self.good)
        return RawPackage.of(data)

    def fresh_package(self) -> RawPackage:
        """Return a good package whose payload no board has seen."""
        return self.package(payload=self.fresh_payload())

    def enveloped(
        self,
        document: Any = None,
        *,
        manifest: bytes | None = None,
        header: bytes | None = None,
        unprotected: Any = None,
        domain: bytes = DOMAIN,
        signature: Callable[[bytes], bytes] = bytes,
        tag: bytes = b"\xd2",
        signer: PemSigner | None = None,
    ) -> RawPackage:
        """Return a package with a hand-made envelope, signed over its content.

        Args:
            document: the manifest as a value; the good one by default.
            manifest: the manifest's bytes instead.
            header: the protected header's bytes, see `header`.
            unprotected: the unprotected header.
            domain: external_aad.
            signature: what becomes of the signature.
            tag: the CBOR tag in front.
            signer: who signs.
        """
        key = signer or self.good
        if manifest is None:
            manifest = self.manifest_bytes() if document is None else cbor.encode(document)
        protected = self.header() if header is None else header
        message = cbor.encode(["Signature1", protected, domain, manifest])
        value = signature(key.sign(message))
        envelope = tag + cbor.encode([protected, {} if unprotected is None else unprotected, manifest, value])
        table = chunk_table(self.payload)
        head = Header(len(envelope), len(table), len(self.payload)).to_bytes() + envelope + table
        return RawPackage(head, self.payload)

    def header(self, changes: Mapping[int, Any] | None = None) -> bytes:
        """Return a protected header, with fields (by their label) changed."""
        fields: dict[Any, Any] = {1: -7, 3: CONTENT_TYPE, 4: self.good.key_id}
        return cbor.encode(fields | dict(changes or {}))

    def manifest_bytes(self, **changes: Any) -> bytes:
        """Return the good manifest, encoded."""
        unsigned = container.prepare(replace(self.manifest, **changes), self.payload, bytes(32), Algorithm.ES256)
        return manifests.encode(unsigned.manifest)

    def document(self, **changes: Any) -> dict[Any, Any]:
        """Return the good manifest's map, with fields changed; a field set to ``...`` is left out."""
        found = cbor.decode(self.manifest_bytes())
        assert isinstance(found, dict)
        return _changed(found, changes)

    # --- trust stores -----------------------------------------------------------------------------------------

    @cached_property
    def installed(self) -> TrustStore:
        """The trust store of all keys on the board under test."""
        return self.store()

    def store(self, version: int = STORE_VERSION, **changes: Any) -> TrustStore:
        """Return a trust store like the installed one, with what differs."""
        wanted = {
            "program": self.program,
            "version": version,
            "roots": [root.public_key_spki for root in self.roots],
            "threshold": 2,
            "keys": self.keys,
            "signers": self.roots[:2],
            "floors": [(self.program, FLOOR - 1)],
            "created_s": self.now_s,
        }
        return build_store(**{**wanted, **changes})

    def raw_store(self, signers: Sequence[PemSigner], **changes: Any) -> bytes:
        """Return a store whose document is changed by hand, signed by whomever."""
        from firmware_bridge.package import trust_store as stores

        envelope = cose.SignMany.parse(self.store(STORE_VERSION + 1).raw, stores.CONTENT_TYPE, stores.DOMAIN)
        document = cbor.decode(envelope.payload)
        assert isinstance(document, dict)
        return cose.sign_many(
            cbor.encode(_changed(document, changes)), list(signers), stores.CONTENT_TYPE, stores.DOMAIN
        )


def _changed(document: dict[Any, Any], changes: Mapping[str, Any]) -> dict[Any, Any]:
    """Return a map with fields changed; those set to ``...`` are left out."""
    return {key: value for key, value in (document | dict(changes)).items() if value is not ...}
