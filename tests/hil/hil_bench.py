"""What a bench needs for a real run: keys, a trust store, a signed package of a small detector, captures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.package.container import PackageFile, write
from firmware_bridge.package.manifest import Manifest
from firmware_bridge.package.trust_store import ProgramKey, build_store
from hil.conformance.signing_kit import manifest_of, new_key
from models.scenes import SceneSpec, generate

DETECTOR = Path(__file__).with_name("detector.tflite")


@dataclass(frozen=True)
class Bench:
    """Files of one bench: ``package.ksm`` with ``trust.ksr`` beside it, an older package, captures."""

    package: Path
    trust: Path
    older: Path
    captures: Path


def manifest(graph: Graph, security_version: int, program: str = "bench") -> Manifest:
    npu_ops = cost(graph, BoardProfile.load("ks100")).npu_ops
    return manifest_of(
        DETECTOR.read_bytes(), program, "ks100", model="detector", version=f"1.{security_version}",
        security_version=security_version, npu_ops=npu_ops,
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
