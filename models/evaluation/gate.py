"""The hard-case gate: a candidate passes if it is proven non-inferior to its float parent within a margin.

Non-inferiority, one-sided (ICH E9, section 3.3.2). With U and L the one-sided 95 % bounds of the drop of AP50 in
points, and M the margin: PASS when U < M, FAIL when L > M, otherwise INCONCLUSIVE, with the number of frames that would
decide with the policy's power if the true drop equals the observed one. With fewer scenes than the policy's minimum the
result is INCONCLUSIVE. Every category must pass (an intersection-union test, which needs no correction for multiple
comparisons; Berger and Hsu 1996). Categories without objects are omitted.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from statistics import NormalDist
from typing import Any

from firmware_bridge.errors import InputError
from firmware_bridge.input_files import read_json
from models.errors import DataError
from models.evaluation.compare import Difference, compare
from models.evaluation.metrics import Evaluation, recalculate
from models.evaluation.policy import GatePolicy
from models.records import plain, structured

__all__ = ["GatePolicy", "GateResult", "GateRow", "GateVerdict", "PairedEvaluations", "judge", "recompute"]

SCHEMA = 2


class GateVerdict(Enum):
    """Verdict of the gate, of one comparison or of all."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True)
class PairedEvaluations:
    """Parent and candidate on the same set."""

    parent: Evaluation
    candidate: Evaluation


@dataclass(frozen=True, slots=True)
class GateRow:
    """One comparison against its margin.

    Attributes:
        rule: ``hard`` or ``condition``.
        difference: the observed difference.
        margin_points: the margin.
        verdict: its verdict.
        frames_needed: frames that would decide it; 0 if decided, None if no number would.
        required: whether the gate's verdict depends on it.
        note: why it is inconclusive, if not for lack of precision.
    """

    rule: str
    difference: Difference
    margin_points: float
    verdict: GateVerdict
    frames_needed: int | None
    required: bool
    note: str = ""

    @property
    def name(self) -> str:
        """Its name in tables, e.g. ``hard cases`` or ``thermal: crossover``."""
        return "hard cases" if self.rule == "hard" else f"{self.difference.axis}: {self.difference.category}"


