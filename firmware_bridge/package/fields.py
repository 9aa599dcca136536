"""Typed reading of a decoded CBOR map: every field is there, of its type and in its range, and no other is.

Owns: what a name, a digest, a time may look like. Knows no manifest and no trust store.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

from firmware_bridge.errors import RejectedError
from firmware_bridge.package.cbor import Value
from firmware_bridge.package.reasons import RejectReason

__all__ = ["LABEL", "NAME", "OP", "TEXT", "VERSION", "Fields", "schema_error", "version_numbers"]

U64_MAX = (1 << 64) - 1

# A name may become a file's name, an audit entry, a column of a table: no separators, no control characters.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
LABEL = re.compile(r"[ -~]{1,128}")
TEXT = re.compile(r"[ -~]{0,256}")
VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}")
OP = re.compile(r"([A-Z][A-Z0-9_]{0,47}|CUSTOM\([ -'*-9;-~]{1,64}\)):[A-Z0-9_]{1,32}(:[A-Z0-9]{1,16})?")

T = TypeVar("T")


def version_numbers(text: str) -> tuple[int, int, int, int]:
    """Return the leading numbers of a version; ``2.14`` equals ``2.14.0``, and a suffix counts for nothing."""
    numbers: list[int] = []
    for part in text.split(".")[:4]:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    padded = [*numbers, 0, 0, 0, 0]
    return padded[0], padded[1], padded[2], padded[3]


def schema_error(what: str) -> RejectedError:
    """Return the refusal of a value that breaks the schema."""
    return RejectedError(RejectReason.SCHEMA, what)


class Fields:
    """One map of a document; each accessor takes one field, `finish` refuses what is left.

    Every accessor raises `RejectedError` (SCHEMA) and names the field.
    """

    def __init__(self, value: Value, where: str) -> None:
        """Wrap a map; ``where`` names it in errors."""
        if not isinstance(value, dict):
            raise schema_error(f"{where} is not a map")
        self._left: dict[int | str, Value] = dict(value)
        self._where = where

    def take(self, key: str) -> Value:
        """Return the field as it stands."""
        if key not in self._left:
            raise schema_error(f"{self._where} lacks {key!r}")
        return self._left.pop(key)

    def uint(self, key: str, maximum: int = U64_MAX, minimum: int = 0) -> int:
        """Return an integer from ``minimum`` to ``maximum``."""
        return self._uint(key, self.take(key), maximum, minimum)

    def optional_uint(self, key: str) -> int | None:
        """Return an integer, or None for null."""
        value = self.take(key)
        return None if value is None else self._uint(key, value, U64_MAX, 0)

    def octets(self, key: str, size: int) -> bytes:
        """Return a byte string of exactly ``size`` bytes."""
        value = self.take(key)
        if not isinstance(value, bytes) or len(value) != size:
            raise self._wrong(key, f"{size} bytes")
        return value

    def nonempty_octets(self, key: str, maximum: int) -> bytes:
        """Return a byte string of 1 to ``maximum`` bytes."""
        value = self.take(key)
        if not isinstance(value, bytes) or not 1 <= len(value) <= maximum:
            raise self._wrong(key, f"1 to {maximum} bytes")
        return value

    def text(self, key: str, pattern: re.Pattern[str]) -> str:
        """Return text that matches ``pattern`` wholly."""
        return self._text(key, self.take(key), pattern)

    def choice(self, key: str, allowed: frozenset[str]) -> str:
        """Return one of a closed set of texts."""
        value = self.take(key)
        if not isinstance(value, str) or value not in allowed:
            raise self._wrong(key, "one of " + ", ".join(sorted(allowed)))
        return value

    def texts(self, key: str, pattern: re.Pattern[str], minimum: int = 0) -> tuple[str, ...]:
        """Return an array of texts in strictly ascending order."""
        found = self.array(key, lambda value: self._text(key, value, pattern))
        if len(found) < minimum:
            raise self._wrong(key, f"at least {minimum} entries")
        if any(a >= b for a, b in pairwise(found)):
            raise self._wrong(key, "sorted, each entry once")
        return found

    def array(self, key: str, item: Callable[[Value], T]) -> tuple[T, ...]:
        """Return an array, each item read by ``item``."""
        value = self.take(key)
        if not isinstance(value, list):
            raise self._wrong(key, "an array")
        return tuple(item(entry) for entry in value)

    def map(self, key: str) -> Fields:
        """Return a map inside this one."""
        return Fields(self.take(key), f"{self._where}.{key}")

    def number(self, key: str) -> float:
        """Return a finite float (not an integer)."""
        value = self.take(key)
        if not isinstance(value, float) or not math.isfinite(value):
            raise self._wrong(key, "a float")
        return value

    def integer(self, key: str, bits: int) -> int:
        """Return a signed integer of ``bits`` bits."""
        value = self.take(key)
        if type(value) is not int or not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            raise self._wrong(key, f"an integer of {bits} bits")
        return value

    def finish(self) -> None:
        """Refuse the fields that are left: each is critical by definition."""
        if self._left:
            raise schema_error(f"{self._where} has the unknown field {next(iter(self._left))!r:.60}")

    def _uint(self, key: str, value: Value, maximum: int, minimum: int) -> int:
        # bool is an int in Python, and is not one in CBOR.
        if type(value) is not int or not minimum <= value <= maximum:
            raise self._wrong(key, f"an integer from {minimum} to {maximum}")
        return value

    def _text(self, key: str, value: Value, pattern: re.Pattern[str]) -> str:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise self._wrong(key, f"text that matches {pattern.pattern}")
        return value

    def _wrong(self, key: str, expected: str) -> RejectedError:
        return schema_error(f"{self._where}.{key} is not {expected}")
