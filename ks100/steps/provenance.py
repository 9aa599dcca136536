"""Recording each act in the custody log, with the artifacts that it made and used."""

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
    "record_tuning",
]

_PURPOSE = "record its use in the custody log"


def artifact(path: Path, name: str = "") -> Artifact:
    """Return a file as an artifact, by default with the file's name."""
    return Artifact.of(name or path.name, path.read_bytes())


def data_of(path: Path) -> Artifact:
    """Return the data of a calibration or training as an artifact: stored captures, a dataset, or sample files."""
    from models.quant.sample_files import holds_samples

    if holds_samples(path):
        return Artifact(f"samples/{path.name}", digest_path(path))
    return Artifact(f"captures/{path.name}", load_captures(path, _PURPOSE)[0].digest)


def record_training(recorder: ProvenanceRecorder, network: Path, sets: Iterable[Artifact]) -> None:
    """Record the training of the network in a folder on capture sets."""
    recipe = artifact(network / "recipe.toml")
    recorder.record(Act.TRAIN, [artifact(network / FLOAT_GRAPH)], [*sets, recipe])


def record_tuning(recorder: ProvenanceRecorder, folder: Path, parent: Path, data: Iterable[Artifact]) -> None:
    """State that the float graph in a folder, and its twin if there is one, were fine-tuned from another one."""
    made = [artifact(folder / FLOAT_GRAPH), *(artifact(twin) for twin in (folder / "twin.tflite",) if twin.is_file())]
    recorder.record(Act.TRAIN, made, [artifact(parent), artifact(folder / "plan.json"), *data])


def record_quantizing(
    recorder: ProvenanceRecorder, graph: Path, parent: Path, plan: PrecisionPlan, data: Iterable[Artifact], method: str
) -> None:
    """Record the quantization of a float graph: under ``plan``, with ``data``, by QAT or PTQ."""
    used = [artifact(parent), Artifact("plan.json", plan.digest), *data]
    recorder.record(Act.QUANTIZE, [artifact(graph)], used, {"method": method})


def record_gate(recorder: ProvenanceRecorder, gate: GateResult, name: str = "gate.json") -> None:
    """Record the gate's verdict on a graph, with its captures."""
    judged = [Artifact(side.model, side.model_digest) for side in (gate.hard.candidate, gate.hard.parent)]
    pairs = [gate.hard, *([gate.validation] if gate.validation is not None else [])]
    sets = [Artifact(f"captures/{pair.parent.pool}", pair.parent.data_digest) for pair in pairs]
    verdict = {"verdict": gate.verdict.value, "reason": gate.reason}
    recorder.record(Act.GATE, [Artifact(name, gate.digest)], [*judged, *sets], verdict)


def record_signing(recorder: ProvenanceRecorder, package: PackageFile, name: str) -> None:
    """Record the signing of a package: its graph, and the gate's evidence named by its manifest."""
    manifest, signature = package.manifest_unverified, package.envelope_unverified.signature
    used = [Artifact("graph", manifest.payload_sha256.hex())]
    if any(manifest.evidence.gate):
        used.append(Artifact("gate.json", manifest.evidence.gate.hex()))
    parameters = {"program": manifest.program, "key": signature.key_id.hex()}
    if manifest.evidence.waiver:
        parameters["waiver"] = manifest.evidence.waiver
    recorder.record(Act.SIGN, [Artifact(name, package.digest)], used, parameters)


def record_push(recorder: ProvenanceRecorder, package: Artifact, where: Mapping[str, str]) -> None:
    """Record the push and activation of a package on a board; ``where`` names board, slot and link."""
    recorder.record(Act.PUSH, [package], parameters=where, once=False)
    recorder.record(Act.ACTIVATE, [package], parameters=where, once=False)