@dataclass(frozen=True)
class GateResult:
    """Verdict on one candidate, with all comparisons.

    Attributes:
        verdict: the worst of the required rows.
        rows: every comparison, the hard cases first.
        policy: the policy that was applied.
        hard: the evaluations on the hard cases.
        evidence: everything needed to recompute it, as plain JSON values.
        validation: the evaluations on the validation set, if there were any.
    """

    verdict: GateVerdict
    rows: tuple[GateRow, ...]
    policy: GatePolicy
    hard: PairedEvaluations
    evidence: dict[str, Any]
    validation: PairedEvaluations | None = None

    @property
    def reason(self) -> str:
        """One line on the first row that decided the verdict, or on the hard cases."""
        worst = [row for row in self.rows if row.required and row.verdict is self.verdict]
        row = worst[0] if worst else self.rows[0]
        d = row.difference
        text = (
            f"{row.name}: {d.drop_points:+.1f} points, 95 % bound {d.upper_points:+.1f}, margin {row.margin_points:g}"
        )
        if row.note:
            text = f"{row.name}: {row.note}"
        if row.verdict is GateVerdict.INCONCLUSIVE and row.frames_needed:
            text += f"; about {row.frames_needed} frames would be needed, there are {d.frames}"
        return text

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the evidence, as in a package's manifest."""
        return hashlib.sha256(_canonical(self.evidence)).hexdigest()

    def save(self, path: Path) -> None:
        """Write the evidence; the SHA-256 of the file is the result's digest."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_canonical(self.evidence))

    @classmethod
    def load(cls, path: Path) -> GateResult:
        """Read evidence and recompute the result from it.

        Raises:
            DataError: the file is not the gate's evidence, or contradicts its own records.
        """
        try:
            evidence = read_json(path, "the gate's evidence")
        except InputError as error:
            raise DataError(str(error)) from error
        return recompute(evidence)


def judge(hard: PairedEvaluations, validation: PairedEvaluations | None, policy: GatePolicy) -> GateResult:
    """Judge a candidate against its float parent.

    Args:
        hard: parent and candidate on the hard cases.
        validation: on the validation set, for the condition categories; those of the hard cases if None.
        policy: the margins.

    Raises:
        DataError: parent and candidate were not evaluated on the same captures, or other models on one set than on
            the other.
    """
    if validation is not None:
        _check_same_models(hard, validation)
    found = _compare(hard, policy)
    rows = [_row("hard", found[0], policy.hard_margin_points, policy, required=True)]
    for difference in (found if validation is None else _compare(validation, policy))[1:]:
        if difference.objects:
            required = policy.conditions_required
            rows.append(_row("condition", difference, policy.condition_margin_points, policy, required=required))
    verdict = _worst([row.verdict for row in rows if row.required])
    evidence = {
        "schema": SCHEMA,
        "verdict": verdict.value,
        "policy": asdict(policy),
        "code": _code_digest(),
        "rows": [_row_to_json(row) for row in rows],
        "hard": plain(hard),
        "validation": None if validation is None else plain(validation),
    }
    return GateResult(verdict, tuple(rows), policy, hard, evidence, validation)


def recompute(evidence: dict[str, Any]) -> GateResult:
    """Recompute a result from its evidence.

    Raises:
        DataError: the evidence is damaged, or its verdict or rows do not follow from its records.
    """
    try:
        if evidence["schema"] != SCHEMA:
            raise DataError(f"evidence of schema {evidence['schema']}, this release reads {SCHEMA}; judge again")
        policy = GatePolicy.from_plain(evidence["policy"])
        hard = structured(PairedEvaluations, evidence["hard"])
        validation = None if evidence["validation"] is None else structured(PairedEvaluations, evidence["validation"])
        result = judge(hard, validation, policy)
        stated = [evidence["verdict"], evidence["rows"]]
        same = _equal(stated, [result.verdict.value, result.evidence["rows"]])
        for pair in (hard, validation) if validation else (hard,):
            for one in (pair.parent, pair.candidate):
                same = same and _equal(plain(one), plain(recalculate(one)))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"not the gate's evidence: {type(error).__name__} {error}") from error
    if not same:
        raise DataError("the gate's evidence contradicts its own records: it was edited, or not made by the gate")
    return GateResult(result.verdict, result.rows, policy, hard, evidence, validation)


def _compare(pair: PairedEvaluations, policy: GatePolicy) -> tuple[Difference, ...]:
    return compare(
        pair.parent, pair.candidate, resamples=policy.resamples, confidence=policy.confidence, seed=policy.seed
    )


def _row(rule: str, difference: Difference, margin: float, policy: GatePolicy, *, required: bool) -> GateRow:
    lower, upper, unknown = difference.lower_points, difference.upper_points, GateVerdict.INCONCLUSIVE
    if difference.parent_ap50 < policy.min_parent_ap50:
        note = f"the parent's AP50 is {difference.parent_ap50:.3f}, too low for a comparison; train it first"
        return GateRow(rule, difference, margin, unknown, None, required, note)
    if difference.scenes < policy.min_scenes:
        needed = math.ceil(difference.frames * policy.min_scenes / max(1, difference.scenes))
        if lower <= margin <= upper:
            needed = max(needed, _frames_needed(difference, margin, policy) or 0)
        note = f"{difference.scenes} independent scenes, the policy needs {policy.min_scenes}"
        return GateRow(rule, difference, margin, unknown, needed, required, note)
    if upper < margin:
        return GateRow(rule, difference, margin, GateVerdict.PASS, 0, required)
    if lower > margin:
        return GateRow(rule, difference, margin, GateVerdict.FAIL, 0, required)
    return GateRow(rule, difference, margin, unknown, _frames_needed(difference, margin, policy), required)


def _frames_needed(difference: Difference, margin: float, policy: GatePolicy) -> int | None:
    """Frames at which the bound clears the margin with the policy's power, if the true drop equals the observed one.

    A bound narrows with the square root of the frames, and a repeated drop scatters by as much:
    n' = n (w / g (1 + z_power / z_confidence))^2 for a bound w wide and a gap g to the margin.
    """
    drop = difference.drop_points
    width = difference.upper_points - drop if drop < margin else drop - difference.lower_points
    gap = abs(margin - drop)
    if not (math.isfinite(width) and width > 0 and gap > 0):
        return None
    quantile = NormalDist().inv_cdf
    scatter = 1 + quantile(policy.power) / quantile(policy.confidence)
    return math.ceil(difference.frames * (width / gap * scatter) ** 2)


def _worst(verdicts: list[GateVerdict]) -> GateVerdict:
    for verdict in (GateVerdict.FAIL, GateVerdict.INCONCLUSIVE):
        if verdict in verdicts:
            return verdict
    return GateVerdict.PASS


def _row_to_json(row: GateRow) -> dict[str, Any]:
    item: dict[str, Any] = plain(row)
    difference = item.pop("difference")
    return {**item, **difference}


def _check_same_models(hard: PairedEvaluations, validation: PairedEvaluations) -> None:
    for role, one, other in (
        ("parent", hard.parent, validation.parent),
        ("candidate", hard.candidate, validation.candidate),
    ):
        if one.model_digest != other.model_digest:
            raise DataError(
                f"the {role} on {one.pool} ({one.model_digest[:16] or 'no digest'}) is another model than on "
                f"{other.pool} ({other.model_digest[:16] or 'no digest'}); evaluate the same one on both"
            )


def _equal(stated: Any, computed: Any) -> bool:
    """Whether plain values are equal, floats to 1e-9: processors may round the last bit differently."""
    if isinstance(stated, dict) and isinstance(computed, dict):
        return stated.keys() == computed.keys() and all(_equal(stated[key], computed[key]) for key in stated)
    if isinstance(stated, list) and isinstance(computed, list):
        return len(stated) == len(computed) and all(map(_equal, stated, computed))
    if isinstance(stated, float) and isinstance(computed, float):
        return math.isclose(stated, computed, rel_tol=1e-9, abs_tol=1e-9)
    return type(stated) is type(computed) and bool(stated == computed)


def _canonical(evidence: dict[str, Any]) -> bytes:
    return json.dumps(evidence, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _code_digest() -> str:
    """SHA-256 over the sources of this package, the code of the verdict."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
