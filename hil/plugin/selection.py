"""Which checks a run has: those of its tier, and of these the ones whose needs were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin.options import TIERS, WRONG_REQUEST

if TYPE_CHECKING:
    from hil.checks.suite_request import SuiteRequest

__all__ = ["deselect_above_tier", "unmet_need"]

_NEEDS = {
    "package": "no package: give one with --ks-package P.ksm",
    "trust": "no trust store: give one with --ks-trust, or put trust.ksr beside the package",
    "captures": "no captures: give a folder of hard cases with --ks-captures (ks100 scenes makes one)",
    "refuse": "no further package: give one with --ks-refuse, e.g. rollback=old.ksm or program=other.ksm",
}


def deselect_above_tier(config: pytest.Config, items: list[pytest.Item], tier: str) -> None:
    """Leave out the checks of higher tiers."""
    above = [item for item in items if TIERS.index(_tier(item)) > TIERS.index(tier)]
    if above:
        config.hook.pytest_deselected(items=above)
        items[:] = [item for item in items if item not in above]


def unmet_need(item: pytest.Item, request: SuiteRequest) -> str:
    """Return why a check is skipped that needs more than was given, or ``""``."""
    given = {
        "package": request.package, "trust": request.trust, "captures": request.captures, "refuse": request.refuse
    }  # fmt: skip
    for what in (str(name) for marker in item.iter_markers("ks_needs") for name in marker.args):
        if what not in given:
            _refuse(item, f"ks_needs({what!r})", ", ".join(given))
        if not given[what]:
            return _NEEDS[what]
    return ""


def _tier(item: pytest.Item) -> str:
    marker = item.get_closest_marker("ks_tier")
    tier = TIERS[0] if marker is None else str(marker.args[0] if marker.args else "")
    if tier not in TIERS:
        _refuse(item, f"ks_tier({tier!r})", ", ".join(TIERS))
    return tier


def _refuse(item: pytest.Item, marker: str, known: str) -> None:
    pytest.exit(f"{item.nodeid}: {marker} is unknown; known are {known}", returncode=WRONG_REQUEST)
