"""Captures: registered pairs of EO and LWIR frames with truth and conditions, and stored sets of them.

A stored set is a folder with ``captures.json`` (descriptions of the frames), ``eo.npy`` uint8 [N, H, W, 3] and
``lwir.npy`` uint16 [N, H, W] (the frames, memory-mapped when read; a missing band has no file). A dataset read
in place is a set with another frame source. A stored set may be sealed: opening it is then checked and logged
(`models.seal`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import InputError
from firmware_bridge.input_files import read_json
from models import seal
from models.errors import DataError

__all__ = [
    "AXES", "CLASSES", "Capture", "CaptureSet", "Conditions", "FrameSource", "ObjectClass", "TruthObject",
    "stored_length",
]  # fmt: skip

SCHEMA = 1
AXES = ("background", "atmosphere", "thermal")
"""The condition axes of generated captures; real datasets may have others (altitude, angle)."""


class ObjectClass(IntEnum):
    """The six classes of the project's own networks and scenes; the value is the index in a network's class output."""

    PERSON = 0
    BICYCLE = 1
    MOTORCYCLE = 2
    CAR = 3
    TRUCK = 4
    BUS = 5


CLASSES = tuple(label.name.lower() for label in ObjectClass)
"""The classes of a set that names none of its own, by index."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a frame: pairs of axis and category, e.g. ``("thermal", "crossover")``."""

    items: tuple[tuple[str, str], ...] = ()

    def get(self, axis: str) -> str | None:
        """Return the category on ``axis``, or None."""
        return dict(self.items).get(axis)


@dataclass(frozen=True, slots=True)
class TruthObject:
    """One true object.

    Attributes:
        object_class: its class: the index in the class names of its set (`CaptureSet.classes`).
        box: x0, y0, x1, y1 in pixels of the frame.
        range_m: distance in metres, None if unknown.
        velocity_mps: radial velocity, positive away from the sensor, None if unknown.
        occlusion: hidden fraction, 0 to 1.
        aspect_deg: heading relative to the line of sight, 0 is seen from the rear, None if unknown.
        contrast: camouflage contrast ratio, 1 is none, None if unknown.
        ignore: counts neither as found nor as missed (too small, or not of a known class).
        pixels_on_target: visible area in pixels; None if unknown.
    """

    object_class: int
    box: tuple[float, float, float, float]
    range_m: float | None = None
    velocity_mps: float | None = None
    occlusion: float = 0.0
    aspect_deg: float | None = None
    contrast: float | None = None
    ignore: bool = False
    pixels_on_target: float | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """One frame pair's description.

    Attributes:
        id: unique within the set.
        scene: its scene or sequence; no scene is in two pools.
        width: pixels.
        height: pixels.
        conditions: the frame's conditions.
        objects: the true objects.
        labelled: whether it is annotated; an annotated frame without objects is empty, others are unknown.
    """

    id: str
    scene: str
    width: int
    height: int
    conditions: Conditions
    objects: tuple[TruthObject, ...]
    labelled: bool = True


class FrameSource(Protocol):
    """Source of a set's pixels. A missing band is None."""

    def eo(self, index: int) -> NDArray[np.uint8] | None:
        """Return the visible frame, uint8 [H, W, 3]."""
        ...

    def lwir(self, index: int) -> NDArray[np.uint16] | None:
        """Return the thermal frame, uint16 [H, W] counts."""
        ...


