from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.captures import CaptureSet, ObjectClass
from models.errors import DataError
from models.preprocess import network_frames
from models.readers import FrameCounts, Options, ProblemKind, read_dataset, split_by_scene
from models.readers.assemble import RawBox, RawFrame, RawLabels, assemble
from models.readers.frames import FrameScaling
from models.readers.paired import read_m3fd
from models.readers.pairing import pair_by_map, read_pairs
from models.readers.report import ReportBuilder
from models.readers.voc import parse_voc
from models.readers.yolo_names import parse_names
from models.scenes import SceneSpec, generate
from tests.captures.dataset_fixtures import coco, colour, grey, thermal16, voc


def _found(captures: CaptureSet) -> list[tuple[str, str, list[tuple[ObjectClass, tuple[float, ...], bool]]]]:
    return [(c.id, c.scene, [(o.object_class, o.box, o.ignore) for o in c.objects]) for c in captures.captures]


def test_flir_pairs_only_the_videos_and_says_that_train_is_not_paired(tmp_path: Path) -> None:
    for k in range(3):
        colour(tmp_path / "video_rgb_test/data" / f"video-AA-frame-00000{k}-r{k}.png", (90, 80))
        grey(tmp_path / "video_thermal_test/data" / f"video-BB-frame-00000{k}-t{k}.png")
    colour(tmp_path / "images_rgb_train/data/video-CC-frame-000001-x.png")
    grey(tmp_path / "images_thermal_train/data/video-CC-frame-000001-x.png")
    pairs = {f"video-AA-frame-00000{k}-r{k}.png": f"video-BB-frame-00000{k}-t{k}.png" for k in range(2)}
    (tmp_path / "rgb_to_thermal_vid_map.json").write_text(json.dumps(pairs))
    extra = {"hours": "night", "weather": "clear", "video_id": "BB"}
    images = [
        {"id": k, "file_name": f"data/video-BB-frame-00000{k}-t{k}.png", "width": 64, "height": 48, "extra_info": extra}
        for k in range(3)
    ]
    coco(
        tmp_path / "video_thermal_test/coco.json",
        images,
        [(0, 1, [5, 5, 10, 20]), (0, 73, [30, 5, 10, 10]), (1, 79, [1, 1, 8, 8])],
        {1: "person", 73: "motor", 79: "deer"},
    )
    captures, report = read_dataset(tmp_path)
    assert _found(captures) == [
        (
            "video-BB-frame-000000-t0",
            "video-BB",
            [(ObjectClass.PERSON, (5, 5, 15, 25), False), (ObjectClass.MOTORCYCLE, (30, 5, 40, 15), False)],
        ),
        ("video-BB-frame-000001-t1", "video-BB", [(ObjectClass.PERSON, (1, 1, 9, 9), True)]),
    ]
    assert captures.captures[0].conditions.get("thermal") == "night"
    assert report.count(ProblemKind.UNPAIRED) == 2
    assert any("not paired" in note and "images_thermal_train" in note for note in report.notes)
    eo = captures.frames.eo(0)
    assert eo is not None
    assert eo.shape == (48, 64, 3)


def test_flir_without_its_map_is_refused_by_name(tmp_path: Path) -> None:
    grey(tmp_path / "video_thermal_test/data/a.png")
    with pytest.raises(DataError, match=r"rgb_to_thermal_vid_map\.json is missing"):
        read_dataset(tmp_path)


def test_llvip_pairs_by_stem_and_groups_by_place(tmp_path: Path) -> None:
    for stem, split in (("010001", "train"), ("010002", "train"), ("190001", "test")):
        colour(tmp_path / "visible" / split / f"{stem}.jpg")
        grey(tmp_path / "infrared" / split / f"{stem}.jpg")
        voc(tmp_path / "Annotations" / f"{stem}.xml", [("person", 4, 6, 14, 40)])
    colour(tmp_path / "visible/train/010003.jpg")
    captures, report = read_dataset(tmp_path)
    assert report.layout == "LLVIP"
    person = [(ObjectClass.PERSON, (4, 6, 14, 40), False)]
    expected = [("010001", "place-01", person), ("010002", "place-01", person), ("190001", "place-19", person)]
    assert _found(captures) == expected
    assert report.problems[0].kind is ProblemKind.UNPAIRED
    assert report.problems[0].examples == ("010003.jpg",)


