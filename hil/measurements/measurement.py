"""One measured figure: its value, unit, limit, direction and origin; verdict and comparison follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from models.records import derived

__all__ = ["Basis", "Better", "Limit", "Margin", "Measurement", "Source", "Subject", "Varies", "Verdict"]


class Source(Enum):
    """What kind of board a figure comes from."""

    HARDWARE = "HARDWARE"
    """A board that has proven, by a signature, that it is one of a known kind; none has a key for that yet."""
    CLAIMED = "claims HARDWARE"
    """A board that says so itself."""
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
    INVALID = "invalid"
    """What was measured cannot be true (a stuck sensor, missing samples): there is no number."""
    INFO = "info"


class Subject(Enum):
    """What a figure says something about."""

    MODEL = "model"
    """The model on its board."""
    LINK = "link"
    """The cable and the host: shown, and no reason to judge a model."""


class Better(Enum):
    """Which way a figure improves; one that improves neither way is information, and not compared with a baseline."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


class Varies(Enum):
    """What makes a figure of the same package on the same board differ."""

    RUNS = "from run to run"
    """Time, power and what follows from them: how much, only several runs say."""
    FRAMES = "with the frames"
    """Accuracy: the same on the same frames, and a sample of what it would be on others."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Margin:
    """How much of a difference does not matter.

    Attributes:
        relative: as a fraction of the baseline's value.
        absolute: in the figure's unit; the larger of the two counts.
    """

    relative: float = 0.05
    absolute: float = 0.0

    def of(self, value: float) -> float:
        """Return the margin around ``value``, in its unit."""
        return max(self.absolute, self.relative * abs(value))


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
        better: which way it improves; decides whether and how it is compared with a baseline.
        margin: the difference that does not matter, or None for the margin of the comparison.
        quantile: which quantile of ``series`` the value is, 0 to 1, or None if it is none.
        series: name of the samples behind it, as `HilResults.series` gives them; ``""`` if none are saved.
        subject: what it says something about.
        invalid: why there is no number although one was measured, one clause; the value is then NaN.
        varies: what else than the package changes it; decides how it is compared.
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
    better: Better = Better.NEITHER
    margin: Margin | None = None
    quantile: float | None = None
    series: str = ""
    subject: Subject = Subject.MODEL
    invalid: str = ""
    varies: Varies = Varies.RUNS

    def __post_init__(self) -> None:
        """Refuse a quantile without its samples, which no comparison could judge, and an invalid number."""
        if self.invalid and not math.isnan(self.value):
            raise ValueError(f"{self.name}: an invalid figure has no number")
        if self.quantile is not None and not (0.0 < self.quantile < 1.0 and self.series):
            raise ValueError(f"{self.name}: a quantile lies between 0 and 1, and names the series that it is of")

    @property
    def verdict(self) -> Verdict:
        """INVALID; else PASS or FAIL against the limit, INFO without one, INCONCLUSIVE when there is no sample."""
        if self.invalid:
            return Verdict.INVALID
        if self.limit is None:
            return Verdict.INFO
        if self.n < 1 or math.isnan(self.value):
            return Verdict.INCONCLUSIVE
        return Verdict.PASS if self.limit.holds(self.value) else Verdict.FAIL


derived(Measurement, "verdict")
