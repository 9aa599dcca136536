"""Signing a judged graph as a package, and checking packages as a board does."""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import DEFAULT_BOARD, BoardProfile
from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.files import write_atomically
from firmware_bridge.input_files import FileKind, read_bytes, wrong_kind
from firmware_bridge.package.card import SignedCard
from firmware_bridge.package.container import PackageFile, prepare, write
from firmware_bridge.package.detached import unsigned_package
from firmware_bridge.package.ecdsa import PublicKey
from firmware_bridge.package.manifest import Evidence, Manifest, TensorSpec
from firmware_bridge.package.signing import Signer
from firmware_bridge.package.trust import BoardContext, TrustStore, VerifiedPackage, verify_package
from ks100.errors import UsageError
from ks100.steps.evaluating import read_graph
from ks100.steps.judging import check_verdict
from models.card import ModelCard
from models.evaluation.gate import GatePolicy, GateResult

__all__ = ["Origin", "Release", "await_signature", "read_trust", "sign_graph", "verify_file"]

# Minimum version of each runtime; see docs/package-format.md.
_RUNTIMES = {"litert": "2.0.0", "tflite-runtime": "2.14.0"}


@dataclass(frozen=True, slots=True)
class Release:
    """Identity of a release.

    Attributes:
        program: its program.
        model: the model's name.
        version: the model's version.
        security_version: rollback index.
        board: kind of board, the name or TOML file of a profile.
        runtimes: the supported runtimes.
    """

    program: str
    model: str
    version: str
    security_version: int = 1
    board: str = DEFAULT_BOARD
    runtimes: tuple[str, ...] = ("litert",)


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin and verdict of a graph; None where unknown.

    Attributes:
        plan: SHA-256 (hex) of the precision plan.
        calibration: SHA-256 (hex) of the calibration set.
        float_parent: SHA-256 (hex) of the float graph.
        gate: the gate's evidence file.
        waiver: reason for a release without a passed gate.
        custody: reference to the custody log.
        judge: whose statement on the evidence must lie beside it; None takes the evidence as it is.
        policy: margins (TOML) that the evidence must have been judged by.
    """

    plan: str | None = None
    calibration: str | None = None
    float_parent: str | None = None
    gate: Path | None = None
    waiver: str = ""
    custody: str = ""
    judge: PublicKey | None = None
    policy: Path | None = None


def sign_graph(
    graph: Path, release: Release, origin: Origin, signer: Signer, out: Path, card: ModelCard | None = None
) -> PackageFile:
    """Sign a graph, with its model card if it has one, as the package ``out``.

    Raises:
        UsageError: there is neither a passed gate for exactly this graph nor a waiver, or the card cannot be signed.
        DataError: the card does not fit the graph.
        InputError: the file is not a graph, or a field of the release is invalid.
    """
    return write(out, *_describe(graph, release, origin, card), signer)


def await_signature(
    graph: Path, release: Release, origin: Origin, key: PublicKey, out: Path, card: ModelCard | None = None
) -> bytes:
    """Write the unsigned package ``out`` for an external key; errors as for `sign_graph`.

    Returns:
        The digest to be signed.
    """
    unsigned = prepare(*_describe(graph, release, origin, card), key.key_id, key.algorithm)
    write_atomically(out, unsigned_package(unsigned, key.key_id))
    return unsigned.digest


def _describe(graph: Path, release: Release, origin: Origin, card: ModelCard | None) -> tuple[Manifest, bytes]:
    payload = read_graph(graph)
    parsed = Graph.parse(payload)
    profile = BoardProfile.load(release.board)
    manifest = Manifest(
        package_id=uuid.uuid4().bytes,
        program=release.program,
        model=release.model,
        version=release.version,
        boards=(profile.name,),
        runtimes=tuple(sorted((name, _minimum(name)) for name in release.runtimes)),
        ops=parsed.op_types,
        security_version=release.security_version,
        inputs=tuple(TensorSpec.of(tensor) for tensor in parsed.inputs),
        outputs=tuple(TensorSpec.of(tensor) for tensor in parsed.outputs),
        npu_ops=cost(parsed, profile).npu_ops,
        evidence=_evidence(payload, origin),
        custody=origin.custody,
        card=None if card is None else _signed_card(card, parsed),
        created_s=int(time.time()),
    )
    return manifest, payload


def _signed_card(card: ModelCard, graph: Graph) -> SignedCard:
    card.check(graph)
    try:
        return SignedCard.of(dict(card.record()))
    except RejectedError as error:
        raise UsageError(f"the model card cannot be signed: {error.detail}") from error


def _minimum(runtime: str) -> str:
    if runtime not in _RUNTIMES:
        raise UsageError(f"unknown runtime {runtime!r}; use one of {', '.join(_RUNTIMES)}")
    return _RUNTIMES[runtime]


def _evidence(payload: bytes, origin: Origin) -> Evidence:
    """Match the gate's evidence with exactly this graph."""
    result = None if origin.gate is None else GateResult.load(origin.gate)
    digest = hashlib.sha256(payload).hexdigest()
    if result is not None and result.evidence["hard"]["candidate"]["model_digest"] != digest:
        judged = result.evidence["hard"]["candidate"]["model_digest"]
        raise UsageError(
            f"{origin.gate} judged another graph ({judged[:16]}), not this one ({digest[:16]}); gate this one"
        )
    if result is not None and origin.gate is not None:
        _check_judged(result, origin, origin.gate, digest)
    verdict = "NONE" if result is None else result.verdict.value
    if verdict != "PASS" and not origin.waiver:
        what = (
            "there is no evidence of the gate"
            if result is None
            else f"the gate's verdict is {verdict}: {result.reason}"
        )
        raise UsageError(
            f"not signed: {what}; pass the gate, or give --waive REASON, which becomes part of the package"
        )
    return Evidence(
        **{
            name: bytes.fromhex(value)
            for name, value in (
                ("plan", origin.plan),
                ("calibration", origin.calibration),
                ("float_parent", origin.float_parent),
                ("gate", None if result is None else result.digest),
            )
            if value
        },
        verdict=verdict,
        waiver="" if verdict == "PASS" else origin.waiver,
    )


def _check_judged(result: GateResult, origin: Origin, evidence: Path, digest: str) -> None:
    """Require the judge's statement and the program's margins, where the release names them."""
    if origin.policy is not None and result.policy != GatePolicy.load(origin.policy):
        raise UsageError(f"{evidence} was judged by other margins than those in {origin.policy}; gate again by these")
    if origin.judge is not None:
        check_verdict(result, evidence, digest, origin.judge)


def read_trust(path: Path) -> TrustStore:
    """Read a trust store.

    Raises:
        InputError: it cannot be read, or is of another kind.
        RejectedError: it is not a trust store, or not signed by its roots.
    """
    data = read_bytes(path, FileKind.STORE)
    if (wrong := wrong_kind(path, data, FileKind.STORE)) is not None:
        raise InputError(f"{wrong}; create one with: ks100 trust init")
    return TrustStore.decode(data)


def verify_file(package: Path, store: TrustStore, context: BoardContext | None = None) -> VerifiedPackage:
    """Check a package file by all rules that need no board, or by all rules for the board of ``context``.

    Raises:
        InputError: the file cannot be read.
        RejectedError: names the first violated rule.
    """
    context = context or BoardContext.any_board(program=store.program, time_s=time.time())
    return verify_package(PackageFile.open(package).data, store, context)
