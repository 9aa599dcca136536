"""Reading any dataset by its description: file patterns, pairs by fields or table, boxes and conditions from files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawFrame, RawLabels, assemble
from models.readers.bands import Band
from models.readers.coco import load_json, parse_coco
from models.readers.conditions import ConditionTable, conditions_of_name
from models.readers.description import BoxFormat, BoxSource, Description, FilePattern
from models.readers.files import find_file, relative
from models.readers.names import assign, facts_of_name, frame_ids
from models.readers.pairing import pair_by_map, read_pairs
from models.readers.report import ProblemKind, ReadReport, ReportBuilder
from models.readers.voc import voc_labels
from models.readers.yolo import yolo_labels
from models.readers.yolo_names import YoloNames

__all__ = ["read_described"]

_Files = list[tuple[dict[str, str], Path]]
_Labels = Callable[["_Found"], RawLabels | None]


@dataclass(frozen=True)
class _Found:
    """The files of a frame and the values of its fields."""

    fields: Mapping[str, str]
    eo: Path | None
    lwir: Path | None
    key: str = ""

    def file(self, band: Band) -> Path:
        first, second = (self.eo, self.lwir) if band is Band.EO else (self.lwir, self.eo)
        chosen = first or second
        assert chosen is not None
        return chosen


def read_described(path: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read the dataset that the TOML at ``path`` describes; see `models.readers.description`.

    Args:
        path: the description.
        options: checks and progress; its class map, if set, replaces the description's.

    Raises:
        DataError: the description or a table is wrong, or no frame is usable.
    """
    described = Description.load(path)
    if options is not None:
        classes = described.options.classes if options.classes == Options().classes else options.classes
        described = replace(described, options=replace(options, classes=classes, scaling=described.options.scaling))
    report = ReportBuilder(f"described by {path.name}")
    found = _frames(described, report)
    return assemble(described.name, _raw(described, found, report), report, described.options)


def _raw(described: Description, found: list[_Found], report: ReportBuilder) -> Iterator[RawFrame]:
    reference = described.options.scaling.reference
    paths = [relative(frame.file(reference), described.root) for frame in found]
    table = None if described.condition_file is None else ConditionTable.load(described.condition_file, paths)
    labels = _labels(described, found, report)
    for frame, path in zip(found, paths, strict=True):
        conditions = _conditions(path, described, table, report)
        scene = _scene(frame, described.scene, facts_of_name(Path(path).stem)[0])
        yield RawFrame(frame.key, scene, frame.eo, frame.lwir, labels(frame), conditions)


def _frames(described: Description, report: ReportBuilder) -> list[_Found]:
    root = described.root
    eo = _files(described.eo, root)
    lwir = _files(described.lwir, root)
    if described.eo is None or described.lwir is None:
        found = [
            _Found(fields, path if described.lwir is None else None, path if described.eo is None else None)
            for fields, path in (eo or lwir)
        ]
        keys = [Path(relative(path, root)).with_suffix("").as_posix() for _, path in (eo or lwir)]
        keys = keys if len(set(keys)) == len(keys) else [relative(path, root) for _, path in (eo or lwir)]
    elif described.pairs is not None:
        found = _by_table(described.pairs, eo, lwir, root, report)
        keys = frame_ids([relative(frame.file(Band.LWIR), root) for frame in found])
    else:
        return _by_fields(described.eo, described.lwir, eo, lwir, report)
    return [replace(frame, key=key) for frame, key in zip(found, keys, strict=True)]


def _files(pattern: FilePattern | None, root: Path) -> _Files:
    """Return the files that match a pattern.

    Raises:
        DataError: there are none.
    """
    if pattern is None:
        return []
    found = pattern.find(root)
    if not found:
        there = [relative(path, root) for path in sorted(root.glob("*/*"))[:200] if path.is_file()][:4]
        hint = f"; there are {', '.join(there)}" if there else ""
        raise DataError(f"{root}: no file fits {pattern.text!r}{hint}")
    return found


