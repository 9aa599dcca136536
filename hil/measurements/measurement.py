"""One measured figure: its value, unit, limit and origin; its verdict follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["Basis", "Limit", "Measurement", "Source", "Verdict"]


class Source(Enum):
    """What kind of board a figure comes from."""

    HARDWARE = "HARDWARE"
    EMULATED = "EMULATED"


class Basis(Enum):
    """How a figure came about: an emulated board's numerics are measured, its time and power are modelled."""

    MEASURED = "measured"
    MODELLED = "modelled"


class Verdict(Enum):
    """What a figure says against its limit."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Limit:
    """A closed interval that a figure must lie in; None leaves a side open.

    Attributes:
        low: least allowed value, in the measurement's unit.
        high: greatest allowed value.
        why: where the limit comes from, e.g. ``decision window``.
    """

    low: float | None = None
    high: float | None = None
    why: str = ""

    def holds(self, value: float) -> bool:
        """Return whether ``value`` lies within; NaN never does."""
        return (
            not math.isnan(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
        )

    def __str__(self) -> str:
        parts = [
            f"≥ {self.low:g}" if self.low is not None else "",
            f"≤ {self.high:g}" if self.high is not None else "",
        ]
        return " and ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure.

    Attributes:
        name: snake_case, stable: baselines join on it.
        value: the figure, in ``unit``.
        unit: e.g. ``ms``, ``mW``, ``mJ``, ``points``, ``1``.
        source: what board it comes from.
        basis: measured or modelled.
        limit: what it must satisfy, or None for information.
        n: how many samples stand behind it.
        reference: the published figure beside it, or None.
        note: one clause on how it was obtained.
    """

    name: str
    value: float
    unit: str
    source: Source
    basis: Basis
    limit: Limit | None = None
    n: int = 1
    reference: float | None = None
    note: str = ""

    @property
    def verdict(self) -> Verdict:
        """PASS or FAIL against the limit; INFO without one; INCONCLUSIVE when there is no sample."""
        if self.limit is None:
            return Verdict.INFO
        if self.n < 1 or math.isnan(self.value):
            return Verdict.INCONCLUSIVE
        return Verdict.PASS if self.limit.holds(self.value) else Verdict.FAIL

    def to_json(self) -> dict[str, Any]:
        """Return plain values; `from_json` restores an equal measurement."""
        return {
            "name": self.name,
            "value": None if math.isnan(self.value) else self.value,
            "unit": self.unit,
            "source": self.source.value,
            "basis": self.basis.value,
            "limit": None
            if self.limit is None
            else {"low": self.limit.low, "high": self.limit.high, "why": self.limit.why},
            "verdict": self.verdict.value,
            "n": self.n,
            "reference": self.reference,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Measurement:
        """Restore what `to_json` gave.

        Raises:
            KeyError, ValueError: the record is not a measurement.
        """
        limit = item["limit"]
        return cls(
            name=item["name"],
            value=math.nan if item["value"] is None else float(item["value"]),
            unit=item["unit"],
            source=Source(item["source"]),
            basis=Basis(item["basis"]),
            limit=None if limit is None else Limit(limit["low"], limit["high"], limit["why"]),
            n=int(item["n"]),
            reference=item["reference"],
            note=item["note"],
        )
