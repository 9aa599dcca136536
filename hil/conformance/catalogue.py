"""All rules of the suite, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Sequence

from hil.conformance import (
    availability,
    containers,
    disks,
    encodings,
    graphs,
    policies,
    signatures,
    stores,
    transfers,
    valid,
)
from hil.conformance.rules import Rule
from hil.errors import EvidenceError

__all__ = ["RULES", "chosen"]

RULES: tuple[Rule, ...] = (
    *containers.RULES,
    *encodings.RULES,
    *signatures.RULES,
    *stores.RULES,
    *policies.RULES,
    *graphs.RULES,
    *transfers.RULES,
    *availability.RULES,
    *disks.RULES,
    *valid.RULES,
)


def chosen(names: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules of these names or groups; all without names.

    Raises:
        EvidenceError: there is no such rule or group.
    """
    if not names:
        return RULES
    known = {rule.name for rule in RULES} | {rule.group.value for rule in RULES}
    for name in names:
        if name not in known:
            groups = ", ".join(dict.fromkeys(rule.group.value for rule in RULES))
            raise EvidenceError(f"there is no rule or group {name!r}; groups are {groups}; see --list for the rules")
    return tuple(rule for rule in RULES if rule.name in names or rule.group.value in names)
