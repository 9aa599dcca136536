"""Published sets of signature vectors (the JSON of Project Wycheproof), judged on the code path of packages.

Owns: reading such a set, and comparing its verdicts with ours. Reads no file.
Form: https://github.com/C2SP/wycheproof/blob/main/doc/formats.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from firmware_bridge.errors import InputError
from firmware_bridge.package.ecdsa import Algorithm, SignatureEncoding, verify_raw

__all__ = ["VectorResult", "check_vectors"]

_HASHES = {Algorithm.ES256: "SHA-256", Algorithm.ES384: "SHA-384"}
_CURVES = {"secp256r1": Algorithm.ES256, "secp384r1": Algorithm.ES384}


@dataclass(frozen=True, slots=True)
class VectorResult:
    """One vector.

    Attributes:
        number: its ``tcId``.
        comment: its subject.
        expected: ``valid``, ``invalid``, or ``acceptable``, which leaves it to the verifier.
        valid: our verdict.
    """

    number: int
    comment: str
    expected: str
    valid: bool

    @property
    def agrees(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.expected == "acceptable" or self.valid == (self.expected == "valid")


def check_vectors(text: str) -> tuple[VectorResult, ...]:
    """Judge every vector of a set.

    Args:
        text: the set's JSON: ECDSA on P-256 with SHA-256, or on P-384 with SHA-384, DER or P1363.

    Raises:
        InputError: not such a set.
    """
    try:
        results = tuple(_judge(json.loads(text)))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"not a set of ECDSA vectors in Wycheproof's form: {type(error).__name__} {error}") from error
    if not results:
        raise InputError("the set has no vectors")
    return results


def _judge(document: dict[str, Any]) -> Iterator[VectorResult]:
    for group in document["testGroups"]:
        encoding = SignatureEncoding.P1363 if "P1363" in group["type"] else SignatureEncoding.DER
        key = group.get("publicKey") or group["key"]
        algorithm = _CURVES.get(key["curve"])
        if algorithm is None or group["sha"] != _HASHES[algorithm]:
            raise ValueError(f"{key['curve']} with {group['sha']}: only P-256/SHA-256 and P-384/SHA-384 are verified")
        spki = bytes.fromhex(group.get("publicKeyDer") or group["keyDer"])
        for test in group["tests"]:
            valid = verify_raw(spki, bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]), encoding)
            yield VectorResult(int(test["tcId"]), str(test.get("comment", "")), str(test["result"]), valid)
