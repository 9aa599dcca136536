from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.captures import ObjectClass
from models.errors import DataError
from models.readers import ProblemKind, read_dataset
from models.readers.coco import parse_coco
from models.readers.report import ReportBuilder
from tests.captures.dataset_fixtures import coco, colour, grey, truncated

_NAMES = {1: "person", 3: "car", 77: "spaceship"}


def _hit_uav() -> Path:
    given_path = os.environ.get("KS100_HIT_UAV")
    folder = Path(given_path) if given_path else Path(__file__).parents[3] / "shared" / "hit-uav"
    if not (folder / "annotations" / "val.json").is_file():
        pytest.skip("HIT-UAV is not here: clone suojiashun/HIT-UAV-Infrared-Thermal-Dataset, set KS100_HIT_UAV to it")
    return folder


def test_hit_uav_val_gives_its_published_frames_boxes_and_conditions() -> None:
    captures, report = read_dataset(_hit_uav() / "annotations" / "val.json")
    assert (report.frames, report.boxes, report.problems) == (290, 2460, ())
    assert sum(len(c.objects) for c in captures.captures) == 2460
    axes = {
        axis: Counter(c.conditions.get(axis) for c in captures.captures) for axis in ("thermal", "altitude", "angle")
    }
    assert set(axes["thermal"]) == {"day", "night"}
    assert all(None not in counts and sum(counts.values()) == 290 for counts in axes.values())
    thermal = captures.frames.lwir(0)
    assert thermal is not None
    assert thermal.shape == (512, 640)
    assert thermal.dtype == np.uint16
    assert captures.frames.eo(0) is None


def _dataset(tmp_path: Path) -> Path:
    """Everything that can be wrong, once or twice each."""
    for name in ("a.png", "b.png", "c.png"):
        grey(tmp_path / "images" / name)
    truncated(tmp_path / "images" / "broken.png")
    images: list[dict[str, Any]] = [
        {"id": 1, "file_name": "a.png", "width": 64, "height": 48},
        {"id": 2, "file_name": "b.png", "width": 32, "height": 24},
        {"id": 3, "file_name": "c.png"},
        {"id": 3, "file_name": "again.png"},
        {"id": 4, "file_name": "gone.png"},
        {"id": 5, "file_name": "broken.png"},
        {"file_name": "no-id.png"},
        {"id": 6, "file_name": "../outside.png"},
    ]
    boxes: list[tuple[int, int, list[float]]] = [
        (1, 1, [10, 10, 5, 12]),
        (1, 3, [50, 30, 40, 10]),
        (1, 3, [100, 100, 5, 5]),
        (1, 3, [10, 10, 0, 5]),
        (2, 77, [1, 1, 9, 9]),
        (99, 1, [1, 1, 9, 9]),
        (1, 1, [1, 1, 9]),
        (1, 1, [1, float("nan"), 9, 9]),
    ]
    return coco(tmp_path / "data.json", images, boxes, _NAMES)


def test_every_defect_is_counted_and_named(tmp_path: Path) -> None:
    captures, report = read_dataset(_dataset(tmp_path))
    assert [c.id for c in captures.captures] == ["a", "b", "c"]
    assert {problem.kind: (problem.count, problem.examples) for problem in report.problems} == {
        ProblemKind.MISSING_IMAGE: (2, ("again.png", "gone.png")),
        ProblemKind.OUTSIDE_PATH: (1, ("../outside.png",)),
        ProblemKind.BROKEN_IMAGE: (1, ("broken.png",)),
        ProblemKind.BROKEN_ANNOTATION: (3, report.problems[3].examples),
        ProblemKind.NO_ANNOTATION: (2, ("c.png", "again.png")),
        ProblemKind.SIZE_DIFFERS: (1, ("b (32x24 annotated, 64x48 found; boxes scaled)",)),
        ProblemKind.BOX_CLIPPED: (1, ("a car",)),
        ProblemKind.BOX_OUTSIDE: (2, ("a car",)),
        ProblemKind.UNKNOWN_CLASS: (1, ("spaceship",)),
        ProblemKind.AMBIGUOUS: (2, ("c.png (image 3)", "again.png (image 3)")),
        ProblemKind.ORPHAN_BOX: (1, ("box 6 of image 99",)),
    }
    assert all("\n" not in line for line in report.lines())


def test_boxes_are_corners_clipped_to_the_frame_and_unknown_classes_are_ignored(tmp_path: Path) -> None:
    captures, report = read_dataset(_dataset(tmp_path))
    person, car = captures.captures[0].objects
    assert (person.object_class, person.box, person.ignore) == (ObjectClass.PERSON, (10, 10, 15, 22), False)
    assert (car.object_class, car.box) == (ObjectClass.CAR, (50, 30, 64, 40))
    assert captures.captures[1].objects[0].ignore
    assert report.boxes == 3


def test_a_duplicate_box_id_counts_once(tmp_path: Path) -> None:
    grey(tmp_path / "a.png")
    path = coco(tmp_path / "a.json", [{"id": 1, "file_name": "a.png"}], [(1, 1, [1, 1, 5, 5])] * 2, _NAMES)
    data = json.loads(path.read_text())
    data["annotations"][1]["id"] = 1
    path.write_text(json.dumps(data))
    captures, report = read_dataset(path)
    assert len(captures.captures[0].objects) == 1
    assert report.count(ProblemKind.DUPLICATE_ID) == 1


def test_colour_images_become_the_visible_band(tmp_path: Path) -> None:
    colour(tmp_path / "a.png")
    captures, _ = read_dataset(coco(tmp_path / "a.json", [{"id": 1, "file_name": "a.png"}], [], _NAMES))
    eo = captures.frames.eo(0)
    assert eo is not None
    assert tuple(eo[0, 0]) == (200, 100, 50)
    assert captures.frames.lwir(0) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read as JSON"),
        ("[1, 2]", "not an object"),
        ('{"images": []}', "no lists"),
        ('{"images": [], "annotations": []}', "no usable image: the file lists none"),
        ("[" * 200_000, "cannot be read as JSON"),
    ],
)
def test_a_file_that_is_no_dataset_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=words) as error:
        read_dataset(tmp_path / "x.json")
    assert "\n" not in str(error.value)


def test_an_unknown_layout_and_a_missing_path_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no known layout"):
        read_dataset(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        read_dataset(tmp_path / "nowhere")
    coco(tmp_path / "annotations/val.json", [], [], _NAMES)
    with pytest.raises(DataError, match=r"val\.json: no usable image: the file lists none"):
        read_dataset(tmp_path)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
_KEYS = ("id", "name", "file_name", "filename", "bbox", "image_id", "category_id", "width", "extra_info")
_ITEM = st.fixed_dictionaries({}, optional=dict.fromkeys(_KEYS, _JSON))


@settings(max_examples=50)
@given(st.lists(_ITEM | _JSON, max_size=4), st.lists(_ITEM | _JSON, max_size=4), _JSON | st.lists(_ITEM))
def test_no_json_can_make_the_parser_fail_otherwise(images: list[Any], annotations: list[Any], categories: Any) -> None:
    data = {"images": images, "annotations": annotations, "categories": categories}
    found = parse_coco(data, Path("x.json"), ReportBuilder("COCO"))
    assert all(".." not in Path(image.file).parts for image in found)
    assert all(np.isfinite(raw.box).all() for image in found if image.labels is not None for raw in image.labels.boxes)
