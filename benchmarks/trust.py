"""What trust costs, and that it holds: `python -m benchmarks.trust --json F`.

The hash, the bare ECDSA verify and ours are measured in turns, in one process, and the best of each is compared.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from benchmarks.harness import Benchmark, run
from firmware_bridge.errors import RejectedError
from firmware_bridge.package import container, trust
from firmware_bridge.package.container import PackageFile
from firmware_bridge.package.manifest import Manifest, TensorSpec
from firmware_bridge.package.reasons import RejectReason as R
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust import BoardContext, ProgramKey, TrustStore, build_store
from hil.conformance.signing_kit import manifest_of, new_key, tiny_graph

_GRAPH = Path(__file__).parent.parent / "tests" / "vectors" / "graph.tflite"
_LARGE_BYTES = 32 * 1024 * 1024
_ANY = BoardContext.any_board()


@dataclass(frozen=True)
class _Bench:
    signer: PemSigner
    stranger: PemSigner
    store: TrustStore
    manifest: Manifest
    graph: bytes

    def package(self, payload: bytes, signer: PemSigner | None = None) -> PackageFile:
        return PackageFile.of(container.build(self.manifest, payload, signer or self.signer))


def measure(bench: Benchmark) -> None:
    """Measure everything."""
    kit = _kit()
    _speed(bench, kit)
    _forgery(bench, kit)
    _mutants(bench, kit)


def _kit() -> _Bench:
    signer, stranger, *roots = (new_key() for _ in range(4))
    store = build_store(
        program="bench",
        version=1,
        threshold=2,
        roots=[root.public_key_spki for root in roots],
        keys=[ProgramKey(signer.public_key_spki, "bench")],
        signers=roots,
    )
    data = tiny_graph()
    manifest = manifest_of(data, "bench", "ks100", package_id=os.urandom(16))
    return _Bench(signer, stranger, store, manifest, data)


def _best_s(*actions: Callable[[], object], rounds: int) -> list[float]:
    """Return the shortest time of each action, taken in turns so that a slow moment meets all of them."""
    best = [float("inf")] * len(actions)
    for _ in range(rounds):
        for index, action in enumerate(actions):
            start = time.perf_counter()
            action()
            best[index] = min(best[index], time.perf_counter() - start)
    return best


def _speed(bench: Benchmark, kit: _Bench) -> None:
    # A FlatBuffer may be followed by other bytes, so padding gives a large payload that still is a graph.
    payload = kit.graph + os.urandom(_LARGE_BYTES - len(kit.graph))
    large, small = kit.package(payload), kit.package(kit.graph)
    whole, hashed = _best_s(
        lambda: trust.verify_file(large, kit.store, _ANY), lambda: hashlib.sha256(payload).digest(), rounds=40
    )
    bench.row("verify_vs_hash", whole / hashed, "1", at_most=1.10, peer="hashlib.sha256", note="32 MiB, best of 40")
    signature = small.envelope_unverified.signature
    key = serialization.load_der_public_key(kit.signer.public_key_spki)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    r, s = signature.value[:32], signature.value[32:]
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    scheme = ec.ECDSA(kit.signer.algorithm.hash)
    manifest, bare = _best_s(
        lambda: trust.verify_head(small.head, kit.store, _ANY),
        lambda: key.verify(der, signature.message, scheme),
        rounds=300,
    )
    bench.row("manifest_verify_ms", manifest * 1e3, "ms", note="header, envelope, all rules, chunk table")
    bench.row("ecdsa_verify_ms", bare * 1e3, "ms", peer="cryptography", note="the bare P-256 verify of the same bytes")


def _forgery(bench: Benchmark, kit: _Bench) -> None:
    """Count the bytes that a verifier needs until it refuses a well-formed package by an unknown key."""
    manifest = replace(
        kit.manifest,
        ops=tuple(sorted(f"OPERATION_{number}:INT8" for number in range(30))),
        outputs=tuple(TensorSpec(f"output-{number}", "int16", (1, 20, 16, 8), 0.01, 0) for number in range(6)),
    )
    forged = container.build(manifest, bytes(4 << 20), kit.stranger)
    for size in range(len(forged)):
        try:
            trust.verify_envelope(forged[:size], kit.store, _ANY)
        except RejectedError as error:
            if error.reason is R.UNKNOWN_KEY:
                bench.row(
                    "bytes_to_reject_forgery", size, "bytes", at_most=2048, note="30 ops, 6 outputs, 4 MiB payload"
                )
                return
    bench.row("bytes_to_reject_forgery", None, "bytes", at_most=2048, note="the forgery was never refused")


def _mutants(bench: Benchmark, kit: _Bench) -> None:
    package = kit.package(kit.graph)
    tried = accepted = wrong = 0
    for mutant, expected in (*_flips(package), *_cuts(package)):
        tried += 1
        try:
            trust.verify_package(mutant, kit.store, _ANY)
            accepted += 1
        except RejectedError as error:
            wrong += error.reason not in expected
    bench.row("mutants_tried", tried, "1", note="every bit of the head flipped, every truncation")
    bench.row("mutants_accepted", accepted, "1", at_most=0)
    bench.row("mutants_wrong_class", wrong, "1", at_most=0)


def _flips(package: PackageFile) -> Iterator[tuple[bytes, set[R]]]:
    data, envelope = package.data, package.envelope_unverified
    places = {
        **_span(0, 12, {R.FRAME}),
        **_span(12, 24, {R.LENGTH, R.TRAILING}),
        **_region(data, envelope.signature.key_id, {R.UNKNOWN_KEY}),
        **_region(data, envelope.payload, {R.SIGNATURE}),
        **_region(data, envelope.signature.value, {R.SIGNATURE}),
        **_span(24 + package.header.envelope_bytes, len(package.head), {R.CHUNK_TABLE}),
    }
    for bit in range(8 * len(package.head)):
        mutant = bytearray(data)
        mutant[bit // 8] ^= 1 << bit % 8
        yield bytes(mutant), places.get(bit // 8, {R.CBOR, R.ENVELOPE, R.ALGORITHM})


def _region(data: bytes, part: bytes, expected: set[R]) -> dict[int, set[R]]:
    start = data.index(part)
    return _span(start, start + len(part), expected)


def _span(start: int, end: int, expected: set[R]) -> dict[int, set[R]]:
    return {offset: expected for offset in range(start, end)}  # noqa: C420 - RUF024 forbids what it proposes


def _cuts(package: PackageFile) -> Iterator[tuple[bytes, set[R]]]:
    data = package.data
    for size in range(len(data)):
        yield data[:size], {R.FRAME} if size < container.HEADER_BYTES else {R.LENGTH}


if __name__ == "__main__":
    run("trust", measure)
