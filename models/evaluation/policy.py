"""The gate's policy: margins, and how sure the gate must be. A TOML file; what it does not name keeps its default."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import InputError
from firmware_bridge.given_files import read_toml
from models.errors import RecipeError
from models.records import structured

__all__ = ["GatePolicy"]


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """The margins, and how sure the gate must be.

    Attributes:
        hard_margin_points: AP50 that may be lost on the hard cases as a whole.
        condition_margin_points: AP50 that may be lost in each condition category of the validation set.
        least_scenes: independent scenes below which nothing is concluded: bounds from fewer promise too much.
        conditions_required: whether the categories decide; otherwise they are reported only.
        confidence: of each one-sided bound.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        least_parent_ap50: AP50 (0 to 1) of the parent below which nothing is concluded: to be no worse than a blind
            model proves nothing (assay sensitivity; ICH E10, section 1.5).
        power: chance of settling it that the number of frames needed is computed for.
    """

    hard_margin_points: float = 5.0
    condition_margin_points: float = 1.8
    least_scenes: int = 20
    conditions_required: bool = True
    confidence: float = 0.95
    resamples: int = 1000
    seed: int = 0
    least_parent_ap50: float = 0.05
    power: float = 0.8

    @classmethod
    def load(cls, path: Path) -> GatePolicy:
        """Read a policy from TOML; what it does not name keeps its default.

        Raises:
            RecipeError: the file is missing, not TOML, or a field is unknown, of the wrong type or out of range.
        """
        try:
            policy = structured(cls, read_toml(path, "a policy of the gate (TOML)"))
        except InputError as error:
            raise RecipeError(str(error)) from error
        except ValueError as error:
            raise RecipeError(f"{path}: {error}") from error
        policy.check(str(path))
        return policy

    def check(self, where: str) -> None:
        """Check that every field is in its range.

        Raises:
            RecipeError: names the field and ``where`` it stands.
        """
        allowed = {
            "hard_margin_points": (self.hard_margin_points > 0, "over 0"),
            "condition_margin_points": (self.condition_margin_points > 0, "over 0"),
            "least_scenes": (self.least_scenes >= 2, "at least 2"),
            "confidence": (0.5 < self.confidence < 1, "over 0.5 and under 1"),
            "resamples": (self.resamples >= 100, "at least 100"),
            "seed": (self.seed >= 0, "at least 0"),
            "least_parent_ap50": (0 <= self.least_parent_ap50 <= 1, "from 0 to 1"),
            "power": (0.5 <= self.power < 1, "at least 0.5 and under 1"),
        }
        for name, (holds, rule) in allowed.items():
            if not holds:
                raise RecipeError(f"{where}: {name} must be {rule}, not {getattr(self, name)!r}")
