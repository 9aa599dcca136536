"""Class names of YOLO datasets from ``data.yaml``, ``classes.txt`` or ``obj.names``, and the folders of ``data.yaml``.

YAML is untrusted: it is read as plain strings, without types, tags or aliases.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from models.errors import DataError
from models.readers.files import find_file
from models.readers.text import number, posix, read_text

__all__ = ["YoloNames", "find_names", "load_names", "parse_names"]

_MAX_BYTES = 1_000_000
_LISTS = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml", "classes.txt", "obj.names", "predefined_classes.txt",
          "labels/classes.txt", "classes.names")  # fmt: skip
_INDEXED = re.compile(r"^\s*(?P<index>\d+)\s*[:\s,]\s*(?P<name>\S.*?)\s*$")
_SPLITS = ("train", "val", "valid", "validation", "test")


@dataclass(frozen=True)
class YoloNames:
    """Content of a names file.

    Attributes:
        names: class names by index; an index may be missing.
        keypoints: lines have a box and keypoints, not polygons.
        folders: folders or lists of images by split, as written.
        root: base folder of ``folders``, as written.
    """

    names: Mapping[int, str]
    keypoints: bool = False
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    root: str = ""


class _PlainLoader(yaml.BaseLoader):
    """Loads strings, lists and maps; refuses aliases, with which a small file expands without limit."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed in a list of names")
        return super().compose_node(parent, index)


def find_names(folder: Path) -> YoloNames:
    """Return the class names of the dataset in ``folder``, from there or its parent folder.

    Raises:
        DataError: there are none, or they cannot be parsed.
    """
    for place in (folder, folder.parent):
        for name in _LISTS:
            file = find_file(place, name)
            if file.is_file():
                return load_names(file)
        for file in sorted([*place.glob("*.yaml"), *place.glob("*.yml"), *place.glob("*.names")]):
            try:
                return load_names(file)
            except DataError:
                continue  # settings of another tool
    raise DataError(
        f"{folder}: no data.yaml or classes.txt names the classes; add a classes.txt with one name per line, in the "
        "order of their indices"
    )


def load_names(file: Path) -> YoloNames:
    """Read a names file.

    Raises:
        DataError: it cannot be read, or has no names.
    """
    try:
        text = read_text(file, _MAX_BYTES)
        if file.suffix.lower() not in {".yaml", ".yml"}:
            return YoloNames(parse_names(text))
        data = _yaml(text)
        names = data.get("names")
        if isinstance(names, str) and (listed := _sibling(file, names)) is not None:
            names = list(read_text(listed, _MAX_BYTES).splitlines())
        folders = {split: _texts(data[split]) for split in _SPLITS if data.get(split)}
        return YoloNames(_names(names), "kpt_shape" in data, folders, posix(str(data.get("path") or "")))
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: {error}; it should list the class names") from error


def parse_names(text: str) -> dict[int, str]:
    """Return class names by index, from a ``data.yaml`` (list, map or text) or from one name per line.

    Raises:
        ValueError: there are none.
    """
    if re.search(r"^names\s*:", text, re.MULTILINE):
        return _names(_yaml(text).get("names"))
    if re.search(r"^\s*\w+\s*:\s*(\S|$)", text, re.MULTILINE) and not _indexed(text.splitlines()):
        raise ValueError("there is no list of names")
    return _names(text.splitlines())


def _yaml(text: str) -> dict[str, Any]:
    try:
        data = yaml.load(text, _PlainLoader)  # noqa: S506 - a BaseLoader makes no objects
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ValueError(f"cannot be read as YAML ({' '.join(str(error).split())[:200]})") from error
    if not isinstance(data, dict):
        raise ValueError("there is no list of names")
    return data


def _names(found: object) -> dict[int, str]:
    if isinstance(found, str):
        found = found.strip().strip("[]").split(",")
    if isinstance(found, dict):
        names = {_index(key): _text(name) for key, name in found.items()}
    elif isinstance(found, list):
        # A name may be preceded by its index or a dash.
        lines = [_text(name) for name in found]
        names = _indexed(lines) or dict(enumerate(re.sub(r"^\s*-\s+", "", line).strip("'\" ") for line in lines))
    else:
        names = {}
    names = {index: name.strip() for index, name in names.items() if name.strip()}
    if not names:
        raise ValueError("there is no list of names")
    return names


def _indexed(lines: list[str]) -> dict[int, str]:
    """Return the names of lines that all begin with an index; {} if some do not."""
    matches = [_INDEXED.match(line) for line in lines if line.strip()]
    found = {int(m["index"]): m["name"].strip("'\" ") for m in matches if m is not None}
    return found if matches and len(found) == len(matches) and 0 in found else {}


def _index(key: object) -> int:
    value = number(key)
    if value < 0 or value != int(value):
        raise ValueError(f"{key!r} is not a class index")
    return int(value)


def _text(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError("a name must be a string")
    return name


def _texts(found: object) -> tuple[str, ...]:
    items = found if isinstance(found, list) else [found]
    return tuple(posix(item) for item in items if isinstance(item, str) and item.strip())


def _sibling(file: Path, name: str) -> Path | None:
    """Return the file that ``names`` refers to, if it is a file name and not the list itself."""
    path = file.parent / Path(posix(name)).name
    return path if path.suffix.lower() in {".txt", ".names"} and path.is_file() else None
