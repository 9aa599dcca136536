"""What the custody log is told of each act: the artefacts that it made and used, by the digests that join the acts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from firmware_bridge.package.container import PackageFile
from ks100.custody.statement import Act, Artefact
from ks100.run import digest_path
from ks100.steps.captures import load_captures
from ks100.steps.chronicle import Chronicle
from ks100.steps.networks import FLOAT_GRAPH
from models.evaluation.gate import GateResult
from models.quant.plan import PrecisionPlan

__all__ = ["artefact", "data_of", "state_gate", "state_push", "state_quantizing", "state_signing", "state_training"]

_PURPOSE = "state in the custody log what was used"


def artefact(path: Path, name: str = "") -> Artefact:
    """Return a file as an artefact; its own name stands for it if none is given."""
    return Artefact.of(name or path.name, path.read_bytes())


def data_of(path: Path) -> Artefact:
    """Return what a network was calibrated or tuned on: stored captures, a dataset, or samples in files."""
    from models.quant.sample_files import holds_samples

    if holds_samples(path):
        return Artefact(f"samples/{path.name}", digest_path(path))
    return Artefact(f"captures/{path.name}", load_captures(path, _PURPOSE)[0].digest)


def state_training(chronicle: Chronicle, network: Path, sets: Iterable[Artefact]) -> None:
    """State that the network in a folder was trained from capture sets."""
    recipe = artefact(network / "recipe.toml")
    chronicle.state(Act.TRAIN, [artefact(network / FLOAT_GRAPH)], [*sets, recipe])


def state_quantizing(
    chronicle: Chronicle, graph: Path, parent: Path, plan: PrecisionPlan, data: Iterable[Artefact], method: str
) -> None:
    """State that a graph was made of a float one: under ``plan``, with ``data``, by QAT or PTQ."""
    used = [artefact(parent), Artefact("plan.json", plan.digest), *data]
    chronicle.state(Act.QUANTIZE, [artefact(graph)], used, {"method": method})


def state_gate(chronicle: Chronicle, gate: GateResult, name: str = "gate.json") -> None:
    """State what the gate said of which graph, on which captures."""
    judged = [Artefact(side.model, side.model_digest) for side in (gate.hard.candidate, gate.hard.parent)]
    pairs = [gate.hard, *([gate.validation] if gate.validation is not None else [])]
    sets = [Artefact(f"captures/{pair.parent.pool}", pair.parent.data_digest) for pair in pairs]
    verdict = {"verdict": gate.verdict.value, "reason": gate.reason}
    chronicle.state(Act.GATE, [Artefact(name, gate.digest)], [*judged, *sets], verdict)


def state_signing(chronicle: Chronicle, package: PackageFile, name: str) -> None:
    """State that a package was signed: its graph, and the gate's evidence if its manifest names any."""
    manifest, signature = package.manifest_unverified, package.envelope_unverified.signature
    used = [Artefact("graph", manifest.payload_sha256.hex())]
    if any(manifest.evidence.gate):
        used.append(Artefact("gate.json", manifest.evidence.gate.hex()))
    parameters = {"program": manifest.program, "key": signature.key_id.hex()}
    if manifest.evidence.waiver:
        parameters["waiver"] = manifest.evidence.waiver
    chronicle.state(Act.SIGN, [Artefact(name, package.digest)], used, parameters)


def state_push(chronicle: Chronicle, package: Artefact, where: Mapping[str, str]) -> None:
    """State that a package was pushed to a board and activated there; ``where`` names board, slot and link."""
    chronicle.state(Act.PUSH, [package], parameters=where, once=False)
    chronicle.state(Act.ACTIVATE, [package], parameters=where, once=False)
