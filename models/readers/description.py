"""A dataset's description: a TOML file with the locations of its frames, boxes and conditions. Reads no frame.

class_names = ["airplane", "drone"]       # the classes of the set, by index; the six of the project if left out
scene = "{sequence}"                      # frames of one scene stay together; the whole key if left out
[eo]
files = "rgb/{sequence}/{frame}.jpg"      # {field} matches any part of a name; equal fields make a pair
white_count = 4095                        # value of a white sample, for files of more than 8 bits
[lwir]
files = "thermal/{sequence}/{frame}.tiff"
kelvin_per_count = 0.04                   # of integer files
unit = "celsius"                          # of float files: kelvin, celsius, counts
[pairs]
file = "pairs.csv"                        # columns eo, lwir; or a JSON map of EO names to LWIR names
[boxes]
format = "voc"                            # voc, yolo (with names) or coco (with file instead of files)
files = "labels/{sequence}/{frame}.xml"
band = "lwir"                             # band in whose pixels the boxes are
[classes]
pram = "ignore"                           # a class of the set, or "ignore": neither a miss nor a false alarm
[conditions]
name = '/(?P<thermal>day|night)_'         # a regular expression on the frame's path, one axis per named group
file = "conditions.csv"                   # a column "frame", one axis per further column; or a JSON map of maps
[geometry]
crop_px = 0
eo_to_lwir = [1, 0, 0, 0, 1, 0, 0, 0, 1]  # 3x3 homography, row by row
"""

from __future__ import annotations

import glob
import math
import re
import tomllib
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from models.captures import CLASSES
from models.errors import DataError
from models.readers.assemble import Options
from models.readers.bands import Band, ThermalUnit
from models.readers.classes import ClassMap, MappedClass
from models.readers.files import find_file
from models.readers.frames import FrameScaling
from models.readers.text import posix, read_text

__all__ = ["BoxFormat", "BoxSource", "Description", "FilePattern", "is_description"]

_FIELD = re.compile(r"\{(\w+)\}")
_TABLES: dict[str, set[str] | None] = {
    "eo": {"files", "white_count"}, "lwir": {"files", "kelvin_per_count", "unit"}, "pairs": {"file"},
    "conditions": {"name", "file"},
    "boxes": {"format", "files", "file", "names", "band"}, "geometry": {"crop_px", "eo_to_lwir"}, "classes": None,
}  # fmt: skip
_PLAIN = {"name", "scene", "class_names"}
_MAX_BYTES = 1_000_000


class BoxFormat(Enum):
    """Annotation formats."""

    VOC = "voc"
    YOLO = "yolo"
    COCO = "coco"


@dataclass(frozen=True)
class FilePattern:
    """A path below the dataset's folder with fields, e.g. ``rgb/{sequence}/{frame}.jpg``."""

    text: str

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(dict.fromkeys(_FIELD.findall(self.text)))

    def find(self, root: Path) -> list[tuple[dict[str, str], Path]]:
        """Return the matching files with the fields' values, in order of the paths."""
        pieces, seen = [], set()
        for number, part in enumerate(_FIELD.split(self.text)):
            if number % 2 == 0:
                pieces.append(re.escape(part))
            else:
                pieces.append(f"(?P={part})" if part in seen else f"(?P<{part}>[^/]+)")
                seen.add(part)
        whole = re.compile("".join(pieces))
        found = []
        literal = [glob.escape(part) for part in _FIELD.split(self.text)[::2]]
        paths = sorted(root.glob("*".join(literal)))
        if not any(path.is_file() for path in paths):
            # 0001.JPG matches a pattern with .jpg, as on Windows.
            whole = re.compile(whole.pattern, re.IGNORECASE)
            paths = sorted(root.glob("/".join(["*"] * (self.text.count("/") + 1))))
        for path in paths:
            match = whole.fullmatch(path.relative_to(root).as_posix())
            if match is not None and path.is_file():
                found.append((match.groupdict(), path))
        return found

    def fill(self, values: dict[str, str]) -> str:
        """Return the path for the fields' values.

        Raises:
            KeyError: a field has no value.
        """
        return _FIELD.sub(lambda match: values[match[1]], self.text)


