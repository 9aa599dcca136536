"""FLIR ADAS v2: single-band folders with COCO files; only the video test sets are paired.

Layout after Teledyne FLIR's description of the dataset: ``images_{rgb,thermal}_{train,val}`` and
``video_{rgb,thermal}_test``, each with ``data/`` and ``coco.json``; ``rgb_to_thermal_vid_map.json`` pairs the videos.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawFrame, assemble
from models.readers.coco import load_json, parse_coco
from models.readers.files import images_in, relative
from models.readers.names import assign
from models.readers.pairing import pair_by_map, read_pairs
from models.readers.report import ProblemKind, ReadReport, ReportBuilder

__all__ = ["PAIR_MAP", "read_flir"]

PAIR_MAP = "rgb_to_thermal_vid_map.json"


def read_flir(folder: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read the pairs of the video test sets with the boxes of the thermal frames.

    Raises:
        DataError: the map or the thermal annotations are missing, or no frame is usable.
    """
    report = ReportBuilder("FLIR ADAS v2")
    thermal, visible = folder / "video_thermal_test", folder / "video_rgb_test"
    eo, lwir = images_in(visible / "data", report), images_in(thermal / "data", report)
    pairs = pair_by_map(read_pairs(_find_map(folder)), [*eo.values()], [*lwir.values()], folder, report)
    images = {
        image.file: image for image in parse_coco(load_json(thermal / "coco.json"), thermal / "coco.json", report)
    }
    listed = assign(images, [relative(file, folder) for file in lwir.values()]).by_file
    apart = [p.name for p in sorted(folder.glob("images_*_*")) if p.is_dir()]
    if apart:
        report.note(f"not read, their frames are not paired: {', '.join(apart)}; read each as COCO")

    def frames() -> Iterator[RawFrame]:
        for visible_file, thermal_file in pairs:
            name = listed.get(relative(thermal_file, folder))
            # video-<video id>-frame-<number>-<frame id>.jpg
            scene = thermal_file.name.split("-frame-")[0]
            image = None if name is None else images[name]
            if image is None:
                report.add(ProblemKind.NO_ANNOTATION, thermal_file.name)
            labels, conditions = (None, ()) if image is None else (image.labels, image.conditions)
            yield RawFrame(thermal_file.stem, scene, visible_file, thermal_file, labels, conditions)

    return assemble(folder.name, frames(), report, options)


def _find_map(folder: Path) -> Path:
    for place in (folder, folder / "video_rgb_test", folder / "video_thermal_test"):
        if (place / PAIR_MAP).is_file():
            return place / PAIR_MAP
    raise DataError(f"{folder}: {PAIR_MAP} is missing; visible frames cannot be paired without it")
