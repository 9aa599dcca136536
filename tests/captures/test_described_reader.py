"""Datasets that a TOML file describes: pairing by fields and by table, boxes and conditions from wherever they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.captures import CaptureSet, ObjectClass
from models.errors import DataError
from models.readers import ProblemKind, read_dataset
from models.readers.report import ReadReport
from tests.captures.dataset_fixtures import coco, colour, grey, thermal16, voc


def _describe(folder: Path, text: str) -> Path:
    path = folder / "yard.toml"
    path.write_text(text)
    return path


def _count(report: ReadReport, kind: ProblemKind) -> int:
    return report.count(kind)


def _ids(captures: CaptureSet) -> list[tuple[str, str]]:
    return [(capture.id, capture.scene) for capture in captures.captures]


def test_equal_fields_make_pairs_and_a_field_makes_the_scene(tmp_path: Path) -> None:
    for sequence, frame in (("a", "1"), ("a", "2"), ("b", "1")):
        colour(tmp_path / "rgb" / sequence / f"{frame}.jpg")
        thermal16(tmp_path / "thermal" / sequence / f"{frame}.png", 3000)
        voc(tmp_path / "labels" / f"{sequence}-{frame}.xml", [("truck", 4, 6, 14, 40), ("pram", 1, 1, 9, 9)])
    colour(tmp_path / "rgb/b/2.jpg")
    captures, report = read_dataset(
        _describe(
            tmp_path,
            'scene = "{sequence}"\n[eo]\nfiles = "rgb/{sequence}/{frame}.jpg"\n'
            '[lwir]\nfiles = "thermal/{sequence}/{frame}.png"\nkelvin_per_count = 0.04\n'
            '[boxes]\nformat = "voc"\nfiles = "labels/{sequence}-{frame}.xml"\n[classes]\npram = "ignore person"\n',
        )
    )
    assert [scene for _, scene in _ids(captures)] == ["a", "a", "b"]
    assert [(o.object_class, o.ignore) for o in captures.captures[0].objects] == [
        (ObjectClass.TRUCK, False),
        (ObjectClass.PERSON, True),
    ]
    assert _count(report, ProblemKind.UNPAIRED) == 1


def test_a_table_makes_pairs_and_names_and_a_csv_give_conditions(tmp_path: Path) -> None:
    for name in ("day_1", "night_2"):
        colour(tmp_path / "v" / f"{name}.jpg")
        grey(tmp_path / "t" / f"x{name}.png")
    (tmp_path / "pairs.csv").write_text("eo,lwir\nday_1.jpg,xday_1.png\nnight_2.jpg,xnight_2.png\n")
    (tmp_path / "weather.csv").write_text("frame,atmosphere\nxday_1,haze\n")
    captures, report = read_dataset(
        _describe(
            tmp_path,
            '[eo]\nfiles = "v/{frame}.jpg"\n[lwir]\nfiles = "t/x{other}.png"\n[pairs]\nfile = "pairs.csv"\n'
            "[conditions]\nname = '(?P<thermal>day|night)_'\nfile = \"weather.csv\"\n",
        )
    )
    assert [dict(c.conditions.items) for c in captures.captures] == [
        {"thermal": "day", "atmosphere": "haze"},
        {"thermal": "night"},
    ]
    assert _count(report, ProblemKind.UNPAIRED) == 0


def test_a_single_band_with_coco_boxes_and_a_json_of_conditions(tmp_path: Path) -> None:
    for frame in (1, 2):
        grey(tmp_path / "t" / f"{frame}.png")
    coco(
        tmp_path / "boxes.json",
        [{"id": 1, "file_name": "1.png", "width": 64, "height": 48}],
        [(1, 0, [5, 5, 10, 20])],
        {0: "car"},
    )
    (tmp_path / "c.json").write_text(json.dumps({"1.png": {"thermal": "crossover"}}))
    captures, report = read_dataset(
        _describe(
            tmp_path,
            '[lwir]\nfiles = "t/{frame}.png"\n[boxes]\nformat = "coco"\nfile = "boxes.json"\n'
            '[conditions]\nfile = "c.json"\n',
        )
    )
    assert [len(c.objects) for c in captures.captures] == [1, 0]
    assert captures.captures[0].conditions.get("thermal") == "crossover"
    assert _count(report, ProblemKind.NO_ANNOTATION) == 1
    assert _count(report, ProblemKind.NO_CONDITION) == 1


def test_yolo_boxes_are_in_shares_of_the_frame_and_named_in_order(tmp_path: Path) -> None:
    grey(tmp_path / "t/1.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/1.txt").write_text("1 0.5 0.5 0.25 0.5\n")
    text = (
        '[lwir]\nfiles = "t/{f}.png"\n[boxes]\nformat = "yolo"\nfiles = "labels/{f}.txt"\nnames = ["person", "bus"]\n'
    )
    captures, _ = read_dataset(_describe(tmp_path, text))
    found = captures.captures[0].objects[0]
    assert (found.object_class, found.box) == (ObjectClass.BUS, (24, 12, 40, 36))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", r"name the frames"),
        ("[lwir]\nfile = 'x'\n", r"unknown key 'file' in \[lwir\]"),
        ("colour = 1\n", r"unknown key 'colour'"),
        ("[lwir]\nfiles = '/abs/{f}.png'\n", r"a path below the dataset"),
        ("[lwir]\nfiles = 't/{f}.png'\n", r"no file fits 't/\{f\}\.png'"),
        ("[eo]\nfiles = 'v/{a}'\n[lwir]\nfiles = 't/{b}'\n", r"share no field"),
        ("[lwir]\nfiles = 't/{f}'\n[classes]\npram = 'tank'\n", r"'pram' = 'tank': give one of person"),
        ("[lwir]\nfiles = 't/{f}'\n[boxes]\nformat = 'yolo'\nfiles = '{f}.txt'\n", r"needs names"),
        ("[lwir]\nfiles = 't/{f}'\n[boxes]\nformat = 'kml'\n", r"must be one of voc, yolo, coco"),
        ("[lwir]\nfiles = 't/{f}'\n[conditions]\nname = '(?P<x'\n", r"yard\.toml"),
        ("[lwir]\nfiles = 't/{f}'\n[geometry]\neo_to_lwir = [1, 2]\n", r"9 numbers"),
        ("not toml", r"cannot be read as TOML"),
    ],
)
def test_a_wrong_description_is_refused_in_one_line_that_names_it(tmp_path: Path, text: str, wrong: str) -> None:
    with pytest.raises(DataError, match=wrong) as caught:
        read_dataset(_describe(tmp_path, text))
    assert "\n" not in str(caught.value)
