"""The judge's signature on a verdict: an in-toto statement beside the gate's evidence, sealed by the judge's key.

The evidence computes its verdict from its own records, so it cannot contradict itself; but a file can be made up from
end to end. The statement says which evidence, of which graph, by which policy, and only the judge's key can say it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from firmware_bridge.errors import InputError
from firmware_bridge.files import write_atomically
from firmware_bridge.input_files import FileKind, read_bytes
from firmware_bridge.package.ecdsa import PublicKey
from firmware_bridge.package.signing import Signer
from ks100.custody.dsse import Envelope, seal
from ks100.custody.faults import BrokenCustodyError
from ks100.custody.statement import Act, Artifact, Statement
from ks100.errors import UsageError
from models.evaluation.gate import GateResult
from models.evaluation.policy import GatePolicy

__all__ = ["check_verdict", "policy_digest", "sign_verdict", "statement_path"]


def statement_path(evidence: Path) -> Path:
    """Return where the judge's statement on an evidence file is."""
    return evidence.with_name(evidence.name + ".dsse")


def policy_digest(policy: GatePolicy) -> str:
    """Return the SHA-256 (hex) of a policy's margins."""
    return hashlib.sha256(json.dumps(asdict(policy), sort_keys=True).encode()).hexdigest()


def sign_verdict(result: GateResult, evidence: Path, signer: Signer) -> Path:
    """Write the judge's statement on ``evidence``, as it was saved, beside it; returns its path."""
    statement = Statement(
        act=Act.GATE,
        subjects=(Artifact(evidence.name, result.digest),),
        inputs=(Artifact("candidate", result.hard.candidate.model_digest),),
        parameters=(("policy", policy_digest(result.policy)), ("verdict", result.verdict.value)),
    )
    path = statement_path(evidence)
    write_atomically(path, seal(statement, signer).to_line())
    return path


def check_verdict(result: GateResult, evidence: Path, graph_sha256: str, judge: PublicKey) -> None:
    """Require the judge's statement on this evidence, of this graph.

    Args:
        result: what the evidence says.
        evidence: its file; the statement is beside it.
        graph_sha256: of the graph that is to be signed, hex.
        judge: the judge's key.

    Raises:
        UsageError: there is no statement, another key made it, or it is about something else.
    """
    path, key_id = statement_path(evidence), judge.key_id.hex()
    try:
        statement = Envelope.parse(read_bytes(path, FileKind.SIGNATURE)).verify({key_id: judge})
    except InputError as error:
        raise UsageError(f"the judge has not signed {evidence}: {error}; ks100 gate --out {evidence} --key") from error
    except BrokenCustodyError as error:
        raise UsageError(f"{path} is not a statement of the judge's key {key_id[:16]}: {error}") from error
    wanted = {
        "evidence": statement.act is Act.GATE and statement.makes(result.digest),
        "graph": statement.uses(graph_sha256),
        "verdict": statement.parameter("verdict") == result.verdict.value,
        "policy": statement.parameter("policy") == policy_digest(result.policy),
    }
    if wrong := [what for what, holds in wanted.items() if not holds]:
        raise UsageError(f"{path}: the judge signed another {', '.join(wrong)}; gate this graph, and have it signed")
