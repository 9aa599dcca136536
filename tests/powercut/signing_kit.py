"""What the simulated board is fed with: keys that live as long as the run, trust stores, and small signed packages.

The graph is real, so that all rules of acceptance run; noise behind it makes packages of several chunks that differ.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from importlib import resources

from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.device.graph import Graph
from firmware_bridge.package.container import PackageFile, build
from firmware_bridge.package.manifest import Evidence, Manifest, TensorSpec
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import ProgramKey, build_store

__all__ = ["BOARD", "SigningKit", "payload_digest", "tiny_graph"]

BOARD = "ks100"
_PROGRAM = "powercut"
_KEEP_WHOLE = 40_000  # bytes of noise: three chunks


def _new_signer() -> PemSigner:
    return PemSigner(ec.generate_private_key(ec.SECP256R1()))


@dataclass(frozen=True)
class SigningKit:
    """Signs for one program; everything is made anew for each run."""

    roots: tuple[PemSigner, ...] = field(default_factory=lambda: (_new_signer(), _new_signer()))
    key: PemSigner = field(default_factory=_new_signer)

    def trust(self, version: int = 1) -> bytes:
        """Return a signed trust store."""
        return build_store(
            program=_PROGRAM,
            version=version,
            roots=[root.public_key_spki for root in self.roots],
            threshold=len(self.roots),
            keys=[ProgramKey(self.key.public_key_spki, _PROGRAM)],
            signers=list(self.roots),
        ).raw

    def package(self, seed: int, security_version: int = 1, noise_bytes: int = _KEEP_WHOLE) -> PackageFile:
        """Return a signed package; ``seed`` is its version, and decides what its payload is."""
        payload = tiny_graph() + random.Random(seed).randbytes(noise_bytes)
        return self.sign(payload, str(seed), security_version)

    def sign(
        self,
        payload: bytes,
        version: str = "1",
        security_version: int = 1,
        runtime: tuple[str, str] = ("litert", "2.0"),
    ) -> PackageFile:
        """Return any graph as a signed package, for boards with at least this version of the runtime."""
        graph = Graph.parse(payload)
        manifest = Manifest(
            package_id=hashlib.sha256(version.encode()).digest()[:16],
            program=_PROGRAM,
            model="tiny",
            version=version,
            boards=(BOARD,),
            runtimes=(runtime,),
            ops=graph.op_types,
            security_version=security_version,
            inputs=tuple(map(TensorSpec.of, graph.inputs)),
            outputs=tuple(map(TensorSpec.of, graph.outputs)),
            npu_ops=0,
            evidence=Evidence(waiver="made for a simulation"),
            created_s=0,
        )
        return PackageFile.of(build(manifest, payload, self.key))


def tiny_graph() -> bytes:
    """Return a graph of one operation."""
    return resources.files("hil.conformance").joinpath("tiny.tflite").read_bytes()


def payload_digest(package: PackageFile) -> str:
    """Return SHA-256 of a package's payload, hex."""
    return hashlib.sha256(package.payload()).hexdigest()