@dataclass(frozen=True)
class CaptureSet:
    """A named set of captures and the source of their frames.

    Attributes:
        name: for people.
        captures: what is in the frames.
        frames: where the pixels come from.
        classes: the class names; an object's class is an index of them.
    """

    name: str
    captures: tuple[Capture, ...]
    frames: FrameSource
    classes: tuple[str, ...] = CLASSES

    def __len__(self) -> int:
        """Return the number of captures."""
        return len(self.captures)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over descriptions and pixels: equal digests mean equal data."""
        digest = hashlib.sha256(json.dumps(self._descriptions(), sort_keys=True).encode())
        if self.classes != CLASSES:
            digest.update(json.dumps(self.classes).encode())
        for index in range(len(self.captures)):
            for frame in (self.frames.eo(index), self.frames.lwir(index)):
                digest.update(b"-" if frame is None else np.ascontiguousarray(frame).tobytes())
        return digest.hexdigest()

    @cached_property
    def labelled(self) -> CaptureSet:
        """The labelled captures, for training and evaluation; this set if all are labelled.

        Raises:
            DataError: there is none.
        """
        indices = [index for index, capture in enumerate(self.captures) if capture.labelled]
        if not indices:
            raise DataError(f"{self.name}: none of its {len(self)} frames is labelled")
        return self if len(indices) == len(self) else self.subset(indices)

    def with_classes(self, classes: Sequence[str]) -> CaptureSet:
        """Return the set with these class names, each object's class found by name; this set if they are its own.

        An object of a class that is not among them is one to ignore.
        """
        if tuple(classes) == self.classes:
            return self
        place = {name: index for index, name in enumerate(classes)}
        index = [place.get(name) for name in self.classes]

        def renamed(item: TruthObject) -> TruthObject:
            found = index[item.object_class]
            return replace(item, object_class=found or 0, ignore=item.ignore or found is None)

        captures = (replace(c, objects=tuple(map(renamed, c.objects))) for c in self.captures)
        return replace(self, captures=tuple(captures), classes=tuple(classes))

    def _descriptions(self) -> list[dict[str, Any]]:
        return [_to_json(capture, self.classes) for capture in self.captures]

    def subset(self, indices: Sequence[int], name: str | None = None) -> CaptureSet:
        """Return the captures at ``indices``, in that order, without copying frames."""
        return CaptureSet(
            name or self.name,
            tuple(self.captures[i] for i in indices),
            _Subset(self.frames, tuple(int(i) for i in indices)),
            self.classes,
        )

    def save(self, folder: Path) -> None:
        """Write the set; ``load(folder)`` gives an equal one. All frames must have one size and the same bands.

        Raises:
            DataError: the set is empty, its frames differ in size, or some lack a band that others have.
            OSError: the folder cannot be written.
        """
        if len({(c.width, c.height) for c in self.captures}) != 1:
            raise DataError(f"capture set {self.name!r} cannot be stored: it needs frames, all of one size")
        folder.mkdir(parents=True, exist_ok=True)
        # The index is written last: a folder without it is not a set, so an incomplete one is never used.
        (folder / "captures.json").unlink(missing_ok=True)
        _write_band(folder / "eo.npy", self.name, len(self), self.frames.eo)
        _write_band(folder / "lwir.npy", self.name, len(self), self.frames.lwir)
        index = {
            "schema": SCHEMA,
            "name": self.name,
            "digest": self.digest,
            **({} if self.classes == CLASSES else {"classes": list(self.classes)}),
            "captures": self._descriptions(),
        }
        (folder / "captures.json").write_text(json.dumps(index, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, purpose: str = "") -> CaptureSet:
        """Read a stored set; frames are memory-mapped.

        Args:
            folder: of the stored set.
            purpose: what it is opened for; goes into the log of a sealed set.

        Raises:
            DataError: the folder is not a stored set, its parts disagree, or it has changed since it was sealed.
        """
        try:
            index: Any = read_json(folder / "captures.json", "the index of a stored set")
            source = _Stored(_read_band(folder / "eo.npy"), _read_band(folder / "lwir.npy"))
            if index["schema"] != SCHEMA:
                raise DataError(f"{folder}: schema {index['schema']} is not {SCHEMA}; generate the set again")
            classes = tuple(str(label) for label in index.get("classes", CLASSES))
            captures = tuple(_from_json(item, classes) for item in index["captures"])
            name = str(index["name"])
        except (InputError, OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{folder} is not a stored capture set: {error}") from error
        if source.lengths != {len(captures)}:
            raise DataError(f"{folder}: captures.json, eo.npy and lwir.npy differ in length, or are missing")
        loaded = cls(name, captures, source, classes)
        if seal.is_sealed(folder):
            seal.record_access(folder, loaded.digest, purpose)
        return loaded

    @classmethod
    def from_arrays(
        cls, name: str, captures: Iterable[Capture], eo: NDArray[np.uint8], lwir: NDArray[np.uint16]
    ) -> CaptureSet:
        """Return a set over frames in memory: ``eo`` uint8 [N, H, W, 3], ``lwir`` uint16 [N, H, W]."""
        return cls(name, tuple(captures), _Stored(eo, lwir))


def stored_length(folder: Path) -> int:
    """Return the number of captures of a stored set, without opening its frames or its seal.

    Raises:
        DataError: the folder is not a stored set.
    """
    try:
        index: Any = read_json(folder / "captures.json", "the index of a stored set")
        return len(index["captures"])
    except (InputError, OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} is not a stored capture set: {error}") from error


@dataclass(frozen=True)
class _Stored:
    eo_frames: NDArray[np.uint8] | None
    lwir_frames: NDArray[np.uint16] | None

    @property
    def lengths(self) -> set[int]:
        return {len(frames) for frames in (self.eo_frames, self.lwir_frames) if frames is not None}

    def eo(self, index: int) -> NDArray[np.uint8] | None:
        return None if self.eo_frames is None else np.asarray(self.eo_frames[index])

    def lwir(self, index: int) -> NDArray[np.uint16] | None:
        return None if self.lwir_frames is None else np.asarray(self.lwir_frames[index])


def _read_band(path: Path) -> NDArray[Any] | None:
    return np.load(path, mmap_mode="r") if path.is_file() else None


def _write_band(path: Path, name: str, count: int, frame: Callable[[int], NDArray[Any] | None]) -> None:
    """Write one band frame by frame, since a set may exceed memory; remove the file if there is no band."""
    path.unlink(missing_ok=True)
    first = frame(0)
    create = np.lib.format.open_memmap
    file = None if first is None else create(path, "w+", first.dtype, (count, *first.shape))  # type: ignore[no-untyped-call]
    for index in range(count):
        found = frame(index)
        if (found is None) != (file is None):
            raise DataError(
                f"capture set {name!r} cannot be stored: some of its frames have no data of a band that others have"
            )
        if file is not None:
            file[index] = found


@dataclass(frozen=True)
class _Subset:
    source: FrameSource
    indices: tuple[int, ...]

    def eo(self, index: int) -> NDArray[np.uint8] | None:
        return self.source.eo(self.indices[index])

    def lwir(self, index: int) -> NDArray[np.uint16] | None:
        return self.source.lwir(self.indices[index])


def _to_json(capture: Capture, classes: Sequence[str]) -> dict[str, Any]:
    record = asdict(capture)
    if capture.labelled:
        del record["labelled"]  # the default; sets stored by earlier versions have no such key
    record["conditions"] = dict(capture.conditions.items)
    for item, source in zip(record["objects"], capture.objects, strict=True):
        item["object_class"] = classes[source.object_class]
    return record


def _from_json(item: dict[str, Any], classes: tuple[str, ...]) -> Capture:
    labels: Sequence[int] = tuple(ObjectClass) if classes == CLASSES else range(len(classes))
    objects = tuple(
        TruthObject(**{**o, "object_class": labels[classes.index(o["object_class"])], "box": tuple(o["box"])})
        for o in item["objects"]
    )
    return Capture(
        id=item["id"],
        scene=item["scene"],
        width=item["width"],
        height=item["height"],
        conditions=Conditions(tuple((str(k), str(v)) for k, v in item["conditions"].items())),
        objects=objects,
        labelled=bool(item.get("labelled", True)),
    )
