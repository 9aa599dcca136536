"""Releasing a run's candidate: the package is signed, and the custody log says how it came to be."""

from __future__ import annotations

import hashlib
from pathlib import Path

from firmware_bridge.package.container import PackageFile
from ks100.custody.chain import chain_of, verify_chain
from ks100.custody.log import CustodyLog, verify_log
from ks100.custody.statement import Act, Artefact
from ks100.pipeline import CANDIDATE, GRAPHS
from ks100.steps.bench import Push
from ks100.steps.chronicle import Chronicle
from ks100.steps.keyring import LOG, PROGRAM, Keyring
from ks100.steps.packaging import Origin, Release, sign_graph
from models.captures import CaptureSet
from models.evaluation.gate import GateResult

__all__ = ["CUSTODY", "PACKAGE", "release", "state_push", "verify_custody"]

PACKAGE = "package.ksm"
CUSTODY = "custody"


def release(run: Path, program: str, waiver: str = "") -> PackageFile:
    """Sign the candidate of a run and state the acts that led to it.

    Raises:
        UsageError: the gate has not passed, and there is no waiver.
    """
    from models.quant.plan import PrecisionPlan

    ring = Keyring(run / "keys")
    chronicle = Chronicle(run / CUSTODY, ring.signer(LOG))
    parent, graph = _artefact(run, GRAPHS["FP32"]), _artefact(run, GRAPHS[CANDIDATE])
    plan = Artefact("plan.json", PrecisionPlan.load(run / "plan.json").digest)
    sets = {name: _captures(run, name) for name in ("train", "calibration", "validation", "hard-holdout")}
    gate = GateResult.load(run / "gate.json")
    evidence = Artefact("gate.json", gate.digest)
    recipe = _artefact(run, "network/recipe.toml")
    chronicle.state(Act.TRAIN, [parent], [sets["train"], sets["validation"], recipe])
    chronicle.state(Act.QUANTIZE, [graph], [parent, plan, sets["calibration"], sets["train"]], {"method": "QAT"})
    judged = [graph, parent, sets["hard-holdout"], sets["validation"]]
    chronicle.state(Act.GATE, [evidence], judged, {"verdict": gate.verdict.value, "reason": gate.reason})
    origin = Origin(plan.sha256, sets["calibration"].sha256, parent.sha256, run / "gate.json", waiver, CUSTODY)
    what = Release(program, "fusion-small", "0.1.0", runtimes=("litert",))
    package = sign_graph(run / GRAPHS[CANDIDATE], what, origin, ring.signer(PROGRAM), run / PACKAGE)
    signed = Artefact(PACKAGE, package.digest)
    chronicle.state(
        Act.SIGN, [signed], [graph, evidence], {"program": program, "key": ring.signer(PROGRAM).key_id.hex()}
    )
    return package


def state_push(run: Path, push: Push) -> None:
    """State that the package was pushed to a board and activated there."""
    chronicle = Chronicle(run / CUSTODY, Keyring(run / "keys").signer(LOG))
    package = _artefact(run, PACKAGE)
    where = {"board": push.board, "slot": push.slot, "link": push.link}
    chronicle.state(Act.PUSH, [package], parameters=where, once=False)
    chronicle.state(Act.ACTIVATE, [package], parameters=where, once=False)


def verify_custody(run: Path) -> tuple[int, str]:
    """Check the run's log and the chain of its package.

    Returns:
        How many entries the log has, and the acts of the package's chain.

    Raises:
        BrokenCustodyError: what does not prove what it should.
    """
    ring = Keyring(run / "keys")
    signer = ring.signer(LOG)
    CustodyLog.open(run / CUSTODY)
    entries = verify_log(run / CUSTODY, None, signer.public_key_spki)
    package = PackageFile.open(run / PACKAGE)
    chain = chain_of(package.digest, entries)
    verify_chain(chain, package.manifest_unverified)
    return len(entries), " → ".join(entry.statement.act.value for entry in chain.entries)


def _artefact(run: Path, name: str) -> Artefact:
    return Artefact(name, hashlib.sha256((run / name).read_bytes()).hexdigest())


def _captures(run: Path, name: str) -> Artefact:
    return Artefact(
        f"captures/{name}", CaptureSet.load(run / "captures" / name, "state what the release was judged on").digest
    )