def test_kaist_takes_day_and_night_from_the_set_and_xywh_boxes(tmp_path: Path) -> None:
    for recording in ("set00", "set03"):
        for band, make in (("visible", colour), ("lwir", colour)):
            make(tmp_path / "images" / recording / "V001" / band / "I00000.jpg")
        boxes = [("person", 10.0, 10.0, 18.0, 30.0), ("people", 30.0, 10.0, 50.0, 30.0)]
        voc(tmp_path / "annotations-xml-15" / recording / "V001/lwir/I00000.xml", boxes, "xywh")
    captures, report = read_dataset(tmp_path)
    assert report.layout == "KAIST"
    assert [c.conditions.get("thermal") for c in captures.captures] == ["day", "night"]
    assert [c.scene for c in captures.captures] == ["set00-V001", "set03-V001"]
    first = captures.captures[0].objects
    assert [(o.box, o.ignore, o.occlusion) for o in first] == [
        ((10, 10, 18, 30), False, 0.3),
        ((30, 10, 50, 30), True, 0.3),
    ]


def test_m3fd_reads_voc_and_asks_for_the_order_of_yolo_classes(tmp_path: Path) -> None:
    for folder, make in (("Vis", colour), ("Ir", grey)):
        make(tmp_path / "voc" / folder / "00001.png")
        make(tmp_path / "yolo" / folder.lower() / "00001.png")
    voc(tmp_path / "voc/Annotation/00001.xml", [("Lamp", 1, 1, 5, 5), ("Motorcycle", 10, 10, 30, 30)])
    captures, _ = read_dataset(tmp_path / "voc")
    lamp, motorcycle = captures.captures[0].objects
    assert (lamp.ignore, motorcycle.object_class) == (True, ObjectClass.MOTORCYCLE)
    labels = tmp_path / "yolo/labels/00001.txt"
    labels.parent.mkdir()
    labels.write_text("1 0.5 0.5 0.25 0.5\n")
    with pytest.raises(DataError, match="name the classes"):
        read_dataset(tmp_path / "yolo")
    captures, _ = read_m3fd(tmp_path / "yolo", names=("People", "Bus"))
    assert _found(captures)[0][2] == [(ObjectClass.BUS, (24, 12, 40, 36), False)]


def test_drone_vehicle_loses_its_border_and_its_spelling_mistakes(tmp_path: Path) -> None:
    size = (840, 712)
    colour(tmp_path / "train/trainimg/00001.jpg", size)
    grey(tmp_path / "train/trainimgr/00001.jpg", size)
    boxes = [("feright car", 150.0, 150.0, 200.0, 180.0), ("car", 90.0, 150.0, 130.0, 180.0)]
    voc(tmp_path / "train/trainlabelr/00001.xml", boxes, "polygon")
    captures, report = read_dataset(tmp_path)
    capture = captures.captures[0]
    assert (capture.width, capture.height) == (640, 512)
    assert [(o.object_class, o.box) for o in capture.objects] == [
        (ObjectClass.TRUCK, (50, 50, 100, 80)),
        (ObjectClass.CAR, (0, 50, 30, 80)),
    ]
    assert report.count(ProblemKind.BOX_CLIPPED) == 1
    eo, thermal = captures.frames.eo(0), captures.frames.lwir(0)
    assert eo is not None
    assert thermal is not None
    assert eo.shape[:2] == thermal.shape == (512, 640)