@dataclass(frozen=True)
class BoxSource:
    """Source of the boxes.

    Attributes:
        format: of the files.
        files: one per frame (VOC, YOLO).
        file: a single file (COCO).
        names: class names by YOLO index.
        band: the band in whose pixels they are.
    """

    format: BoxFormat
    files: FilePattern | None
    file: Path | None
    names: tuple[str, ...]
    band: Band


@dataclass(frozen=True)
class Description:
    """A described dataset.

    Attributes:
        name: name of the set.
        root: base folder of all paths: that of the description.
        eo: visible files, or None.
        lwir: thermal files, or None.
        scene: template of the scene over the fields, or None for the frame's key.
        pairs: table of pairs if the fields do not define them.
        boxes: annotations, or None.
        condition_name: regular expression on a frame's path.
        condition_file: table of conditions.
        options: class map, crop and homography.
    """

    name: str
    root: Path
    eo: FilePattern | None
    lwir: FilePattern | None
    scene: FilePattern | None = None
    pairs: Path | None = None
    boxes: BoxSource | None = None
    condition_name: re.Pattern[str] | None = None
    condition_file: Path | None = None
    options: Options = field(default_factory=Options)

    @classmethod
    def load(cls, path: Path) -> Description:
        """Read a description.

        Raises:
            DataError: it is not TOML, has an unknown key, or a value of the wrong kind.
        """
        try:
            data = tomllib.loads(read_text(path, _MAX_BYTES))
        except (OSError, ValueError, RecursionError) as error:
            hint = "; write paths with /" if "escape" in str(error) else ""
            raise DataError(f"{path}: cannot be read as TOML ({error}){hint}") from error
        try:
            return _parse(data, path)
        except (TypeError, ValueError, AttributeError, re.error) as error:
            raise DataError(f"{path}: {error}") from error


def is_description(path: Path) -> bool:
    """Whether a TOML file describes a dataset, i.e. has a table of frames."""
    try:
        text = read_text(path, _MAX_BYTES)
    except (OSError, ValueError):
        return False
    return any(line.replace(" ", "").startswith(("[eo]", "[lwir]")) for line in text.splitlines())


def _parse(data: dict[str, Any], path: Path) -> Description:
    _check_keys(data)
    root = path.parent
    tables = {name: data.get(name, {}) for name in _TABLES}
    eo, lwir = _pattern(tables["eo"], "eo"), _pattern(tables["lwir"], "lwir")
    if eo is None and lwir is None:
        raise ValueError("name the frames: [eo] files, [lwir] files, or both")
    pairs = _path(root, tables["pairs"], "pairs")
    if eo is not None and lwir is not None and pairs is None and not set(eo.fields) & set(lwir.fields):
        raise ValueError("the patterns of [eo] and [lwir] share no field; name a table with [pairs] file")
    scene, name = data.get("scene"), tables["conditions"].get("name")
    return Description(
        _text(data.get("name", path.stem), "name"), root, eo, lwir,
        scene=None if scene is None else FilePattern(_text(scene, "scene")),
        pairs=pairs,
        boxes=_boxes(root, tables["boxes"]) if tables["boxes"] else None,
        condition_name=None if name is None else re.compile(_text(name, "[conditions] name")),
        condition_file=_path(root, tables["conditions"], "conditions"),
        options=_options(tables, _class_names(data)),
    )  # fmt: skip


def _check_keys(data: dict[str, Any]) -> None:
    for key, value in data.items():
        if key in _PLAIN:
            continue
        if key not in _TABLES:
            raise ValueError(f"unknown key {key!r}; known are {', '.join((*sorted(_PLAIN), *_TABLES))}")
        if not isinstance(value, dict):
            raise TypeError(f"[{key}] must be a table")
        known = _TABLES[key]
        unknown = [] if known is None else [inner for inner in value if inner not in known]
        if known is not None and unknown:
            raise ValueError(f"unknown key {unknown[0]!r} in [{key}]; known are {', '.join(sorted(known))}")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{where} must be a string")
    return value


