"""All rules of the suite, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hil.conformance import (
    availability,
    containers,
    disks,
    encodings,
    graphs,
    greetings,
    policies,
    signatures,
    stores,
    transfers,
    valid,
)
from hil.conformance.rules import Case, Rule
from hil.conformance.signing_kit import SigningKit
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
    *greetings.RULES,
    *disks.RULES,
    *valid.RULES,
)


def chosen(names: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules of these names or groups, or with ``rule/label`` one case of a rule; all without names.

    Raises:
        EvidenceError: unknown rule or group.
    """
    if not names:
        return RULES
    known = {rule.name for rule in RULES} | {rule.group.value for rule in RULES}
    for name in names:
        if name.partition("/")[0] not in known:
            groups = ", ".join(dict.fromkeys(rule.group.value for rule in RULES))
            raise EvidenceError(f"there is no rule or group {name!r}; groups are {groups}; see --list for the rules")
    found = (rule if {rule.name, rule.group.value} & set(names) else _narrowed(rule, names) for rule in RULES)
    return tuple(rule for rule in found if rule is not None)


def _narrowed(rule: Rule, names: Sequence[str]) -> Rule | None:
    """Return a rule with the cases that are named ``rule/label`` alone, None if no name is of this rule."""
    labels = {name.partition("/")[2] for name in names if name.partition("/")[0] == rule.name}
    if not labels:
        return None

    def cases(shop: SigningKit) -> Iterator[Case]:
        made = {case.label: case for case in rule.cases(shop)}
        for label in sorted(labels - made.keys()):
            raise EvidenceError(f"there is no case {rule.name}/{label}; its cases are {', '.join(made)}")
        yield from (case for label, case in made.items() if label in labels)

    return replace(rule, cases=cases)