def test_drone_vehicle_may_be_unpacked_into_folders_of_folders(tmp_path: Path) -> None:
    for place in ("train/train/train", "val/val", "test"):
        colour(tmp_path / f"{place}img/00001.jpg", (840, 712))
        grey(tmp_path / f"{place}imgr/00001.jpg", (840, 712))
        voc(tmp_path / f"{place}labelr/00001.xml", [("car", 150.0, 150.0, 200.0, 180.0)], "polygon")
    captures, report = read_dataset(tmp_path)
    assert [c.id for c in captures.captures] == ["train-00001", "val-00001", "test-00001"]
    assert [len(c.objects) for c in captures.captures] == [1, 1, 1]
    assert not report.problems


def test_voc_image_sets_are_the_splits(tmp_path: Path) -> None:
    for stem in "abcd":
        grey(tmp_path / f"JPEGImages/{stem}.png")
        voc(tmp_path / f"Annotations/{stem}.xml", [("bus", 2, 2, 30, 20)])
    sets = tmp_path / "ImageSets/Main"
    sets.mkdir(parents=True)
    lists = {"train": "a\nd\n", "val": "b\r\nd\r\ngone\r\n", "trainval": "a\nb\nd\n", "bus_train": "a  1\nb -1\n"}
    for name, text in lists.items():
        (sets / f"{name}.txt").write_text(text)
    captures, report = read_dataset(tmp_path)
    found = {c.id: dict(c.conditions.items).get("split") for c in captures.captures}
    assert found == {"a": "train", "b": "val", "c": None, "d": None}
    assert report.count(ProblemKind.MISSING_IMAGE) == 1
    assert report.count(ProblemKind.AMBIGUOUS) == 1


def test_voc_folder(tmp_path: Path) -> None:
    grey(tmp_path / "JPEGImages/a.png")
    grey(tmp_path / "JPEGImages/b.png")
    voc(tmp_path / "Annotations/a.xml", [("bus", 2, 2, 30, 20)])
    (tmp_path / "Annotations/b.xml").write_text("<annotation><object><name>bus</name></object></annotation>")
    captures, report = read_dataset(tmp_path)
    assert _found(captures)[0][2] == [(ObjectClass.BUS, (2, 2, 30, 20), False)]
    assert report.count(ProblemKind.BROKEN_ANNOTATION) == 1


def test_yolo_folder_with_splits_and_a_broken_line(tmp_path: Path) -> None:
    grey(tmp_path / "images/train/a.png")
    grey(tmp_path / "images/val/a.png")
    (tmp_path / "labels/train").mkdir(parents=True)
    (tmp_path / "labels/train/a.txt").write_text("0 0.5 0.5 0.5 0.5\nx 1 2\n1 0.25 0.5 0.25 0.25 0.9\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames:\n  0: person  # people\n  1: 'truck'\n")
    captures, report = read_dataset(tmp_path)
    train = [(ObjectClass.PERSON, (16, 12, 48, 36), False), (ObjectClass.TRUCK, (8, 18, 24, 30), False)]
    assert [(c[0], c[2]) for c in _found(captures)] == [("train/a", train), ("val/a", [])]
    assert report.problems[0].examples == ("a.txt:2",)


@pytest.mark.parametrize(
    "text",
    ["names: [person, 'car']", "nc: 2\nnames:\n- person\n- car\n", "names: {0: person, 1: car}", "person\ncar\n"],
)
def test_yolo_names_in_every_usual_form(text: str) -> None:
    assert parse_names(text) == {0: "person", 1: "car"}


@given(st.text(max_size=80))
def test_yolo_names_parse_or_are_refused(text: str) -> None:
    with suppress(ValueError):
        assert all(parse_names(text).values())


@given(st.binary(max_size=120))
def test_voc_documents_parse_or_are_refused(data: bytes) -> None:
    for document in (data, b"<annotation><object>" + data + b"</object></annotation>"):
        with suppress(ValueError):
            parse_voc(document)


def test_a_document_with_entities_is_refused() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "bbbb">]><annotation><object><name>&b;</name></object></annotation>'
    with pytest.raises(ValueError, match="document type"):
        parse_voc(bomb)


