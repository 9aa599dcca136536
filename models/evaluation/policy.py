"""The gate's policy: margins and confidence. A TOML file; fields that are not set have their default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge.errors import InputError
from firmware_bridge.input_files import read_toml
from models.errors import RecipeError
from models.records import structured

__all__ = ["GatePolicy"]

# Former names of fields, still read in policies and evidence.
_FORMER_NAMES = {"least_scenes": "min_scenes", "least_parent_ap50": "min_parent_ap50"}


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Margins and confidence of the gate.

    Attributes:
        hard_margin_points: AP50 that may be lost on the hard cases as a whole.
        condition_margin_points: AP50 that may be lost in each condition category of the validation set.
        min_scenes: minimum number of independent scenes for a verdict: bounds from fewer are too optimistic.
        conditions_required: whether the categories decide; otherwise they are only reported.
        confidence: of each one-sided bound.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        min_parent_ap50: minimum AP50 (0 to 1) of the parent for a verdict: non-inferiority to a blind model proves
            nothing (assay sensitivity; ICH E10, section 1.5).
        power: statistical power for which the number of frames needed is computed.
    """

    hard_margin_points: float = 5.0
    condition_margin_points: float = 1.8
    min_scenes: int = 20
    conditions_required: bool = True
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0
    min_parent_ap50: float = 0.05
    power: float = 0.8

    @classmethod
    def load(cls, path: Path) -> GatePolicy:
        """Read a policy from TOML; fields that are not set have their default.

        Raises:
            RecipeError: the file is missing, not TOML, or a field is unknown, of the wrong type or out of range.
        """
        try:
            policy = cls.from_plain(read_toml(path, "a policy of the gate (TOML)"))
        except InputError as error:
            raise RecipeError(str(error)) from error
        except ValueError as error:
            raise RecipeError(f"{path}: {error}") from error
        policy.check(str(path))
        return policy

    @classmethod
    def from_plain(cls, item: dict[str, Any]) -> GatePolicy:
        """Restore a policy from plain values, by today's or former names of its fields.

        Raises:
            ValueError: names the wrong field.
        """
        return structured(cls, {_FORMER_NAMES.get(name, name): value for name, value in item.items()})

    def check(self, where: str) -> None:
        """Check that every field is in its range.

        Raises:
            RecipeError: names the field and the file ``where``.
        """
        allowed = {
            "hard_margin_points": (self.hard_margin_points > 0, "over 0"),
            "condition_margin_points": (self.condition_margin_points > 0, "over 0"),
            "min_scenes": (self.min_scenes >= 2, "at least 2"),
            "confidence": (0.5 < self.confidence < 1, "over 0.5 and under 1"),
            "resamples": (self.resamples >= 100, "at least 100"),
            "seed": (self.seed >= 0, "at least 0"),
            "min_parent_ap50": (0 <= self.min_parent_ap50 <= 1, "from 0 to 1"),
            "power": (0.5 <= self.power < 1, "at least 0.5 and under 1"),
        }
        for name, (holds, rule) in allowed.items():
            if not holds:
                raise RecipeError(f"{where}: {name} must be {rule}, not {getattr(self, name)!r}")
