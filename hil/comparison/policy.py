"""By how much a figure may differ, and how sure one must be: the policy of comparisons, a TOML file.

    confidence = 0.95

    [margins]
    "latency_*" = { relative = 0.015 }
    power_total = { absolute = 20.0 }        # in the figure's unit

    [limits]
    latency_p99 = { high = 12.0, why = "contract" }

    [accuracy]                               # the gate's: `models.evaluation.policy.GatePolicy`
    hard_margin_points = 1.0

A name may have ``*``; of several that fit, the longest counts. What the file does not name keeps its default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from firmware_bridge.errors import InputError
from firmware_bridge.input_files import read_toml
from hil.errors import SuiteError
from hil.measurements.measurement import Limit, Margin, Measurement
from models.errors import RecipeError
from models.evaluation.policy import GatePolicy
from models.records import structured

__all__ = ["ComparisonPolicy"]

_T = TypeVar("_T")

_MARGINS = {
    "latency_*": Margin(0.015, 0.1),
    "latency_p99": Margin(0.03, 0.1),
    "power_*": Margin(0.015),
    "energy_*": Margin(0.015, 0.05),
}
"""Half of 3 %, the change that a comparison of twelve blocks finds; a tail varies by twice what its middle does.

In absolute terms, 0.1 ms is what an operating system takes now and then, and 0.05 mJ a frame are 3 mW at 60 frames/s.
"""


@dataclass(frozen=True, slots=True)
class ComparisonPolicy:
    """What a comparison is judged by.

    Attributes:
        confidence: of each interval of a difference.
        power: chance of a decision that the number of blocks needed is computed for.
        margins: of figures by name or pattern, before the figure's own margin and 5 %.
        limits: that the figures of the run in question must keep, by name or pattern.
        accuracy: the gate's policy, by which accuracy is judged.
    """

    confidence: float = 0.95
    power: float = 0.8
    margins: Mapping[str, Margin] = field(default_factory=dict)
    limits: Mapping[str, Limit] = field(default_factory=dict)
    accuracy: GatePolicy = field(default_factory=GatePolicy)

    @classmethod
    def load(cls, path: Path) -> ComparisonPolicy:
        """Read a policy.

        Raises:
            SuiteError: the file is missing, not TOML, or a field is unknown, of the wrong type or out of range.
        """
        try:
            given = read_toml(path, "a policy of comparisons (TOML)")
            margins = given.get("margins")
            for margin in margins.values() if isinstance(margins, dict) else ():
                if isinstance(margin, dict) and margin:
                    margin.setdefault("relative", 0.0)
            policy = structured(cls, given)
            policy.accuracy.check(f"{path}: accuracy")
        except (InputError, RecipeError) as error:
            raise SuiteError(str(error)) from error
        except ValueError as error:
            raise SuiteError(f"{path}: {error}") from error
        policy.check(path)
        return policy

    def margin(self, figure: str, own: Margin | None = None) -> Margin:
        """Return the margin of a figure, which states ``own`` itself."""
        return _longest(self.margins, figure) or own or _longest(_MARGINS, figure) or Margin()

    def over_limit(self, figure: Measurement) -> str:
        """Return that a figure breaks the policy's limit, one line; ``""`` if it keeps them or has none."""
        limit = _longest(self.limits, figure.name)
        if limit is None or not math.isfinite(figure.value) or limit.holds(figure.value):
            return ""
        why = f" ({limit.why})" if limit.why else ""
        return f"{figure.name} = {figure.value:.4g} {figure.unit}, the policy's limit {limit} {figure.unit}{why}"

    def check(self, path: Path) -> None:
        """Check that every field is in its range.

        Raises:
            SuiteError: names the field and the file.
        """
        for name in ("confidence", "power"):
            if not 0.5 < getattr(self, name) < 1:
                raise SuiteError(f"{path}: {name} must be over 0.5 and under 1, not {getattr(self, name):g}")
        for name, margin in self.margins.items():
            if not (0 <= margin.relative < math.inf and 0 <= margin.absolute < math.inf):
                raise SuiteError(f"{path}: margins.{name} must not be negative")
        for name, limit in self.limits.items():
            if limit.low is None and limit.high is None:
                raise SuiteError(f"{path}: limits.{name} has neither low nor high")


def _longest(table: Mapping[str, _T], figure: str) -> _T | None:
    fitting = [name for name in table if fnmatchcase(figure, name)]
    return table[max(fitting, key=len)] if fitting else None
