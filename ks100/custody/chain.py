"""The custody chain of a package: its statements, and whether they prove its manifest.

Follows digests backward from a package, applies the policy of steps, and matches statements with the manifest. Works on
entries verified by `ks100.custody.log.verify_log`; reads no files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from firmware_bridge.package.manifest import Manifest
from ks100.custody.faults import BrokenCustodyError, CustodyFault
from ks100.custody.log import CustodyLog, Entry
from ks100.custody.statement import Act

__all__ = ["Chain", "StepPolicy", "chain_of", "verify_chain"]

_NO_DIGEST = bytes(32)


@dataclass(frozen=True, slots=True)
class StepPolicy:
    """Requirements of a chain.

    Attributes:
        required: the required acts.
        signers: for an act, the key ids (hex) that may sign it; other acts may be signed by any key that the log
            trusts.
    """

    required: tuple[Act, ...] = (Act.TRAIN, Act.QUANTIZE, Act.GATE, Act.SIGN)
    signers: Mapping[Act, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chain:
    """The statements about one package, in the order of the log.

    Attributes:
        package: SHA-256 of the package, hex.
        entries: statements of its origin, its pushes and its activations.
    """

    package: str
    entries: tuple[Entry, ...]

    def of(self, act: Act) -> tuple[Entry, ...]:
        """Return the entries of one act."""
        return tuple(entry for entry in self.entries if entry.statement.act is act)


def chain_of(package_digest: str, log: CustodyLog | Iterable[Entry]) -> Chain:
    """Collect the chain of a package by following digests backward, each entry once.

    Args:
        package_digest: SHA-256 of the package, hex.
        log: a log (its signatures are then not verified), or the entries that `verify_log` returned.

    Raises:
        BrokenCustodyError: NO_SIGN if no statement is about signing this package; UNREADABLE or STATEMENT.
    """
    entries = log.entries if isinstance(log, CustodyLog) else tuple(log)
    about = [entry for entry in entries if entry.statement.makes(package_digest)]
    if not any(entry.statement.act is Act.SIGN for entry in about):
        raise BrokenCustodyError(
            CustodyFault.NO_SIGN, f"package {package_digest[:16]}, {len(entries)} entries searched"
        )
    found = {entry.index: entry for entry in about}
    wanted = [used.sha256 for entry in about for used in entry.statement.inputs]
    makers = _makers(entries)
    while wanted:
        for entry in makers.get(wanted.pop(), ()):
            if entry.index not in found:
                found[entry.index] = entry
                wanted.extend(used.sha256 for used in entry.statement.inputs)
    return Chain(package_digest, tuple(found[index] for index in sorted(found)))


def verify_chain(chain: Chain, manifest: Manifest, policy: StepPolicy | None = None) -> None:
    """Check that a chain proves a package's manifest.

    Args:
        chain: from `chain_of`, over verified entries.
        manifest: the package's verified manifest.
        policy: requirements; by default train, quantize, gate and sign.

    Raises:
        BrokenCustodyError: MISSING_STEP, STEP_SIGNER, STEP_ORDER, DIGEST_JOIN or GATE_VERDICT.
    """
    policy = policy or StepPolicy()
    # Backward from the package: a missing step also hides those before it.
    for act in sorted(policy.required, key=list(Act).index, reverse=True):
        if not chain.of(act):
            raise BrokenCustodyError(CustodyFault.MISSING_STEP, f"no {act.value} in the chain of {chain.package[:16]}")
    for entry in chain.entries:
        allowed = policy.signers.get(entry.statement.act)
        if allowed is not None and entry.key_id not in allowed:
            raise BrokenCustodyError(
                CustodyFault.STEP_SIGNER, f"entry {entry.index}, {entry.statement.act.value}, key {entry.key_id[:16]}"
            )
    _check_order(chain)
    _check_joins(chain, manifest)
    _check_verdict(chain, manifest)


def _makers(entries: tuple[Entry, ...]) -> dict[str, list[Entry]]:
    """Return the acts by the digests they made; pushing and activating make nothing."""
    makers: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.statement.act not in (Act.PUSH, Act.ACTIVATE):
            for subject in entry.statement.subjects:
                makers.setdefault(subject.sha256, []).append(entry)
    return makers


def _check_order(chain: Chain) -> None:
    """Require that each artifact was made before it was used."""
    makers = _makers(chain.entries)
    for entry in chain.entries:
        for used in entry.statement.inputs:
            made = [maker.index for maker in makers.get(used.sha256, ())]
            if made and min(made) >= entry.index:
                raise BrokenCustodyError(
                    CustodyFault.STEP_ORDER, f"entry {entry.index} uses {used.name}, made by entry {min(made)}"
                )


def _check_joins(chain: Chain, manifest: Manifest) -> None:
    """Match the digests in the manifest with the statements in the chain."""
    evidence, graph = manifest.evidence, manifest.payload_sha256
    for act, made, what, digest in (
        (Act.SIGN, False, "graph", graph),
        (Act.SIGN, False, "gate's evidence", evidence.gate),
        (Act.GATE, True, "gate's evidence", evidence.gate),
        (Act.GATE, False, "graph", graph),
        (Act.QUANTIZE, True, "graph", graph),
        (Act.QUANTIZE, False, "precision plan", evidence.plan),
        (Act.QUANTIZE, False, "calibration set", evidence.calibration),
        (Act.QUANTIZE, False, "float parent", evidence.float_parent),
        (Act.TRAIN, True, "float parent", evidence.float_parent),
    ):
        entries, shown = chain.of(act), digest.hex()
        statements = [entry.statement for entry in entries]
        joined = any(s.makes(shown) if made else s.uses(shown) for s in statements)
        if entries and digest != _NO_DIGEST and not joined:
            raise BrokenCustodyError(
                CustodyFault.DIGEST_JOIN, f"no {act.value} {'made' if made else 'used'} the {what} {shown[:16]}"
            )


def _check_verdict(chain: Chain, manifest: Manifest) -> None:
    gate = manifest.evidence.gate.hex()
    stated = [entry.statement.parameter("verdict") for entry in chain.of(Act.GATE) if entry.statement.makes(gate)]
    if manifest.evidence.verdict == "PASS" and stated and "PASS" not in stated:
        raise BrokenCustodyError(CustodyFault.GATE_VERDICT, f"manifest PASS, statement {stated[-1] or 'nothing'}")
