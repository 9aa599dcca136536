"""TOML of plain values: written with every table in its place, and the line on which a key of a text stands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["line_of", "to_toml"]

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]")
_KEY = re.compile(r"\s*([\w-]+)\s*=")
_STEP = re.compile(r"(\w+)|\[(\d+)\]")


def to_toml(values: Mapping[str, Any], table: str = "") -> str:
    """Return plain values as TOML; what is empty is left out, maps and lists of maps become tables."""
    lines, tables = [], []
    for key, value in values.items():
        name = f"{table}.{key}" if table else key
        if value in (None, [], ""):
            continue
        if isinstance(value, Mapping):
            tables.append(f"\n[{name}]\n{to_toml(value, name)}")
        elif isinstance(value, list) and isinstance(value[0], Mapping):
            tables += [f"\n[[{name}]]\n{to_toml(item, name)}" for item in value]
        else:
            # A JSON text, number, truth value or list of them is one of TOML.
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False, allow_nan=False)}\n")
    return "".join(lines + tables)


def line_of(text: str, place: str) -> int:
    """Return the line of the TOML ``text`` on which ``place`` stands, e.g. ``inputs[0].band``.

    It is that of the nearest table around it where the key is not there.
    """
    wanted = [name or int(index) for name, index in _STEP.findall(place)]
    counts: dict[str, int] = {}
    inside: list[str | int] = []
    best = (0, 1)
    for number, line in enumerate(text.splitlines(), start=1):
        here = inside
        if (header := _HEADER.match(line)) is not None:
            name = header[2]
            inside = list(name.split("."))
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                inside.append(counts[name])
            here = inside
        elif (key := _KEY.match(line)) is not None:
            here = [*inside, key[1]]
        # A line names the place, or a part around it: not something beside it.
        if here == wanted[: len(here)] and len(here) > best[0]:
            best = (len(here), number)
    return best[1]
