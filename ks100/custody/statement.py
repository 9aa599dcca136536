"""Statements on artifacts: in-toto Statements v1 of the seven acts, as values and as JSON.

Format: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md. Round-trip law:
``Statement.parse(s.to_json()) == s``.

The acts are linked by digests:

    train     makes the float parent     from captures and recipe
    quantize  makes the graph            from float parent, precision plan, calibration set
    gate      makes the gate's evidence  from the graph
    sign      makes the package          from the graph and the gate's evidence
    push      brings the package         to a board (parameters: board, slot)
    activate  makes the package run      on a board (parameters: board, slot)
    provision binds a board              to a trust store (parameters: board, program, version)
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ks100.custody.faults import BrokenCustodyError, CustodyFault

__all__ = ["Act", "Artifact", "Statement"]

_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE = "urn:ks100:custody:{act}:v1"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Act(Enum):
    """A step in the life of a package."""

    TRAIN = "train"
    QUANTIZE = "quantize"
    GATE = "gate"
    SIGN = "sign"
    PUSH = "push"
    ACTIVATE = "activate"
    PROVISION = "provision"

    @property
    def predicate_type(self) -> str:
        """The in-toto predicate type."""
        return _PREDICATE.format(act=self.value)


@dataclass(frozen=True, slots=True, order=True)
class Artifact:
    """Some bytes: a name for display, and the SHA-256 in lower-case hex that links statements."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        if not self.name or _DIGEST.fullmatch(self.sha256) is None:
            raise _malformed(f"artifact {self.name!r} has the digest {self.sha256!r:.80}")

    @classmethod
    def of(cls, name: str, data: bytes) -> Artifact:
        """Return the artifact of some bytes."""
        return cls(name, hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class Statement:
    """One act.

    Attributes:
        act: the act.
        subjects: artifacts it made or concerned; at least one.
        inputs: artifacts it used.
        parameters: (name, value) sorted by name, e.g. ``(("verdict", "PASS"),)``.
        actor: who did it, e.g. ``lab-ci`` or ``j.doe``.
        tool: the tool, e.g. ``ks100 1.2.3``.
        time_s: whole seconds since 1970 by the actor's clock.
    """

    act: Act
    subjects: tuple[Artifact, ...]
    inputs: tuple[Artifact, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()
    actor: str = ""
    tool: str = ""
    time_s: int = 0

    def __post_init__(self) -> None:
        if not self.subjects:
            raise _malformed("it has no subject")
        names = [name for name, _ in self.parameters]
        if names != sorted(set(names)):
            raise _malformed("its parameters are not sorted by name, each once")

    def parameter(self, name: str) -> str:
        """Return a parameter, or ``""``."""
        return dict(self.parameters).get(name, "")

    def makes(self, sha256: str) -> bool:
        """Return whether bytes with this digest are among the subjects."""
        return any(subject.sha256 == sha256 for subject in self.subjects)

    def uses(self, sha256: str) -> bool:
        """Return whether bytes with this digest are among the inputs."""
        return any(used.sha256 == sha256 for used in self.inputs)

    def to_json(self) -> bytes:
        """Return the in-toto statement: JSON, keys sorted, no spaces, UTF-8."""
        document = {
            "_type": _TYPE,
            "subject": [_resource(subject) for subject in self.subjects],
            "predicateType": self.act.predicate_type,
            "predicate": {
                "inputs": [_resource(used) for used in self.inputs],
                "parameters": dict(self.parameters),
                "actor": self.actor,
                "tool": self.tool,
                "time_s": self.time_s,
            },
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def parse(cls, data: bytes) -> Statement:
        """Read a statement.

        Raises:
            BrokenCustodyError: STATEMENT.
        """
        try:
            document = json.loads(data)
            predicate = document["predicate"]
            statement = cls(
                act=_act(document["predicateType"]),
                subjects=tuple(_artefact(item) for item in document["subject"]),
                inputs=tuple(_artefact(item) for item in predicate["inputs"]),
                parameters=tuple(sorted(predicate["parameters"].items())),
                actor=predicate["actor"],
                tool=predicate["tool"],
                time_s=predicate["time_s"],
            )
            same = statement.to_json() == data
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _malformed(f"{type(error).__name__}: {error}") from error
        # Only the canonical encoding, so that what is shown is exactly what was signed.
        if not same:
            raise _malformed("it is not in canonical encoding, or has unknown fields")
        return statement


def _resource(artifact: Artifact) -> dict[str, Any]:
    return {"name": artifact.name, "digest": {"sha256": artifact.sha256}}


def _artefact(item: Any) -> Artifact:
    return Artifact(item["name"], item["digest"]["sha256"])


def _act(predicate_type: str) -> Act:
    for act in Act:
        if act.predicate_type == predicate_type:
            return act
    raise _malformed(f"unknown predicate type {predicate_type!r:.80}")


def _malformed(what: str) -> BrokenCustodyError:
    return BrokenCustodyError(CustodyFault.STATEMENT, what)
