"""What the values of a message's fields may be, as part of their types: the codec refuses every other value.

Host code can thus compare, sum, format and allocate by whatever a board has sent.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias

__all__ = [
    "Bytes48", "Count", "Digest", "Milliseconds", "Milliwatts", "OneOf", "Pattern", "Range", "Seconds", "SlotName",
    "SlotOrNone", "SlotState", "UnixTime",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Range:
    """A finite number from ``minimum`` to ``maximum``."""

    minimum: float
    maximum: float

    def mismatch(self, value: object) -> str | None:
        """Return what is wrong with ``value``, None if nothing is."""
        assert isinstance(value, int | float)
        if math.isfinite(value) and self.minimum <= value <= self.maximum:
            return None
        return f"{value:g} is not from {self.minimum:g} to {self.maximum:g}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few texts."""

    allowed: tuple[str, ...]

    def mismatch(self, value: object) -> str | None:
        """Return what is wrong with ``value``, None if nothing is."""
        return None if value in self.allowed else f"{value!r:.40} is not one of {', '.join(map(repr, self.allowed))}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that a regular expression matches wholly; ``what`` names such texts."""

    pattern: str
    what: str

    def mismatch(self, value: object) -> str | None:
        """Return what is wrong with ``value``, None if nothing is."""
        return None if re.fullmatch(self.pattern, str(value)) else f"{value!r:.40} is not {self.what}"


Count: TypeAlias = Annotated[int, Range(0, 2**64 - 1)]
Bytes48: TypeAlias = Annotated[int, Range(0, 2**48)]
Seconds: TypeAlias = Annotated[float, Range(0, 1e10)]
"""On a clock that begins somewhere in the past: three hundred years are enough."""
UnixTime: TypeAlias = Annotated[float, Range(0, 253_402_300_799)]
"""Until the end of the year 9999, the last that `time.gmtime` and its like all take."""
Milliseconds: TypeAlias = Annotated[float, Range(0, 1e10)]
Milliwatts: TypeAlias = Annotated[float, Range(-1e9, 1e9)]
"""A rail may be back-fed; a megawatt is not plausible."""
SlotName: TypeAlias = Annotated[str, OneOf(("a", "b"))]
SlotOrNone: TypeAlias = Annotated[str, OneOf(("", "a", "b"))]
SlotState: TypeAlias = Annotated[str, OneOf(("empty", "installed", "trial", "confirmed", "failed"))]
Digest: TypeAlias = Annotated[str, Pattern("([0-9a-f]{64})?", "a SHA-256 in hex")]
