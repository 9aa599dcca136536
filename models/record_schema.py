"""The JSON Schema of a record file, made from its dataclass: what other programs may rely on."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from models.records import RecordFile, derived_names

__all__ = ["schema_of"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": ["number", "null"]},  # null stands for a number that there is not
}


def schema_of(file: RecordFile[Any], title: str) -> dict[str, Any]:
    """Return the schema of the files that ``file`` writes, draft 2020-12."""
    definitions: dict[str, Any] = {}
    reference = _of(file.kind, definitions)
    whole = definitions.pop(reference["$ref"].rpartition("/")[2])
    whole["properties"] = {"schema": {"const": file.schema}, **whole["properties"]}
    whole["required"] = ["schema", *whole["required"]]
    return {"$schema": _DIALECT, "title": title, **whole, "$defs": dict(sorted(definitions.items()))}


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if part is type(None) else _of(part, definitions) for part in arguments]}
    if origin is tuple:
        return _of_tuple(arguments, definitions)
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if is_dataclass(kind):
        return _of_record(kind, definitions)
    raise TypeError(f"no schema for {kind}")


def _of_tuple(arguments: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    if arguments[-1] is Ellipsis:
        return {"type": "array", "items": _of(arguments[0], definitions)}
    items = [_of(part, definitions) for part in arguments]
    return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}


def _of_record(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    name = kind.__name__
    if name not in definitions:
        definitions[name] = {}  # a record may hold others of its kind
        hints = get_type_hints(kind)
        own = {field.name: _of(hints[field.name], definitions) for field in fields(kind)}
        more = {extra: _of(_returned(kind, extra), definitions) for extra in derived_names(kind)}
        definitions[name] = {
            "type": "object",
            "properties": {**own, **more},
            "required": [field.name for field in fields(kind) if _is_required(field)],
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


def _returned(kind: Any, name: str) -> Any:
    return get_type_hints(getattr(kind, name).fget)["return"]


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING
