"""Any dataset by its description: files by pattern, pairs by fields or table, boxes and conditions from files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawBox, RawFrame, assemble
from models.readers.coco import load_json, parse_coco
from models.readers.conditions import ConditionTable, conditions_of_name
from models.readers.description import BoxFormat, BoxSource, Description, FilePattern
from models.readers.frames import Band, image_size
from models.readers.pairing import pair_by_map, read_pairs
from models.readers.report import ProblemKind, ReadReport, ReportBuilder
from models.readers.voc import voc_boxes
from models.readers.yolo import yolo_boxes

__all__ = ["read_described"]


@dataclass(frozen=True)
class _Found:
    """A frame's files and the values of its fields."""

    key: str
    fields: Mapping[str, str]
    eo: Path | None
    lwir: Path | None

    def file(self, band: Band) -> Path:
        first, second = (self.eo, self.lwir) if band is Band.EO else (self.lwir, self.eo)
        chosen = first or second
        assert chosen is not None
        return chosen


@dataclass
class _CocoBoxes:
    """Boxes of a COCO file by the names that its images may be called by."""

    by_name: dict[str, tuple[RawBox, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, report: ReportBuilder) -> _CocoBoxes:
        entries, boxes = parse_coco(load_json(path), path, report)
        names: dict[str, tuple[RawBox, ...]] = {}
        for entry in entries:
            found = tuple(boxes.get(entry.key, ()))
            names[entry.file] = found
            names.setdefault(Path(entry.file).name, found)
        return cls(names)

    def get(self, path: Path, root: Path) -> tuple[RawBox, ...] | None:
        relative = path.relative_to(root).as_posix()
        return self.by_name.get(relative, self.by_name.get(path.name))


def read_described(path: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read the dataset that the TOML at ``path`` describes; see `models.readers.description`.

    Args:
        path: the description.
        options: in place of the description's own class map, crop and checks.

    Raises:
        DataError: the description or a table is wrong, or no frame is usable.
    """
    described = Description.load(path)
    report = ReportBuilder(f"described by {path.name}")
    found = _frames(described, report)
    return assemble(described.name, _raw(described, found, report), report, options or described.options)


def _raw(described: Description, found: list[_Found], report: ReportBuilder) -> Iterator[RawFrame]:
    table = None if described.condition_file is None else ConditionTable.load(described.condition_file)
    source = described.boxes
    coco = None if source is None or source.file is None else _CocoBoxes.load(source.file, report)
    for frame in found:
        boxes = () if source is None else _boxes(frame, described.root, source, coco, report)
        conditions = _conditions(frame, described, table, report)
        yield RawFrame(frame.key, _scene(frame, described.scene), frame.eo, frame.lwir, boxes, conditions)


def _frames(described: Description, report: ReportBuilder) -> list[_Found]:
    eo = [] if described.eo is None else described.eo.find(described.root)
    lwir = [] if described.lwir is None else described.lwir.find(described.root)
    for pattern, files in ((described.eo, eo), (described.lwir, lwir)):
        if pattern is not None and not files:
            raise DataError(f"{described.root}: no file fits {pattern.text!r}")
    if described.eo is None or described.lwir is None:
        return [
            _Found(path.relative_to(described.root).with_suffix("").as_posix(), fields,
                   path if described.lwir is None else None, path if described.eo is None else None)
            for fields, path in (eo or lwir)
        ]  # fmt: skip
    if described.pairs is not None:
        return _by_table(described.pairs, eo, lwir, report)
    return _by_fields(described.eo, described.lwir, eo, lwir, report)


def _by_fields(
    eo_pattern: FilePattern,
    lwir_pattern: FilePattern,
    eo: list[tuple[dict[str, str], Path]],
    lwir: list[tuple[dict[str, str], Path]],
    report: ReportBuilder,
) -> list[_Found]:
    common = [name for name in eo_pattern.fields if name in lwir_pattern.fields]

    def by_key(files: list[tuple[dict[str, str], Path]]) -> dict[str, tuple[dict[str, str], Path]]:
        keyed: dict[str, tuple[dict[str, str], Path]] = {}
        for fields, path in files:
            key = "/".join(fields[name] for name in common)
            if key in keyed:
                report.add(ProblemKind.DUPLICATE_ID, path.name)
            keyed.setdefault(key, (fields, path))
        return keyed

    visible, thermal = by_key(eo), by_key(lwir)
    for key in sorted(visible.keys() ^ thermal.keys()):
        report.add(ProblemKind.UNPAIRED, (visible.get(key) or thermal[key])[1].name)
    return [
        _Found(key, {**visible[key][0], **thermal[key][0]}, visible[key][1], thermal[key][1])
        for key in sorted(visible.keys() & thermal.keys())
    ]


def _by_table(
    table: Path,
    eo: list[tuple[dict[str, str], Path]],
    lwir: list[tuple[dict[str, str], Path]],
    report: ReportBuilder,
) -> list[_Found]:
    if table.suffix.lower() == ".json":
        pairs = {str(name): str(partner) for name, partner in load_json(table).items()}
    else:
        pairs = read_pairs(table)
    fields = {path: values for values, path in (*eo, *lwir)}
    found = pair_by_map(pairs, _by_name(eo, report), _by_name(lwir, report), report)
    return [
        _Found(Path(name).stem, {**fields[visible], **fields[thermal]}, visible, thermal)
        for name, (visible, thermal) in found.items()
    ]


def _by_name(files: list[tuple[dict[str, str], Path]], report: ReportBuilder) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for _, path in files:
        if path.name in named:
            report.add(ProblemKind.DUPLICATE_ID, path.name)
        named.setdefault(path.name, path)
    return named


def _scene(frame: _Found, template: FilePattern | None) -> str:
    try:
        return frame.key if template is None else template.fill(dict(frame.fields))
    except KeyError as error:
        raise DataError(f"scene = {template.text if template else ''!r}: no pattern has the field {error}") from error


def _boxes(
    frame: _Found, root: Path, source: BoxSource, coco: _CocoBoxes | None, report: ReportBuilder
) -> tuple[RawBox, ...]:
    image = frame.file(source.band)
    if coco is not None:
        listed = coco.get(image, root)
        if listed is None:
            report.add(ProblemKind.NO_ANNOTATION, image.name)
        return listed or ()
    assert source.files is not None
    try:
        file = root / source.files.fill(dict(frame.fields))
    except KeyError as error:
        raise DataError(f"[boxes] files = {source.files.text!r}: no pattern has the field {error}") from error
    if not file.is_file():
        report.add(ProblemKind.NO_ANNOTATION, file.name)
        return ()
    if source.format is BoxFormat.VOC:
        return voc_boxes(file, report)
    size = image_size(image, decode=False)
    # A broken image is reported when the set is assembled.
    return () if size is None else yolo_boxes(file, source.names, size[0], report)


def _conditions(
    frame: _Found, described: Description, table: ConditionTable | None, report: ReportBuilder
) -> tuple[tuple[str, str], ...]:
    path = frame.file(described.options.reference).relative_to(described.root).as_posix()
    found: dict[str, str] = {}
    if described.condition_name is not None:
        found |= dict(conditions_of_name(described.condition_name, path))
    if table is not None:
        found |= dict(table.get(path) or ())
    if not found and (described.condition_name is not None or table is not None):
        report.add(ProblemKind.NO_CONDITION, Path(path).name)
    return tuple(found.items())
