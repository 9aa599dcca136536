"""FLIR ADAS v2: folders of one band each, with COCO files; only the video test sets are pairs.

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
from models.readers.pairing import image_files, pair_by_map
from models.readers.report import ReadReport, ReportBuilder

__all__ = ["PAIR_MAP", "read_flir"]

PAIR_MAP = "rgb_to_thermal_vid_map.json"


def read_flir(folder: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read the pairs of the video test sets, with the thermal frames' boxes.

    Raises:
        DataError: the map or the thermal annotations are missing, or no frame is usable.
    """
    report = ReportBuilder("FLIR ADAS v2")
    thermal, visible = folder / "video_thermal_test", folder / "video_rgb_test"
    table = load_json(_find_map(folder))
    pairs = {str(eo): str(lwir) for eo, lwir in table.items() if isinstance(lwir, str)}
    entries, boxes = parse_coco(load_json(thermal / "coco.json"), thermal / "coco.json", report)
    by_name = {Path(entry.file).name: entry for entry in entries}
    eo = {path.name: path for path in image_files(visible / "data").values()}
    lwir = {path.name: path for path in image_files(thermal / "data").values()}
    apart = [p.name for p in sorted(folder.glob("images_*_*")) if p.is_dir()]
    if apart:
        report.notes.append(f"not read, their frames are no pairs: {', '.join(apart)}; read each as COCO")

    def frames() -> Iterator[RawFrame]:
        for name, (visible_file, thermal_file) in pair_by_map(pairs, eo, lwir, report).items():
            entry = by_name.get(name)
            # video-<video id>-frame-<number>-<frame id>.jpg
            scene = name.split("-frame-")[0]
            if entry is None:
                yield RawFrame(Path(name).stem, scene, visible_file, thermal_file)
                continue
            found = tuple(boxes.get(entry.key, ()))
            yield RawFrame(Path(name).stem, scene, visible_file, thermal_file, found, entry.conditions, entry.size)

    return assemble(folder.name, frames(), report, options)


def _find_map(folder: Path) -> Path:
    for place in (folder, folder / "video_rgb_test", folder / "video_thermal_test"):
        if (place / PAIR_MAP).is_file():
            return place / PAIR_MAP
    raise DataError(f"{folder}: {PAIR_MAP} is missing; without it no visible frame has a thermal partner")
