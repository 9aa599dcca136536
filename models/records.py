"""Records as JSON files: strict conversion of dataclasses to plain values and back.

A missing or unknown field or one of another type is refused in one line that names its path. Two differences to the
defaults of `cattrs`: JSON has no NaN, so ``null`` represents it in a ``float`` field; and numbers, strings and booleans
are never converted into one another. NumPy arrays are stored as lists.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

import cattrs
import numpy as np
from cattrs.preconf.json import JsonConverter, make_converter

from firmware_bridge.errors import InputError
from firmware_bridge.files import write_atomically
from firmware_bridge.input_files import read_json

__all__ = ["RecordFile", "converter", "derived", "derived_names", "plain", "structured", "write_plain"]

T = TypeVar("T")
_DERIVED: dict[type, tuple[str, ...]] = {}


@cache
def converter() -> JsonConverter:
    """Return the converter of this project."""
    found = make_converter(forbid_extra_keys=True)
    for kind in (str, int, bool):
        found.register_structure_hook(kind, _exactly(kind))
    found.register_structure_hook(float, _float)
    found.register_structure_hook_func(_is_choice, _one_of)
    found.register_unstructure_hook(float, lambda value: value if math.isfinite(value) else None)
    found.register_structure_hook_func(_is_array, _array)
    found.register_unstructure_hook_func(_is_array, _list)
    return found


def derived(kind: type, *names: str) -> None:
    """Also store these properties of ``kind``, for other readers; they are recomputed after loading."""
    _DERIVED[kind] = names
    to_plain, to_value = converter().get_unstructure_hook(kind), converter().get_structure_hook(kind)

    def unstructure(value: Any) -> Any:
        return {**to_plain(value), **{name: plain(getattr(value, name)) for name in names}}

    def structure(item: Any, _: Any) -> Any:
        kept = {key: value for key, value in item.items() if key not in names} if isinstance(item, dict) else item
        return to_value(kept, kind)

    converter().register_unstructure_hook(kind, unstructure)
    converter().register_structure_hook(kind, structure)


def derived_names(kind: type) -> tuple[str, ...]:
    """Return the properties of ``kind`` that are stored too."""
    return _DERIVED.get(kind, ())


def plain(value: Any) -> Any:
    """Return plain JSON values; `structured` restores an equal value."""
    return converter().unstructure(value)


def structured(kind: type[T], item: Any) -> T:
    """Restore a value from the output of `plain`.

    Raises:
        ValueError: it is not a ``kind``; the text is one line with the path.
    """
    try:
        return converter().structure(item, kind)
    except (cattrs.BaseValidationError, cattrs.ForbiddenExtraKeysError, ValueError, TypeError, KeyError) as error:
        words, _, place = cattrs.transform_error(error, path="", format_exception=_words)[0].rpartition(" @ ")
        place = place.lstrip(".")
        raise ValueError(f"{place}: {words}" if place else words) from error


def write_plain(path: Path, item: Any, indent: int | None = 1) -> None:
    """Write plain values as a file atomically; its folder is created."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(item, indent=indent, separators=separators, allow_nan=False)
    write_atomically(path, text.encode() + b"\n")


@dataclass(frozen=True)
class RecordFile(Generic[T]):
    """The file format of one class.

    Attributes:
        kind: the class.
        what: its name with article for messages, e.g. ``an evaluation``.
        schema: version of its fields.
        renew: what to do with a file of another version, e.g. ``evaluate again``.
        error: exception to raise.
        indent: of the JSON; None for one line.
        by_hand: written by people, who may omit the schema.
    """

    kind: type[T]
    what: str
    schema: int
    renew: str
    error: type[Exception]
    indent: int | None = 1
    by_hand: bool = False

    def to_json(self, value: T) -> dict[str, Any]:
        """Return plain values with the schema's version."""
        return {"schema": self.schema, **plain(value)}

    def from_json(self, item: Any) -> T:
        """Restore a value from the output of `to_json`; raises ``error``."""
        if not isinstance(item, dict) or ("schema" not in item and not self.by_hand):
            raise self.error(f"not {self.what}: it has no schema")
        if item.get("schema", self.schema) != self.schema:
            raise self.error(
                f"{self.what} of schema {item['schema']!r}, this release reads {self.schema}; {self.renew}"
            )
        try:
            return structured(self.kind, {key: value for key, value in item.items() if key != "schema"})
        except ValueError as error:
            raise self.error(f"not {self.what}: {error}") from error

    def save(self, value: T, path: Path) -> None:
        """Write a file atomically; its folder is created."""
        write_plain(path, self.to_json(value), self.indent)

    def load(self, path: Path) -> T:
        """Read a file; raises ``error`` with its path if it is missing or damaged."""
        try:
            item = read_json(path, self.what)
        except InputError as error:
            raise self.error(str(error)) from error
        try:
            return self.from_json(item)
        except self.error as error:
            raise self.error(f"{path}: {error}") from error


class _WrongTypeError(TypeError):
    """A value of another type, which the text names."""


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise _WrongTypeError(f"{value!r:.40} is not {'a string' if kind is str else f'of type {kind.__name__}'}")
        return value

    return structure


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _one_of(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise _WrongTypeError(f"{value!r:.40} is not one of {', '.join(map(str, get_args(kind)))}")
    return value


def _float(value: Any, _: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _WrongTypeError(f"{value!r:.40} is not a number")
    return float(value)


def _is_array(kind: Any) -> bool:
    return (get_origin(kind) or kind) is np.ndarray


def _array(value: Any, kind: Any) -> Any:
    dtype = np.dtype(get_args(get_args(kind)[1])[0])
    if not isinstance(value, list):
        raise _WrongTypeError(f"{value!r:.40} is not a list")
    return np.array([math.nan if item is None else item for item in value], dtype)


def _list(value: Any) -> list[Any]:
    items: list[Any] = value.tolist()
    if value.dtype.kind != "f":
        return items
    return [item if math.isfinite(item) else None for item in items]


def _words(error: BaseException, kind: type | None) -> str:
    del kind
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        known = ", ".join(field.name for field in fields(error.cl))
        return f"unknown field {', '.join(sorted(error.extra_fields))}; known are {known}"
    if isinstance(error, (AttributeError, TypeError)) and not isinstance(error, _WrongTypeError):
        return "is not of the right type"
    return " ".join(str(error).split())
