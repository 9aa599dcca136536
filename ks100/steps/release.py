"""Releasing a run's candidate: sign the package, and record its origin in the custody log."""

from __future__ import annotations

from pathlib import Path

from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.package.container import PackageFile
from ks100.custody.chain import chain_of, verify_chain
from ks100.custody.log import CustodyLog, verify_log
from ks100.custody.recorder import ProvenanceRecorder
from ks100.layout import CANDIDATE, GRAPHS, PROFILE
from ks100.steps.demo_boards import Push
from ks100.steps.keyring import LOG, PROGRAM, Keyring
from ks100.steps.packaging import Origin, Release, sign_graph
from ks100.steps.provenance import (
    artifact,
    data_of,
    record_gate,
    record_push,
    record_quantizing,
    record_signing,
    record_training,
    record_tuning,
)
from ks100.steps.training import FLOAT_GRAPH
from models.card import ModelCard
from models.evaluation.gate import GateResult
from models.quant.plan import PrecisionPlan

__all__ = ["CUSTODY", "PACKAGE", "record_pushed", "release", "verify_custody"]

PACKAGE = "package.ksm"
CUSTODY = "custody"


def release(run: Path, program: str, waiver: str = "") -> PackageFile:
    """Sign the candidate of a run and record the acts that led to it.

    Raises:
        UsageError: the gate has not passed, and there is no waiver.
    """
    ring = Keyring(run / "keys")
    recorder = ProvenanceRecorder(run / CUSTODY, ring.signer(LOG))
    trained, tuned, graph = run / GRAPHS["FP32"], run / "qat", run / GRAPHS[CANDIDATE]
    parent = tuned / FLOAT_GRAPH
    plan = PrecisionPlan.load(run / "plan.json")
    sets = {name: data_of(run / "captures" / name) for name in ("train", "calibration", "validation")}
    record_training(recorder, trained.parent, [sets["train"], sets["validation"]])
    record_tuning(recorder, tuned, trained, [*sets.values()])
    record_quantizing(recorder, graph, parent, plan, [sets["calibration"]], "QAT")
    record_gate(recorder, GateResult.load(run / "gate.json"))
    origin = Origin(
        plan.digest, sets["calibration"].sha256, artifact(parent).sha256, run / "gate.json", waiver, CUSTODY
    )
    profile = str(run / PROFILE)
    what = Release(program, "fusion-small", "0.1.0", board=profile, runtimes=(BoardProfile.load(profile).runtime,))
    package = sign_graph(graph, what, origin, ring.signer(PROGRAM), run / PACKAGE, ModelCard.beside(graph))
    record_signing(recorder, package, PACKAGE)
    return package


def record_pushed(run: Path, push: Push) -> None:
    """Record the push and activation of the package on a board."""
    recorder = ProvenanceRecorder(run / CUSTODY, Keyring(run / "keys").signer(LOG))
    where = {"board": push.board, "slot": push.slot, "link": push.link}
    record_push(recorder, artifact(run / PACKAGE), where)


def verify_custody(run: Path) -> tuple[int, str]:
    """Verify the run's custody log and the chain of its package.

    Returns:
        The number of entries, and the acts of the package's chain.

    Raises:
        BrokenCustodyError: names the fault.
    """
    ring = Keyring(run / "keys")
    signer = ring.signer(LOG)
    CustodyLog.open(run / CUSTODY)
    entries = verify_log(run / CUSTODY, None, signer.public_key_spki)
    package = PackageFile.open(run / PACKAGE)
    chain = chain_of(package.digest, entries)
    verify_chain(chain, package.manifest_unverified)
    return len(entries), " → ".join(entry.statement.act.value for entry in chain.entries)
