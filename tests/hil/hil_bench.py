"""What a bench needs for a real run: keys, a trust store, a signed package of a small detector, captures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.package.container import PackageFile, write
from firmware_bridge.package.manifest import Evidence, Manifest, TensorSpec
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import ProgramKey, build_store
from models.scenes import SceneSpec, generate

DETECTOR = Path(__file__).with_name("detector.tflite")


@dataclass(frozen=True)
class Bench:
    """Files of one bench: ``package.ksm`` with ``trust.ksr`` beside it, an older package, captures."""

    package: Path
    trust: Path
    older: Path
    captures: Path


def new_key() -> PemSigner:
    return PemSigner(ec.generate_private_key(ec.SECP256R1()))


def manifest(graph: Graph, security_version: int, program: str = "bench") -> Manifest:
    return Manifest(
        package_id=bytes(range(16)), program=program, model="detector", version=f"1.{security_version}",
        boards=("ks100",), runtimes=(("litert", "2.0.0"),), ops=graph.op_types, security_version=security_version,
        inputs=tuple(map(TensorSpec.of, graph.inputs)), outputs=tuple(map(TensorSpec.of, graph.outputs)),
        npu_ops=cost(graph, BoardProfile.load("ks100")).npu_ops,
        evidence=Evidence(gate=b"\1" * 32, verdict="PASS"), created_s=1_790_000_000,
    )  # fmt: skip


def make_bench(folder: Path, captures: int = 12) -> Bench:
    roots, key = [new_key(), new_key()], new_key()
    program_key = ProgramKey(key.public_key_spki, "bench", ("ks100",))
    store = build_store(
        program="bench", version=1, roots=[root.public_key_spki for root in roots], threshold=2,
        keys=[program_key], signers=roots, floors=[("bench", 2)],
    )  # fmt: skip
    payload = DETECTOR.read_bytes()
    graph = Graph.parse(payload)
    write(folder / "package.ksm", manifest(graph, 3), payload, key)
    write(folder / "older.ksm", manifest(graph, 1), payload, key)
    (folder / "trust.ksr").write_bytes(store.raw)
    generate(SceneSpec(seed=4, count=captures, hardness=0.6, name="hard")).save(folder / "hard")
    PackageFile.open(folder / "package.ksm")
    return Bench(folder / "package.ksm", folder / "trust.ksr", folder / "older.ksm", folder / "hard")