def _pattern(table: dict[str, Any], where: str) -> FilePattern | None:
    if "files" not in table:
        return None
    text = posix(_text(table["files"], f"[{where}] files"))
    if text.startswith("/") or ".." in Path(text).parts or not _FIELD.search(text):
        raise ValueError(f"[{where}] files = {text!r}: give a path below the dataset with at least one {{field}}")
    return FilePattern(text)


def _path(root: Path, table: dict[str, Any], where: str) -> Path | None:
    return find_file(root, posix(_text(table["file"], f"[{where}] file"))) if "file" in table else None


def _boxes(root: Path, table: dict[str, Any]) -> BoxSource:
    kinds = {kind.value: kind for kind in BoxFormat}
    if table.get("format") not in kinds:
        raise ValueError(f"[boxes] format must be one of {', '.join(kinds)}")
    kind, files, file = kinds[table["format"]], _pattern(table, "boxes"), _path(root, table, "boxes")
    names = table.get("names", [])
    if (file if kind is BoxFormat.COCO else files) is None:
        raise ValueError(f"[boxes] of the format {kind.value} needs {'file' if kind is BoxFormat.COCO else 'files'}")
    if kind is BoxFormat.YOLO and not names:
        raise ValueError("[boxes] of the format yolo needs names, in the order of their indices")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError("[boxes] names must be a list of strings")
    return BoxSource(kind, files, file, tuple(names), _band(table))


def _options(tables: dict[str, dict[str, Any]], classes: ClassMap) -> Options:
    geometry = tables["geometry"]
    homography = geometry.get("eo_to_lwir")
    if homography is not None:
        homography = tuple(float(value) for value in homography)
        if len(homography) != 9 or not all(map(math.isfinite, homography)) or not homography[8]:
            raise ValueError("[geometry] eo_to_lwir must be 9 numbers, the last of them not 0")
    crop_px = geometry.get("crop_px", 0)
    if not isinstance(crop_px, int) or crop_px < 0:
        raise ValueError("[geometry] crop_px must be a number of pixels from 0")
    unit, units = tables["lwir"].get("unit"), {unit.value: unit for unit in ThermalUnit}
    if unit is not None and unit not in units:
        raise ValueError(f"[lwir] unit must be one of {', '.join(units)}")
    return Options(
        classes.with_names({name: _class(name, target, classes.classes) for name, target in tables["classes"].items()}),
        scaling=FrameScaling(
            crop_px=crop_px,
            kelvin_per_count=_positive(tables["lwir"], "kelvin_per_count", "lwir"),
            unit=None if unit is None else units[unit],
            white_count=_positive(tables["eo"], "white_count", "eo"),
            eo_to_lwir=homography,
            reference=_band(tables["boxes"]),
        ),
    )


def _positive(table: dict[str, Any], key: str, where: str) -> float | None:
    value = table.get(key)
    if value is not None and not (isinstance(value, int | float) and 0 < value < math.inf):
        raise ValueError(f"[{where}] {key} must be a number over 0")
    return value


def _band(boxes: dict[str, Any]) -> Band:
    bands = {band.value: band for band in Band}
    if boxes.get("band", "lwir") not in bands:
        raise ValueError(f"[boxes] band must be one of {', '.join(bands)}")
    return bands[boxes.get("band", "lwir")]


def _class_names(data: dict[str, Any]) -> ClassMap:
    names = data.get("class_names", list(CLASSES))
    if not isinstance(names, list) or not names or not all(isinstance(n, str) and n.strip() for n in names):
        raise TypeError("class_names must be a list of texts")
    if len({name.lower() for name in names}) < len(names):
        raise ValueError("class_names names a class twice")
    return ClassMap.of(names)


def _class(name: str, target: object, classes: tuple[str, ...]) -> MappedClass:
    text = " ".join(_text(target, f"[classes] {name!r}").lower().split())
    place = {label.lower(): index for index, label in enumerate(classes)}
    if text in place:
        return MappedClass(place[text])
    first, _, label = text.partition(" ")
    if first != "ignore" or (label and label not in place):
        known = ", ".join(classes)
        raise ValueError(f"[classes] {name!r} = {target!r}: give one of {known}, 'ignore', or 'ignore' and one of them")
    return MappedClass(place.get(label, 0), ignore=True)
