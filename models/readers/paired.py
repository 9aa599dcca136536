"""Datasets of registered pairs in parallel folders: LLVIP, M3FD and DroneVehicle.

Layouts from the datasets' documentation: Jia et al. 2021 (LLVIP), Liu et al. 2022 (M3FD), Sun et al. 2022
(DroneVehicle).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawFrame, RawLabels, assemble
from models.readers.files import find_folder, images_in
from models.readers.pairing import pair_by_stem
from models.readers.report import ProblemKind, ReadReport, ReportBuilder
from models.readers.voc import report_orphans, voc_files, voc_labels
from models.readers.yolo import yolo_labels
from models.readers.yolo_names import YoloNames, find_names

__all__ = ["SPLITS", "drone_vehicle_root", "read_drone_vehicle", "read_llvip", "read_m3fd"]

_DRONE_BORDER_PX = 100
SPLITS = ("train", "val", "test")
"""Names of splits that datasets have folders for."""


@dataclass(frozen=True)
class _Annotations:
    """A folder of annotation files named by the frame's stem.

    Attributes:
        folder: the folder; None leaves all frames unlabelled.
        names: class names by index for YOLO; None for VOC.
    """

    folder: Path | None
    names: YoloNames | None = None

    def labels(self, stem: str, report: ReportBuilder) -> RawLabels | None:
        """Return a frame's annotations; None, with a finding, if the file is missing or cannot be parsed."""
        path = None if self.folder is None else self.folder / f"{stem}{'.xml' if self.names is None else '.txt'}"
        if path is None or not path.is_file():
            report.add(ProblemKind.NO_ANNOTATION, stem)
            return None
        return voc_labels(path, report) if self.names is None else yolo_labels(path, self.names, report)

    def report_orphans(self, stems: Iterable[str], report: ReportBuilder) -> None:
        """Report the VOC files without a frame."""
        if self.folder is not None and self.names is None:
            known = set(stems)
            report_orphans(tuple(path for path in voc_files(self.folder) if path.stem not in known), report)


def read_llvip(folder: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read LLVIP: ``visible/{train,test}``, ``infrared/{train,test}``, ``Annotations``; names start with the place.

    Raises:
        DataError: no frame is usable.
    """
    report = ReportBuilder("LLVIP")
    visible, infrared = find_folder(folder, "visible"), find_folder(folder, "infrared")
    if visible is None or infrared is None:
        raise DataError(f"{folder}: LLVIP has the folders 'visible' and 'infrared'")
    annotations = _Annotations(find_folder(folder, "annotations", "annotation", "xml"))
    folders = {p.name for band in (visible, infrared) for p in band.iterdir() if p.is_dir()}
    splits = [name for name in SPLITS if name in folders] + sorted(folders - set(SPLITS)) or [""]

    def frames() -> Iterator[RawFrame]:
        stems: set[str] = set()
        for split in splits:
            eo, lwir = images_in(visible / split, report), images_in(infrared / split, report)
            stems |= eo.keys() | lwir.keys()
            for stem, (eo_file, lwir_file) in pair_by_stem(eo, lwir, report).items():
                labels = annotations.labels(stem, report)
                conditions = (("split", split),) if split else ()
                # The first two of six digits number the 26 places, the others the frames.
                yield RawFrame(stem, f"place-{stem[:2]}", eo_file, lwir_file, labels, conditions)
        annotations.report_orphans(stems, report)

    return assemble(folder.name, frames(), report, options)


def read_m3fd(
    folder: Path, options: Options | None = None, *, names: tuple[str, ...] | None = None
) -> tuple[CaptureSet, ReadReport]:
    """Read M3FD: ``Ir``, ``Vis`` and ``Annotation`` (VOC), or ``ir``, ``vi`` and ``labels`` (YOLO).

    Args:
        folder: the dataset.
        options: class map and checks.
        names: class names in the order of the YOLO labels' indices; it differs between copies of the dataset, so
            there is no default. None looks for a ``data.yaml`` or ``classes.txt``.

    Raises:
        DataError: no frame is usable, or nothing names the classes of YOLO labels.
    """
    report = ReportBuilder("M3FD")
    thermal, visible = find_folder(folder, "ir", "infrared"), find_folder(folder, "vis", "vi", "visible")
    if thermal is None or visible is None:
        raise DataError(f"{folder}: M3FD has the folders 'Ir' and 'Vis' (or 'ir' and 'vi')")
    annotations = _m3fd_annotations(folder, names)

    def frames() -> Iterator[RawFrame]:
        eo, lwir = images_in(visible, report), images_in(thermal, report)
        for stem, (eo_file, lwir_file) in pair_by_stem(eo, lwir, report).items():
            yield RawFrame(stem, stem, eo_file, lwir_file, annotations.labels(stem, report))
        annotations.report_orphans(eo.keys() | lwir.keys(), report)

    return assemble(folder.name, frames(), report, options)


def _m3fd_annotations(folder: Path, names: tuple[str, ...] | None) -> _Annotations:
    place, labels = find_folder(folder, "annotation", "annotations"), find_folder(folder, "labels")
    if place is not None or labels is None:
        return _Annotations(place)
    if next(labels.glob("*.xml"), None) is not None:
        return _Annotations(labels)
    if names is not None:
        return _Annotations(labels, YoloNames(dict(enumerate(names))))
    try:
        return _Annotations(labels, find_names(folder))
    except DataError as error:
        raise DataError(
            f"{folder}: the order of classes in 'labels' differs between copies; name the classes in a classes.txt, "
            "one per line"
        ) from error


def drone_vehicle_root(folder: Path, split: str) -> Path | None:
    """Return the folder that a split's images lie in: the dataset, ``train``, or ``train/train`` as unpacked twice."""
    places = (folder, folder / split, folder / split / split)
    return next((place for place in places if (place / f"{split}imgr").is_dir()), None)


def read_drone_vehicle(folder: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read DroneVehicle: ``{split}/{split}img``, ``img`` + ``r`` for thermal, ``label``, ``labelr``; border cropped.

    Boxes are those of the thermal frame; polygons are reduced to their bounding rectangles.

    Raises:
        DataError: no frame is usable.
    """
    report = ReportBuilder("DroneVehicle")
    report.note(f"the white border of {_DRONE_BORDER_PX} px is cropped; polygons became rectangles")
    options = options or Options()
    options = replace(options, scaling=replace(options.scaling, crop_px=_DRONE_BORDER_PX))

    def frames() -> Iterator[RawFrame]:
        for split in SPLITS:
            root = drone_vehicle_root(folder, split)
            if root is None:
                continue
            eo, lwir = images_in(root / f"{split}img", report), images_in(root / f"{split}imgr", report)
            annotations = _Annotations(find_folder(root, f"{split}labelr"))
            for stem, (visible, thermal) in pair_by_stem(eo, lwir, report).items():
                labels = annotations.labels(stem, report)
                yield RawFrame(f"{split}-{stem}", f"{split}-{stem}", visible, thermal, labels, (("split", split),))
            annotations.report_orphans(eo.keys() | lwir.keys(), report)

    return assemble(folder.name, frames(), report, options)