def _by_fields(
    eo_pattern: FilePattern, lwir_pattern: FilePattern, eo: _Files, lwir: _Files, report: ReportBuilder
) -> list[_Found]:
    common = [name for name in eo_pattern.fields if name in lwir_pattern.fields]

    def by_key(files: _Files) -> dict[str, tuple[dict[str, str], Path]]:
        keys = ["/".join(fields[name] for name in common) for fields, _ in files]
        counts = Counter(keys)
        for key, (_, path) in zip(keys, files, strict=True):
            if counts[key] > 1:
                report.add(ProblemKind.AMBIGUOUS, f"{path.parent.name}/{path.name} ({', '.join(common)} = {key})")
        return {key: file for key, file in zip(keys, files, strict=True) if counts[key] == 1}

    visible, thermal = by_key(eo), by_key(lwir)
    for key in sorted(visible.keys() ^ thermal.keys()):
        report.add(ProblemKind.UNPAIRED, (visible.get(key) or thermal[key])[1].name)
    return [
        _Found({**visible[key][0], **thermal[key][0]}, visible[key][1], thermal[key][1], key)
        for key in sorted(visible.keys() & thermal.keys())
    ]


def _by_table(table: Path, eo: _Files, lwir: _Files, root: Path, report: ReportBuilder) -> list[_Found]:
    fields = {path: values for values, path in (*eo, *lwir)}
    pairs = pair_by_map(read_pairs(table), [path for _, path in eo], [path for _, path in lwir], root, report)
    return [_Found({**fields[visible], **fields[thermal]}, visible, thermal) for visible, thermal in pairs]


def _scene(frame: _Found, template: FilePattern | None, of_name: str | None) -> str:
    try:
        return of_name or frame.key if template is None else template.fill(dict(frame.fields))
    except KeyError as error:
        raise DataError(f"scene = {template.text if template else ''!r}: no pattern has the field {error}") from error


def _labels(described: Description, found: list[_Found], report: ReportBuilder) -> _Labels:
    """Return the source of the frames' labels."""
    source = described.boxes
    if source is None:
        report.note("the description has no [boxes]: the frames are not labelled")
        return lambda _: None
    if source.file is not None:
        return _coco_labels(source.file, source.band, described.root, found, report)
    return _file_labels(source, described.root, found, report)


def _coco_labels(path: Path, band: Band, root: Path, found: list[_Found], report: ReportBuilder) -> _Labels:
    images = {image.file: image for image in parse_coco(load_json(path), path, report)}
    assigned = assign(images, [relative(frame.file(band), root) for frame in found])
    for file in assigned.ambiguous:
        report.add(ProblemKind.AMBIGUOUS, file)
    for name in assigned.unused:
        listed = images[name].labels
        for _ in listed.boxes if listed is not None else ():
            report.add(ProblemKind.ORPHAN_BOX, name)

    def labels(frame: _Found) -> RawLabels | None:
        file = relative(frame.file(band), root)
        name = assigned.by_file.get(file)
        if name is None and file not in assigned.ambiguous:
            report.add(ProblemKind.NO_ANNOTATION, file)
        return None if name is None else images[name].labels

    return labels


def _file_labels(source: BoxSource, root: Path, found: list[_Found], report: ReportBuilder) -> _Labels:
    assert source.files is not None
    files = {frame.key: _label_file(source.files, frame, root) for frame in found}
    used = set(files.values())
    for _, path in source.files.find(root):
        if path not in used:
            report.add(ProblemKind.ORPHAN_ANNOTATION, relative(path, root))
    names = YoloNames(dict(enumerate(source.names)))

    def labels(frame: _Found) -> RawLabels | None:
        file = files[frame.key]
        if not file.is_file():
            report.add(ProblemKind.NO_ANNOTATION, file.name)
            return None
        return voc_labels(file, report) if source.format is BoxFormat.VOC else yolo_labels(file, names, report)

    return labels


def _label_file(pattern: FilePattern, frame: _Found, root: Path) -> Path:
    try:
        return find_file(root, pattern.fill(dict(frame.fields)))
    except KeyError as error:
        raise DataError(f"[boxes] files = {pattern.text!r}: no pattern has the field {error}") from error


def _conditions(
    path: str, described: Description, table: ConditionTable | None, report: ReportBuilder
) -> tuple[tuple[str, str], ...]:
    if described.condition_name is None and table is None:
        return facts_of_name(Path(path).stem)[1]
    found: dict[str, str] = {}
    if described.condition_name is not None:
        found |= dict(conditions_of_name(described.condition_name, path))
    if table is not None:
        found |= dict(table.get(path))
    if not found:
        report.add(ProblemKind.NO_CONDITION, Path(path).name)
    return tuple(found.items())
