"""A precision plan: which layer computes in which type. A small JSON file that can be written by hand.

Owns: the plan as a value, its file, its digest, and which rule applies to a name. Knows no graph;
`models.quant.layer_names` says by which names a graph's operations can be called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

from models.errors import RecipeError
from models.records import RecordFile

__all__ = ["STANDARD_PLANS", "Precision", "PrecisionPlan", "Rule"]

SCHEMA = 1


class Precision(Enum):
    """What a layer computes in."""

    INT8 = "int8"
    """8-bit activations and weights."""
    INT16 = "int16"
    """16-bit activations, 8-bit weights."""
    FP16 = "fp16"
    """Float arithmetic, weights stored as 16-bit floats."""
    FP32 = "fp32"
    """Float arithmetic and weights."""

    @classmethod
    def _missing_(cls, value: object) -> Precision:
        found = next((item for item in cls if item.value == str(value).lower()), None)
        if found is None:
            raise ValueError(f"unknown precision {value!r}; supported are {', '.join(item.value for item in cls)}")
        return found

    @property
    def integer(self) -> bool:
        """Whether activations are integers."""
        return self in (Precision.INT8, Precision.INT16)

    @property
    def bits(self) -> int:
        """Bits of an activation."""
        return {Precision.INT8: 8, Precision.INT16: 16}.get(self, 32)

    @property
    def weight_bits(self) -> int:
        """Bits of a stored weight."""
        return {Precision.FP16: 16, Precision.FP32: 32}.get(self, 8)

    @property
    def weight_dtype(self) -> str:
        """The type in which such an operation's weights are stored, e.g. ``INT8``."""
        return {Precision.FP16: "FLOAT16", Precision.FP32: "FLOAT32"}.get(self, "INT8")

    @property
    def op_dtype(self) -> str:
        """The dtype of such an operation in a graph, e.g. ``INT8`` (see `firmware_bridge.device.graph`)."""
        return {Precision.INT8: "INT8", Precision.INT16: "INT16"}.get(self, "FLOAT32")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: the layers whose name matches the glob ``match`` compute in ``precision``."""

    match: str
    precision: Precision

    def names(self, name: str) -> bool:
        """Return whether the rule names the layer ``name``.

        A path (with a slash) is only matched by a glob with a slash: it starts with the model's own name, and a
        network called ``fusion`` must not fall under ``fusion*`` as a whole.
        """
        return ("/" not in name or "/" in self.match) and fnmatchcase(name, self.match)


@dataclass(frozen=True, slots=True)
class PrecisionPlan:
    """A precision for every layer.

    Attributes:
        default: what layers compute in that no rule names.
        rules: in order; where several match, the last one holds.
        name: one word for tables, e.g. ``mixed``.
    """

    default: Precision
    rules: tuple[Rule, ...] = ()
    name: str = "plan"

    def precision_of(self, *names: str) -> Precision:
        """Return the precision of a layer that can be called by any of ``names``."""
        found = self.default
        for rule in self.rules:
            if any(rule.names(name) for name in names):
                found = rule.precision
        return found

    @classmethod
    def named(cls, name: str) -> PrecisionPlan:
        """Return the standard plan called ``name``: one of `STANDARD_PLANS`.

        Raises:
            RecipeError: there is none; the text lists them.
        """
        if name not in STANDARD_PLANS:
            raise RecipeError(f"unknown plan {name!r}; standard plans are {', '.join(STANDARD_PLANS)}, or give a file")
        return STANDARD_PLANS[name]

    def check(self, layers: Iterable[tuple[str, ...]]) -> None:
        """Check that every rule names a layer.

        Args:
            layers: the names of each layer.

        Raises:
            RecipeError: a rule matches none; the text lists names that come close.
        """
        known = list(layers)
        for rule in self.rules:
            if not any(rule.names(name) for names in known for name in names):
                raise RecipeError(
                    f"plan {self.name!r}: no layer matches {rule.match!r}; layers are, for instance,"
                    f" {', '.join(_nearest(rule.match, known))}"
                )

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the plan's canonical JSON."""
        return hashlib.sha256(json.dumps(FILE.to_json(self), sort_keys=True).encode()).hexdigest()

    @classmethod
    def load(cls, path: Path) -> PrecisionPlan:
        """Read a plan's file.

        Raises:
            RecipeError: it cannot be read, or is not a plan.
        """
        return FILE.load(path)

    def save(self, path: Path) -> None:
        """Write the plan; ``load(path)`` gives an equal one."""
        FILE.save(self, path)


FILE = RecordFile(PrecisionPlan, "a precision plan (JSON)", SCHEMA, "plan again", RecipeError, by_hand=True)

STANDARD_PLANS: dict[str, PrecisionPlan] = {
    "fp32": PrecisionPlan(Precision.FP32, name="fp32"),
    "fp16": PrecisionPlan(Precision.FP16, name="fp16"),
    "int8": PrecisionPlan(Precision.INT8, name="int8"),
    "int16": PrecisionPlan(Precision.INT16, name="int16"),
    # Cross-modal attention is what INT8 hurts most.
    "mixed": PrecisionPlan(Precision.INT8, (Rule("fusion*", Precision.INT16),), "mixed"),
}
"""The plans that reports compare."""


def _nearest(match: str, layers: list[tuple[str, ...]]) -> list[str]:
    """Return a few layer names that resemble ``match``."""
    import difflib

    names = sorted({names[0] for names in layers if names})
    return difflib.get_close_matches(match.strip("*"), names, n=4, cutoff=0.3) or names[:4]
