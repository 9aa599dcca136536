"""Datasets of registered pairs in folders side by side: LLVIP, KAIST, M3FD and DroneVehicle.

Layouts after the datasets' own documentation: Jia et al. 2021 (LLVIP), Hwang et al. 2015 (KAIST), Liu et al. 2022
(M3FD), Sun et al. 2022 (DroneVehicle).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawBox, RawFrame, assemble
from models.readers.frames import image_size
from models.readers.pairing import image_files, pair_by_stem
from models.readers.report import ProblemKind, ReadReport, ReportBuilder
from models.readers.voc import voc_boxes
from models.readers.yolo import yolo_boxes

__all__ = ["find_folder", "read_drone_vehicle", "read_kaist", "read_llvip", "read_m3fd"]

_KAIST_NIGHT = frozenset({"set03", "set04", "set05", "set09", "set10", "set11"})
_DRONE_BORDER_PX = 100
_SPLITS = ("train", "val", "test")


def find_folder(root: Path, *names: str) -> Path | None:
    """Return the first folder under ``root`` with one of the names, whatever their case."""
    present = {p.name.lower(): p for p in sorted(root.iterdir()) if p.is_dir()} if root.is_dir() else {}
    return next((present[name.lower()] for name in names if name.lower() in present), None)


def read_llvip(folder: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read LLVIP: ``visible/{train,test}``, ``infrared/{train,test}``, ``Annotations``; names start with the place.

    Raises:
        DataError: no frame is usable.
    """
    report = ReportBuilder("LLVIP")

    def frames() -> Iterator[RawFrame]:
        for split in _SPLITS:
            eo, lwir = image_files(folder / "visible" / split), image_files(folder / "infrared" / split)
            for stem, (visible, thermal) in pair_by_stem(eo, lwir, report).items():
                boxes = _annotated(folder / "Annotations" / f"{stem}.xml", report)
                # The first two of six digits number the 26 places; the rest counts frames.
                yield RawFrame(stem, f"place-{stem[:2]}", visible, thermal, boxes, (("split", split),))

    return assemble(folder.name, frames(), report, options)


def read_kaist(folder: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read KAIST: ``images/setXX/VYYY/{visible,lwir}/I#####.jpg`` and ``annotations-xml-15/setXX/VYYY``.

    Raises:
        DataError: no frame is usable.
    """
    report = ReportBuilder("KAIST")
    root = find_folder(folder, "images") or folder
    annotations = find_folder(folder, "annotations-xml-15", "annotations-xml-new-sanitized", "annotations-xml-new",
                              "annotations-xml", "annotations")  # fmt: skip

    def frames() -> Iterator[RawFrame]:
        for video in sorted(p for p in root.glob("set*/V*") if p.is_dir()):
            recording, name = video.parent.name, video.name
            when = "night" if recording in _KAIST_NIGHT else "day"
            pairs = pair_by_stem(image_files(video / "visible"), image_files(video / "lwir"), report)
            for stem, (visible, thermal) in pairs.items():
                boxes: tuple[RawBox, ...] = ()
                for part in ("lwir", "", "visible"):
                    found = annotations / recording / name / part / f"{stem}.xml" if annotations is not None else None
                    if found is not None and found.is_file():
                        boxes = voc_boxes(found, report)
                        break
                key = f"{recording}-{name}"
                yield RawFrame(f"{key}-{stem}", key, visible, thermal, boxes, (("thermal", when),))

    return assemble(folder.name, frames(), report, options)


def read_m3fd(
    folder: Path, options: Options | None = None, *, names: tuple[str, ...] | None = None
) -> tuple[CaptureSet, ReadReport]:
    """Read M3FD: ``Ir``, ``Vis`` and ``Annotation`` (VOC), or ``ir``, ``vi`` and ``labels`` (YOLO).

    Args:
        folder: the dataset.
        options: class map and checks.
        names: class names in the order of the YOLO labels' indices; copies of the dataset differ in it, so there is
            no default.

    Raises:
        DataError: no frame is usable, or YOLO labels come without ``names``.
    """
    report = ReportBuilder("M3FD")
    thermal, visible = find_folder(folder, "ir", "infrared"), find_folder(folder, "vis", "vi", "visible")
    annotation, labels = find_folder(folder, "annotation", "annotations"), find_folder(folder, "labels")
    if thermal is None or visible is None:
        raise DataError(f"{folder}: M3FD has the folders 'Ir' and 'Vis' (or 'ir' and 'vi')")
    if annotation is None and labels is not None and names is None:
        raise DataError(f"{folder}: the order of classes in 'labels' differs between copies; name the classes")

    def frames() -> Iterator[RawFrame]:
        for stem, (eo, lwir) in pair_by_stem(image_files(visible), image_files(thermal), report).items():
            boxes: tuple[RawBox, ...] = ()
            if annotation is not None:
                boxes = _annotated(annotation / f"{stem}.xml", report)
            elif labels is not None and names is not None and (found := image_size(lwir, decode=False)) is not None:
                boxes = yolo_boxes(labels / f"{stem}.txt", names, found[0], report)
            yield RawFrame(stem, stem, eo, lwir, boxes)

    return assemble(folder.name, frames(), report, options)


def read_drone_vehicle(folder: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read DroneVehicle: ``{split}/{split}img``, ``img`` + ``r`` for thermal, ``label``, ``labelr``; border cropped.

    Boxes are those of the thermal frame, polygons reduced to their bounding rectangles.

    Raises:
        DataError: no frame is usable.
    """
    report = ReportBuilder("DroneVehicle")
    report.notes.append(f"the white border of {_DRONE_BORDER_PX} px is cut off; polygons became rectangles")
    options = replace(options or Options(), crop_px=_DRONE_BORDER_PX)

    def frames() -> Iterator[RawFrame]:
        for split in _SPLITS:
            root = folder / split if (folder / split).is_dir() else folder
            eo, lwir = image_files(root / f"{split}img"), image_files(root / f"{split}imgr")
            for stem, (visible, thermal) in pair_by_stem(eo, lwir, report).items():
                boxes = _annotated(root / f"{split}labelr" / f"{stem}.xml", report)
                yield RawFrame(f"{split}-{stem}", f"{split}-{stem}", visible, thermal, boxes, (("split", split),))

    return assemble(folder.name, frames(), report, options)


def _annotated(path: Path, report: ReportBuilder) -> tuple[RawBox, ...]:
    """Return the file's boxes; an image without a file has none, which is reported."""
    if not path.is_file():
        report.add(ProblemKind.NO_ANNOTATION, path.stem)
        return ()
    return voc_boxes(path, report)
