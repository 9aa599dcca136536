"""What the custody log is told of each act: the artifacts that it made and used, by the digests that join the acts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from firmware_bridge.package.container import PackageFile
from ks100.custody.recorder import ProvenanceRecorder
from ks100.custody.statement import Act, Artifact
from ks100.run_folder import digest_path
from ks100.steps.captures import load_captures
from ks100.steps.training import FLOAT_GRAPH
from models.evaluation.gate import GateResult
from models.quant.plan import PrecisionPlan

__all__ = [
    "artifact",
    "data_of",
    "record_gate",
    "record_push",
    "record_quantizing",
    "record_signing",
    "record_training",
]

_PURPOSE = "state in the custody log what was used"


def artifact(path: Path, name: str = "") -> Artifact:
    """Return a file as an artifact; its own name stands for it if none is given."""
    return Artifact.of(name or path.name, path.read_bytes())


def data_of(path: Path) -> Artifact:
    """Return what a network was calibrated or tuned on: stored captures, a dataset, or samples in files."""
    from models.quant.sample_files import holds_samples

    if holds_samples(path):
        return Artifact(f"samples/{path.name}", digest_path(path))
    return Artifact(f"captures/{path.name}", load_captures(path, _PURPOSE)[0].digest)


def record_training(recorder: ProvenanceRecorder, network: Path, sets: Iterable[Artifact]) -> None:
    """State that the network in a folder was trained from capture sets."""
    recipe = artifact(network / "recipe.toml")
    recorder.record(Act.TRAIN, [artifact(network / FLOAT_GRAPH)], [*sets, recipe])


def record_quantizing(
    recorder: ProvenanceRecorder, graph: Path, parent: Path, plan: PrecisionPlan, data: Iterable[Artifact], method: str
) -> None:
    """State that a graph was made of a float one: under ``plan``, with ``data``, by QAT or PTQ."""
    used = [artifact(parent), Artifact("plan.json", plan.digest), *data]
    recorder.record(Act.QUANTIZE, [artifact(graph)], used, {"method": method})


def record_gate(recorder: ProvenanceRecorder, gate: GateResult, name: str = "gate.json") -> None:
    """State what the gate said of which graph, on which captures."""
    judged = [Artifact(side.model, side.model_digest) for side in (gate.hard.candidate, gate.hard.parent)]
    pairs = [gate.hard, *([gate.validation] if gate.validation is not None else [])]
    sets = [Artifact(f"captures/{pair.parent.pool}", pair.parent.data_digest) for pair in pairs]
    verdict = {"verdict": gate.verdict.value, "reason": gate.reason}
    recorder.record(Act.GATE, [Artifact(name, gate.digest)], [*judged, *sets], verdict)


def record_signing(recorder: ProvenanceRecorder, package: PackageFile, name: str) -> None:
    """State that a package was signed: its graph, and the gate's evidence if its manifest names any."""
    manifest, signature = package.manifest_unverified, package.envelope_unverified.signature
    used = [Artifact("graph", manifest.payload_sha256.hex())]
    if any(manifest.evidence.gate):
        used.append(Artifact("gate.json", manifest.evidence.gate.hex()))
    parameters = {"program": manifest.program, "key": signature.key_id.hex()}
    if manifest.evidence.waiver:
        parameters["waiver"] = manifest.evidence.waiver
    recorder.record(Act.SIGN, [Artifact(name, package.digest)], used, parameters)


def record_push(recorder: ProvenanceRecorder, package: Artifact, where: Mapping[str, str]) -> None:
    """State that a package was pushed to a board and activated there; ``where`` names board, slot and link."""
    recorder.record(Act.PUSH, [package], parameters=where, once=False)
    recorder.record(Act.ACTIVATE, [package], parameters=where, once=False)
