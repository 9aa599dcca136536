"""What the simulated board is fed with: keys that live as long as the run, trust stores, and small signed packages.

The graph is real, so that all rules of acceptance run; noise behind it makes packages of several chunks that differ.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

from firmware_bridge.package.container import PackageFile, build
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import ProgramKey, build_store
from hil.conformance.signing_kit import manifest_of, new_key, tiny_graph

__all__ = ["BOARD", "SigningKit", "payload_digest", "tiny_graph"]

BOARD = "ks100"
_PROGRAM = "powercut"
_KEEP_WHOLE = 40_000  # bytes of noise: three chunks


@dataclass(frozen=True)
class SigningKit:
    """Signs for one program; everything is made anew for each run."""

    roots: tuple[PemSigner, ...] = field(default_factory=lambda: (new_key(), new_key()))
    key: PemSigner = field(default_factory=new_key)

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
        package_id = hashlib.sha256(version.encode()).digest()[:16]
        manifest = manifest_of(
            payload, _PROGRAM, BOARD, package_id=package_id, version=version, runtimes=(runtime,),
            security_version=security_version,
        )  # fmt: skip
        return PackageFile.of(build(manifest, payload, self.key))


def payload_digest(package: PackageFile) -> str:
    """Return SHA-256 of a package's payload, hex."""
    return hashlib.sha256(package.payload()).hexdigest()