def test_pairs_by_csv_report_what_has_no_partner(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("eo,lwir\nv1.png,t7.png\nv2.png,t9.png\n")
    eo = [tmp_path / name for name in ("v1.png", "v2.png", "v3.png")]
    lwir = [tmp_path / name for name in ("t7.png", "t8.png")]
    report = ReportBuilder("pairs")
    found = pair_by_map(read_pairs(tmp_path / "pairs.csv"), eo, lwir, tmp_path, report)
    assert found == [(tmp_path / "v1.png", tmp_path / "t7.png")]
    assert report.build(FrameCounts(1), 0).count(ProblemKind.UNPAIRED) == 3
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="columns"):
        read_pairs(tmp_path / "bad.csv")


def test_16_bit_thermal_files_keep_their_kelvin(tmp_path: Path) -> None:
    frame = RawFrame("a", "s", None, thermal16(tmp_path / "a.tiff", 7500), RawLabels((RawBox("car", (1, 1, 9, 9)),)))
    plain, _ = assemble("x", [frame], ReportBuilder("x"))
    scaled, _ = assemble("x", [frame], ReportBuilder("x"), Options(scaling=FrameScaling(kelvin_per_count=0.04)))
    for captures, counts in ((plain, 7500), (scaled, 30000)):
        thermal = captures.frames.lwir(0)
        assert thermal is not None
        assert (thermal == counts).all()


def test_a_homography_moves_the_visible_frame_onto_the_thermal(tmp_path: Path) -> None:
    from PIL import Image

    picture = np.zeros((48, 64, 3), np.uint8)
    picture[10:20, 10:20] = 255
    Image.fromarray(picture).save(tmp_path / "v.png")
    frame = RawFrame("a", "s", tmp_path / "v.png", grey(tmp_path / "t.png"))
    shift = (1.0, 0.0, 5.0, 0.0, 1.0, 3.0, 0.0, 0.0, 1.0)
    captures, _ = assemble("x", [frame], ReportBuilder("x"), Options(scaling=FrameScaling(eo_to_lwir=shift)))
    eo = captures.frames.eo(0)
    assert eo is not None
    assert eo[14:22, 16:24].min() > 250
    assert eo[:12].max() < 5


def test_what_was_read_goes_into_a_network(tmp_path: Path) -> None:
    colour(tmp_path / "visible/train/010001.jpg", (320, 256))
    grey(tmp_path / "infrared/train/010001.jpg", (320, 256))
    voc(tmp_path / "Annotations/010001.xml", [("person", 40, 60, 140, 200)])
    captures, _ = read_dataset(tmp_path)
    eo, lwir, transform = network_frames(captures, 0, 128, 160)
    assert (eo.shape, lwir.shape, transform.scale) == ((128, 160, 3), (128, 160), 0.5)


def test_a_stored_set_is_a_dataset_too(tmp_path: Path) -> None:
    made = generate(SceneSpec(1, 4))
    made.save(tmp_path)
    captures, report = read_dataset(tmp_path)
    assert captures.digest == made.digest
    assert report.frames == 4


def test_splits_share_no_scene_and_keep_every_frame() -> None:
    made = generate(SceneSpec(1, 40))
    parts = split_by_scene(made, {"train": 0.7, "val": 0.2, "test": 0.1}, seed=3)
    ids = [c.id for part in parts.values() for c in part.captures]
    assert sorted(ids) == sorted(c.id for c in made.captures)
    scenes = [{c.scene for c in part.captures} for part in parts.values()]
    assert not scenes[0] & scenes[1]
    assert not (scenes[0] | scenes[1]) & scenes[2]
    assert 24 <= len(parts["train"]) <= 32
    assert [p.digest for p in split_by_scene(made, {"train": 0.7, "val": 0.2, "test": 0.1}, seed=3).values()] == [
        p.digest for p in parts.values()
    ]
    with pytest.raises(DataError, match="are not enough for 3 parts"):
        split_by_scene(made.subset(range(4)), {"a": 1, "b": 1, "c": 1})
