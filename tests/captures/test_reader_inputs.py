"""Datasets as people have them: small inputs of every kind that other readers stumble over, and what is right."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.captures import CaptureSet, TruthObject
from models.errors import DataError
from models.readers import Band, Options, ProblemKind, ReadReport, read_dataset
from tests.captures.dataset_fixtures import colour, grey

GREY, COLOUR = object(), object()
Frames = dict[str, list[str] | None]
_K = ProblemKind


@dataclass(frozen=True)
class Case:
    """Files to write, what to read of them, and what must come out: boxes by frame, None for not labelled."""

    files: dict[str, Any]
    frames: Frames
    path: str = ""
    problems: dict[ProblemKind, int] = field(default_factory=dict)


def _write(root: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is GREY:
            grey(path)
        elif content is COLOUR:
            colour(path)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            path.write_text(json.dumps(content))


def _boxes(captures: CaptureSet) -> Frames:
    return {c.id: [_box(o) for o in c.objects] if c.labelled else None for c in captures.captures}


def _box(item: TruthObject) -> str:
    name = "ignore" if item.ignore else item.object_class.name.lower()
    return f"{name} {' '.join(f'{v:g}' for v in item.box)}"


def _read(root: Path, case: Case) -> tuple[CaptureSet, ReadReport]:
    _write(root, case.files)
    return read_dataset(root / case.path)


def _image(key: object = 1, name: str = "a.png", **more: object) -> dict[str, object]:
    return {"id": key, "file_name": name, "width": 64, "height": 48, **more}


def _coco(images: list[Any], annotations: list[dict[str, Any]] | None) -> dict[str, Any]:
    names = {1: "person", 3: "car", 4: "DontCare", 9: "excavator"}
    data = {"images": images, "categories": [{"id": k, "name": v} for k, v in names.items()]}
    return data if annotations is None else {**data, "annotations": annotations}


def _of(image: object = 1, category: object = 1, bbox: object = (4, 4, 10, 20), **more: object) -> dict[str, object]:
    return {"image_id": image, "category_id": category, "bbox": bbox, **more}


P = "person 4 4 14 24"
ONE = _coco([_image()], [_of()])
A = {"images/a.png": GREY}


def _one(**more: object) -> dict[str, Any]:
    return {**A, "ann.json": _coco([_image()], [_of(**more)])}


COCO = {
    "one name in two folders": Case(
        {"images/day/1.png": GREY, "images/night/1.png": GREY,
         "ann.json": _coco([_image(1, "day/1.png"), _image(2, "night/1.png")], [_of(1), _of(2, 3)])},
        {"images/day/1": [P], "images/night/1": ["car 4 4 14 24"]}),
    "a byte order mark": Case({**A, "ann.json": b"\xef\xbb\xbf" + json.dumps(ONE).encode()}, {"a": [P]}),
    "UTF-16": Case({**A, "ann.json": json.dumps(ONE).encode("utf-16")}, {"a": [P]}),
    "UTF-16 without a mark": Case({**A, "ann.json": json.dumps(ONE).encode("utf-16-le")}, {"a": [P]}),
    "a Chinese code page": Case(
        {"images/图像.png": GREY,
         "ann.json": json.dumps(_coco([_image(1, "图像.png")], [_of()]), ensure_ascii=False).encode("gb18030")},
        {"图像": [P]}),
    "a Western code page": Case(
        {"images/straße.png": GREY,
         "ann.json": json.dumps(_coco([_image(1, "straße.png")], [_of()]), ensure_ascii=False).encode("latin-1")},
        {"straße": [P]}),
    "backslashes": Case(
        {"images/day/a.png": GREY, "ann.json": _coco([_image(1, ".\\day\\a.png")], [_of()])}, {"a": [P]}),
    "another case of letters": Case({"images/a.PNG": GREY, "ann.json": ONE}, {"a": [P]}),
    "ids of annotations that start again": Case(
        {**A, "images/b.png": GREY, "ann.json": _coco(
            [_image(), _image(2, "b.png")],
            [_of(id=1), _of(1, 3, id=2), _of(2, id=1, bbox=[8, 8, 10, 20]), _of(2, 3, id=2)])},
        {"a": [P, "car 4 4 14 24"], "b": ["person 8 8 18 28", "car 4 4 14 24"]}),
    "one annotation twice": Case(
        {**A, "ann.json": _coco([_image()], [_of(id=1), _of(id=1)])}, {"a": [P]}, problems={_K.DUPLICATE_ID: 1}),
    "one id for two images": Case(
        {**A, "images/b.png": GREY, "ann.json": _coco([_image(), _image(1, "b.png")], [_of()])},
        {"a": None, "b": None}, problems={_K.AMBIGUOUS: 2, _K.NO_ANNOTATION: 2}),
    "one image under two ids": Case(
        {**A, "ann.json": _coco([_image(1), _image(2)], [_of(1), _of(2, 3)])}, {"a": [P, "car 4 4 14 24"]}),
    "ids as text and number": Case(
        {**A, "ann.json": _coco([_image(17)], [_of("17"), _of(17.0, 3), _of("0017", "3", [1, 1, 5, 5])])},
        {"a": [P, "car 4 4 14 24", "car 1 1 6 6"]}),
    "ids that are text": Case({**A, "ann.json": _coco([_image("img-a")], [_of("img-a")])}, {"a": [P]}),
    "ignore": Case({**A, "ann.json": _coco([_image()], [_of(ignore=1), _of(category=3, ignore=0)])},
                   {"a": ["ignore 4 4 14 24", "car 4 4 14 24"]}),
    "difficult in attributes": Case(_one(attributes={"difficult": True}), {"a": ["ignore 4 4 14 24"]}),
    "iscrowd as a number": Case(_one(iscrowd=1), {"a": ["ignore 4 4 14 24"]}),
    "iscrowd as text": Case(
        {**A, "ann.json": _coco([_image()], [_of(iscrowd=v) for v in ("0", "false", "1")])},
        {"a": [P, P, "ignore 4 4 14 24"]}),
    "unknown and DontCare": Case(
        {**A, "ann.json": _coco([_image()], [_of(category=9), _of(category=4)])},
        {"a": ["ignore 4 4 14 24"] * 2}, problems={_K.UNKNOWN_CLASS: 1}),
    "one id for two categories": Case(
        {**A, "ann.json": {**_coco([_image()], [_of()]), "categories": [{"id": 1, "name": n} for n in ("car", "bus")]}},
        {"a": ["ignore 4 4 14 24"]}, problems={_K.UNKNOWN_CLASS: 1}),
    "an accent written as macOS does": Case(
        {"images/e\u0301.png": GREY, "ann.json": _coco([_image(1, "\u00e9.png")], [_of()])}, {"e\u0301": [P]}),
    "COCO's own layout": Case(
        {"val2017/1.jpg": GREY, "annotations/instances_val2017.json": _coco([_image(1, "1.jpg")], [_of()]),
         "annotations/captions_val2017.json": {"images": [_image(1, "1.jpg")], "annotations": [{"image_id": 1}]}},
        {"1": [P]}),
    "COCO's own layout, by its file": Case(
        {"val2017/1.jpg": GREY, "annotations/instances_val2017.json": _coco([_image(1, "1.jpg")], [_of()])},
        {"1": [P]}, path="annotations/instances_val2017.json"),
    "Datumaro's COCO": Case(
        {"images/default/a.png": GREY, "annotations/instances_default.json": ONE}, {"a": [P]}),
    "Datumaro's own JSON": Case(
        {"images/default/a.png": GREY, "annotations/default.json": {
            "categories": {"label": {"labels": [{"name": "car"}, {"name": "person"}]}},
            "items": [{"id": "a", "image": {"path": "a.png", "size": [48, 64]}, "annotations": [
                {"type": "bbox", "id": 1, "label_id": 1, "bbox": [4, 4, 10, 20]},
                {"type": "polygon", "id": 2, "label_id": 0, "points": [1, 1, 9, 1, 9, 9]}]}]}},
        {"a": [P, "car 1 1 9 9"]}),
    "Roboflow's COCO": Case(
        {"train/a.png": GREY, "train/_annotations.coco.json": ONE,
         "valid/b.png": GREY, "valid/_annotations.coco.json": _coco([_image(1, "b.png")], [])},
        {"a": [P], "b": []}),
    "FiftyOne's COCO": Case({"data/a.png": GREY, "labels.json": ONE}, {"a": [P]}),
    "images somewhere below": Case({"x/y/z/a.png": GREY, "ann.json": ONE}, {"a": [P]}, path="ann.json"),
    "polygons without boxes": Case(
        {**A, "ann.json": _coco([_image()], [
            _of(bbox=bbox, segmentation=[[4, 4, 14, 4, 14, 24, 4, 24]]) for bbox in (None, [], [0, 0, 0, 0])])},
        {"a": [P] * 3}),
    "a polygon as pairs": Case(_one(bbox=None, segmentation=[[[4, 4], [14, 4], [14, 24]]]), {"a": [P]}),
    "a run-length mask": Case(
        _one(bbox=None, segmentation={"size": [48, 64], "counts": [4 * 48 + 4, 20, *[28, 20] * 9, 99]}), {"a": [P]}),
    "corners as a box": Case(_one(bbox=[4, 4, 14, 4, 14, 24, 4, 24]), {"a": [P]}),
    "a rotated box in radians": Case(_one(bbox=[9, 14, 20, 10, 1.5707963267948966]), {"a": [P]}),
    "a rotated box in degrees": Case(_one(bbox=[9, 14, 20, 10, 90]), {"a": [P]}),
    "no list of annotations": Case({**A, "ann.json": _coco([_image()], None)}, {"a": None}, path="ann.json",
                                   problems={_K.NO_ANNOTATION: 1}),
    "listed, and without objects": Case({**A, "ann.json": _coco([_image()], [])}, {"a": []}),
    "every annotation broken": Case(
        _one(bbox=[1, 2]), {"a": None}, problems={_K.BROKEN_ANNOTATION: 1, _K.NO_ANNOTATION: 1}),
    "one of two broken": Case(
        {**A, "ann.json": _coco([_image()], [_of(), _of(bbox="x")])}, {"a": [P]}, problems={_K.BROKEN_ANNOTATION: 1}),
    "every box outside": Case(
        _one(bbox=[100, 100, 9, 9]), {"a": None}, problems={_K.BOX_OUTSIDE: 1, _K.NO_BOX_LEFT: 1}),
    "an image scaled after annotation": Case(
        {**A, "ann.json": _coco([_image(width=128, height=96)], [_of(bbox=[8, 8, 20, 40])])},
        {"a": [P]}, problems={_K.SIZE_DIFFERS: 1}),
    "an image of another shape": Case(
        {**A, "ann.json": _coco([_image(width=100, height=48)], [_of()])}, {"a": [P]}, problems={_K.SIZE_DIFFERS: 1}),
    "one absolute path among others": Case(
        {**A, "ann.json": _coco([_image(), _image(2, "C:\\data\\b.png"), _image(3, "/srv/c.png")], [_of()])},
        {"a": [P]}, problems={_K.ABSOLUTE_PATH: 2}),
    "a path that leaves the dataset": Case(
        {**A, "ann.json": _coco([_image(), _image(2, "..\\b.png")], [_of()])}, {"a": [P]},
        problems={_K.OUTSIDE_PATH: 1}),
}  # fmt: skip


def _voc(*objects: str, size: str = "", head: str = "") -> str:
    return f"{head}<annotation>{size}{''.join(f'<object>{o}</object>' for o in objects)}</annotation>"


def _bnd(name: str, box: tuple[object, ...] = (4, 4, 14, 24), more: str = "") -> str:
    inner = "".join(f"<{tag}>{v}</{tag}>" for tag, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<name>{name}</name>{more}<bndbox>{inner}</bndbox>"


XML = _voc(_bnd("person"))
J = {"JPEGImages/a.png": GREY}


def _xml(text: str | bytes) -> dict[str, Any]:
    return {**J, "Annotations/a.xml": text}


VOC = {
    "difficult": Case(
        _xml(_voc(_bnd("person", more="<difficult>1</difficult>"), _bnd("car", more="<difficult>0</difficult>"))),
        {"a": ["ignore 4 4 14 24", "car 4 4 14 24"]}),
    "one object without a box": Case(
        _xml(_voc(_bnd("person"), "<name>car</name>", _bnd("car"))), {"a": [P, "car 4 4 14 24"]},
        problems={_K.BROKEN_ANNOTATION: 1}),
    "only an object without a box": Case(
        _xml(_voc("<name>car</name><point><x>4</x><y>4</y></point>")), {"a": None},
        problems={_K.BROKEN_ANNOTATION: 1}),
    "without objects": Case(_xml(_voc()), {"a": []}),
    "cut": Case(_xml(XML[:-40]), {"a": None}, problems={_K.BROKEN_ANNOTATION: 1}),
    "GB2312": Case(
        _xml(_voc(_bnd("car"), head='<?xml version="1.0" encoding="gb2312"?>\n', size="<folder>图像</folder>").encode(
            "gb2312")), {"a": ["car 4 4 14 24"]}),
    "GB2312 without a declaration": Case(_xml(_voc(_bnd("car"), size="<folder>图像</folder>").encode("gb2312")),
                                         {"a": ["car 4 4 14 24"]}),
    "Latin-1": Case(_xml(_voc(_bnd("car"), size="<folder>Straße é</folder>").encode("latin-1")),
                    {"a": ["car 4 4 14 24"]}),
    "UTF-16 with its declaration": Case(
        _xml(_voc(_bnd("car"), head='<?xml version="1.0" encoding="UTF-16"?>').encode("utf-16")),
        {"a": ["car 4 4 14 24"]}),
    "a mark and blank lines": Case(_xml("\ufeff\n\n" + XML), {"a": [P]}),
    "a document type in UTF-16": Case(
        _xml(f"<!DOCTYPE a>{XML}".encode("utf-16")), {"a": None}, problems={_K.BROKEN_ANNOTATION: 1}),
    "a decimal comma": Case(_xml(_voc(_bnd("person", ("4,0", 4, 14, 24)))), {"a": [P]}),
    "a polygon of points": Case(
        _xml(_voc("<name>person</name><polygon><pt><x>4</x><y>4</y></pt><pt><x>14</x><y>4</y></pt>"
                  "<pt><x>14</x><y>24</y></pt></polygon>")), {"a": [P]}),
    "a broken box and a polygon": Case(
        _xml(_voc("<name>person</name><bndbox><xmin>4</xmin></bndbox><polygon><x1>4</x1><y1>4</y1><x2>14</x2>"
                  "<y2>4</y2><x3>14</x3><y3>24</y3></polygon>")), {"a": [P]}),
    "an image without a file, a file without an image": Case(
        {**_xml(XML), "JPEGImages/b.png": GREY, "Annotations/zz.xml": XML}, {"a": [P], "b": None},
        problems={_K.NO_ANNOTATION: 1, _K.ORPHAN_ANNOTATION: 1, _K.ORPHAN_BOX: 1}),
    "a file that names its image": Case(
        {**J, "Annotations/0001.xml": _voc(_bnd("person"), size="<filename>a.png</filename>")}, {"a": [P]}),
    "an image scaled after annotation": Case(
        _xml(_voc(_bnd("person", (8, 8, 28, 48)), size="<size><width>128</width><height>96</height></size>")),
        {"a": [P]}, problems={_K.SIZE_DIFFERS: 1}),
    "a size of nothing": Case(
        _xml(_voc(_bnd("person"), size="<size><width>0</width><height>0</height></size>")), {"a": [P]}),
    "VOCdevkit": Case(
        {"VOC2007/JPEGImages/a.png": GREY, "VOC2007/Annotations/a.xml": XML, "VOC2007/ImageSets/Main/train.txt": "a",
         "VOC2007/SegmentationClass/a.png": GREY}, {"a": [P]}),
    "folders in lower case": Case({"jpegimages/a.png": GREY, "annotations/a.xml": XML}, {"a": [P]}),
    "labelImg, side by side": Case({"a.png": GREY, "a.xml": XML}, {"a": [P]}),
    "Roboflow's VOC": Case(
        {"train/a.png": GREY, "train/a.xml": XML, "valid/b.png": GREY, "valid/b.xml": _voc()}, {"a": [P], "b": []}),
    "a file of another split": Case(
        {"train/images/a.png": GREY, "train/annotations/a.xml": XML, "val/images/b.png": GREY,
         "train/annotations/b.xml": XML}, {"a": [P], "b": None},
        problems={_K.NO_ANNOTATION: 1, _K.ORPHAN_ANNOTATION: 1, _K.ORPHAN_BOX: 1}),
    "KAIST's text": Case(
        {**{f"images/set00/V000/{band}/I0000{k}.jpg": COLOUR for band in ("visible", "lwir") for k in range(4)},
         "annotations/set00/V000/I00000.txt": "% bbGt version=3\nperson 4 4 10 20 1 0 0 0 0 0 0\n"
                                              "people 20 4 10 20 0 0 0 0 0 0 0\nperson 40 4 10 20 0 0 0 0 0 1 0\n",
         "annotations/set00/V000/I00001.txt": "% bbGt version=3\n",
         "annotations/set00/V000/I00002.txt": "% bbGt version=3\nperson 4 4\n"},
        {"set00-V000-I00000": [P, "ignore 20 4 30 24", "ignore 40 4 50 24"], "set00-V000-I00001": [],
         "set00-V000-I00002": None, "set00-V000-I00003": None},
        problems={_K.BROKEN_ANNOTATION: 1, _K.NO_ANNOTATION: 1}),
    "M3FD's People": Case(
        {"Ir/1.png": GREY, "Vis/1.png": COLOUR, "Annotation/1.xml": _voc(_bnd("People"), _bnd("Car"))},
        {"1": [P, "car 4 4 14 24"]}),
    "M3FD in YOLO's form, its classes named": Case(
        {"ir/1.png": GREY, "vi/1.png": COLOUR, "labels/1.txt": "1 0.5 0.5 0.25 0.5", "classes.txt": "People\nBus"},
        {"1": ["bus 24 12 40 36"]}),
    "LLVIP in lower case": Case(
        {"infrared/train/010001.jpg": GREY, "visible/train/010001.jpg": COLOUR, "annotations/010001.xml": XML,
         "infrared/train/010002.jpg": GREY, "visible/train/010002.jpg": COLOUR},
        {"010001": [P], "010002": None}, problems={_K.NO_ANNOTATION: 1}),
}  # fmt: skip


LABEL = "0 0.5 0.5 0.25 0.5"
PY = "person 24 12 40 36"
CY = "car 24 12 40 36"
NAMES = "names: [person, car]\n"


def _yolo(label: str | bytes, names: str | bytes = NAMES, **more: object) -> dict[str, Any]:
    return {**A, "labels/a.txt": label, "data.yaml": names, **more}


YOLO = {
    "polygons": Case(_yolo("0 0.1 0.125 0.3 0.125 0.3 0.5 0.1 0.5\n1 0.5 0.5 0.25 0.5"),
                     {"a": ["person 6.4 6 19.2 24", CY]}),
    "keypoints": Case(
        _yolo("0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.9 0.9 2", NAMES + "kpt_shape: [2, 3]\n"), {"a": [PY]}),
    "classes as floats": Case(_yolo("1.0e+00 5.0e-01 5.0e-01 2.5e-01 5.0e-01"), {"a": [CY]}),
    "half a class": Case(_yolo(f"{LABEL}\n0.5 0.5 0.5 0.25 0.5"), {"a": [PY]}, problems={_K.BROKEN_ANNOTATION: 1}),
    "scores": Case(_yolo(f"{LABEL} 0.9"), {"a": [PY]}),
    "semicolons": Case(_yolo(LABEL.replace(" ", ";")), {"a": [PY]}),
    "commas": Case(_yolo(LABEL.replace(" ", ",")), {"a": [PY]}),
    "decimal commas": Case(_yolo(LABEL.replace(".", ",")), {"a": [PY]}),
    "labels in UTF-16": Case(_yolo(LABEL.encode("utf-16")), {"a": [PY]}),
    "an empty label file": Case(_yolo("\n", **{"images/b.png": GREY, "labels/b.txt": LABEL}), {"a": [], "b": [PY]}),
    "an image without a label file": Case(
        _yolo(LABEL, **{"images/b.png": GREY}), {"a": [PY], "b": None}, problems={_K.NO_ANNOTATION: 1}),
    "a label file without an image": Case(
        _yolo(LABEL, **{"labels/zz.txt": f"{LABEL}\n{LABEL}"}), {"a": [PY]},
        problems={_K.ORPHAN_ANNOTATION: 1, _K.ORPHAN_BOX: 2}),
    "labels beside another split": Case(
        {"images/train/a.png": GREY, "images/val/b.png": GREY, "labels/train/a.txt": LABEL,
         "labels/train/b.txt": LABEL, "data.yaml": NAMES},
        {"a": [PY], "b": None}, problems={_K.NO_ANNOTATION: 1, _K.ORPHAN_ANNOTATION: 1, _K.ORPHAN_BOX: 1}),
    "labels of all splits in one folder": Case(
        {"images/train/a.png": GREY, "images/val/b.png": GREY, "labels/a.txt": LABEL, "labels/b.txt": "",
         "data.yaml": NAMES}, {"a": [PY], "b": []}),
    "one label file for two splits": Case(
        {"images/train/a.png": GREY, "images/val/a.png": GREY, "images/val/b.png": GREY, "labels/a.txt": LABEL,
         "labels/b.txt": LABEL, "data.yaml": NAMES}, {"train/a": None, "val/a": None, "val/b": [PY]},
        problems={_K.NO_ANNOTATION: 2, _K.ORPHAN_ANNOTATION: 1, _K.ORPHAN_BOX: 1}),
    "one label file for two suffixes": Case(
        _yolo(LABEL, **{"images/a.bmp": GREY}), {"a.bmp": None, "a.png": None}, problems={_K.AMBIGUOUS: 2}),
    "every line broken": Case(_yolo("x y z"), {"a": None}, problems={_K.BROKEN_ANNOTATION: 1}),
    "boxes in pixels": Case(_yolo("0 32 24 16 24"), {"a": None}, problems={_K.BOX_OUTSIDE: 1, _K.NO_BOX_LEFT: 1}),
    "Roboflow": Case(
        {**{f"{part}/images/{part}.png": GREY for part in ("train", "valid", "test")},
         **{f"{part}/labels/{part}.txt": LABEL for part in ("train", "valid", "test")},
         "data.yaml": f"train: ../train/images\nval: ../valid/images\nnc: 2\n{NAMES}", "README.roboflow.txt": "x"},
        {"train": [PY], "valid": [PY], "test": [PY]}),
    "one split of Roboflow": Case(
        {"train/images/a.png": GREY, "train/labels/a.txt": LABEL, "data.yaml": NAMES}, {"a": [PY]}, path="train"),
    "Roboflow, by its data.yaml": Case(
        {"train/images/a.png": GREY, "train/labels/a.txt": LABEL, "test/images/b.png": GREY, "test/labels/b.txt": "",
         "data.yaml": f"train: ../train/images\n{NAMES}"}, {"a": [PY]}, path="data.yaml"),
    "folders of other names in data.yaml": Case(
        {"imgs/train/a.png": GREY, "labels/train/a.txt": LABEL, "data.yaml": f"path: .\ntrain: imgs/train\n{NAMES}"},
        {"a": [PY]}),
    "Darknet": Case(
        {"obj_train_data/a.png": GREY, "obj_train_data/a.txt": LABEL, "obj.names": "person\ncar\n",
         "obj.data": "classes = 2", "train.txt": "data/obj_train_data/a.png"}, {"a": [PY]}),
    "side by side": Case({"a.png": GREY, "a.txt": LABEL, "classes.txt": "person\ncar\n"}, {"a": [PY]}),
    "webp": Case(_yolo(LABEL, **{"images/b.webp": GREY, "labels/b.txt": LABEL}), {"a": [PY], "b": [PY]}),
    "a format that is not read": Case(
        _yolo(LABEL, **{"images/b.heic": b"x", "images/._a.png": b"mac"}), {"a": [PY]}, problems={_K.UNREAD_FILE: 1}),
    "classes.txt from Notepad": Case(
        {**A, "labels/a.txt": LABEL, "classes.txt": b"\xef\xbb\xbfperson\r\ncar\r\n"}, {"a": [PY]}),
    "classes.txt in UTF-16": Case(
        {**A, "labels/a.txt": LABEL, "classes.txt": "person\r\ncar\r\n".encode("utf-16")}, {"a": [PY]}),
    "classes.txt with indices": Case({**A, "labels/a.txt": LABEL, "classes.txt": "0 person\n1 car\n"}, {"a": [PY]}),
    "names with a gap": Case(_yolo(LABEL.replace("0 ", "2 ", 1), "names:\n  0: person\n  2: car\n"), {"a": [CY]}),
    "an index that has no name": Case(
        _yolo(LABEL.replace("0 ", "7 ", 1)), {"a": ["ignore 24 12 40 36"]}, problems={_K.UNKNOWN_CLASS: 1}),
    "names with commas": Case(_yolo("1 0.5 0.5 0.25 0.5", "names: ['light, red', 'car']\n"), {"a": [CY]}),
    "names in one text": Case(_yolo("1 0.5 0.5 0.25 0.5", "names: person, car\n"), {"a": [CY]}),
    "names as a map with text keys": Case(_yolo("1 0.5 0.5 0.25 0.5", "names: {'0': person, '1': car}\n"), {"a": [CY]}),
    "names in another file": Case(
        _yolo("1 0.5 0.5 0.25 0.5", "names: data/coco.names\n", **{"coco.names": "person\ncar"}), {"a": [CY]}),
    "names over lines": Case(_yolo("1 0.5 0.5 0.25 0.5", "names:\n- person\n-   'car'  # fast\n"), {"a": [CY]}),
    "a yaml of another name": Case({**A, "labels/a.txt": LABEL, "sky.yaml": NAMES}, {"a": [PY]}),
}  # fmt: skip


def _pair(*names: str) -> dict[str, Any]:
    return {f"{band}/{name}": GREY if band == "t" else COLOUR for name in names for band in ("v", "t")}


TABLE = '[eo]\nfiles="v/{a}.png"\n[lwir]\nfiles="t/{b}.png"\n[pairs]\nfile="pairs.csv"\n'
DEEP = '[lwir]\nfiles="t/{s}/{f}.png"\n[boxes]\nformat="coco"\nfile="boxes.json"\n'
TWO = {"t/day/1.png": GREY, "t/night/1.png": GREY}
DESCRIBED = {
    name: Case({**_pair("1.png"), "d.toml": TABLE, "pairs.csv": text}, {"1": None}, path="d.toml")
    for name, text in {
        "a table from Excel": b"\xef\xbb\xbfeo,lwir\r\n1.png,1.png\r\n",
        "a table with semicolons": "sep=;\nEO ; LWIR\n1.png;1.png\n",
        "a table with tabs in UTF-16": "eo\tlwir\n1.png\t1.png\n".encode("utf-16"),
        "a table of paths": "eo,lwir\nv/1.png,t/1.png\n",
        "a table of Windows paths": "eo,lwir\nv\\1.png,.\\t\\1.png\n",
        "a table of stems": "eo,lwir\n1,1\n",
    }.items()
} | {
    "one name in two folders": Case(
        {**TWO, "d.toml": DEEP,
         "boxes.json": _coco([_image(1, "day/1.png"), _image(2, "night/1.png")], [_of(1), _of(2, 3)])},
        {"t/day/1": [P], "t/night/1": ["car 4 4 14 24"]}, path="d.toml"),
    "a bare name that two frames have": Case(
        {**TWO, "d.toml": DEEP, "boxes.json": _coco([_image(1, "1.png")], [_of(1)])},
        {"t/day/1": None, "t/night/1": None}, path="d.toml", problems={_K.AMBIGUOUS: 2}),
    "boxes of one of two folders": Case(
        {**TWO, "d.toml": DEEP, "boxes.json": _coco([_image(1, "day/1.png")], [_of(1)])},
        {"t/day/1": [P], "t/night/1": None}, path="d.toml", problems={_K.NO_ANNOTATION: 1}),
    "boxes of no frame": Case(
        {**TWO, "d.toml": DEEP, "boxes.json": _coco(
            [_image(1, "day/1.png"), _image(2, "night/1.png"), _image(3, "dusk/1.png")], [_of(1), _of(3), _of(3)])},
        {"t/day/1": [P], "t/night/1": []}, path="d.toml", problems={_K.ORPHAN_BOX: 2}),
    "one label file for two frames": Case(
        {**TWO, "l/1.xml": XML, "l/9.xml": XML,
         "d.toml": '[lwir]\nfiles="t/{s}/{f}.png"\n[boxes]\nformat="voc"\nfiles="l/{f}.xml"\n'},
        {"t/day/1": None, "t/night/1": None}, path="d.toml",
        problems={_K.AMBIGUOUS: 2, _K.ORPHAN_ANNOTATION: 1}),
    "one key for two files": Case(
        {**TWO, "v/1.png": COLOUR, "v/2.png": COLOUR, "t/day/2.png": GREY,
         "d.toml": '[eo]\nfiles="v/{f}.png"\n[lwir]\nfiles="t/{s}/{f}.png"\n'},
        {"2": None}, path="d.toml", problems={_K.AMBIGUOUS: 2, _K.UNPAIRED: 1}),
    "another case of letters": Case(
        {"rgb/0001.JPG": COLOUR, "t/0001.png": GREY,
         "d.toml": '[eo]\nfiles="rgb/{f}.jpg"\n[lwir]\nfiles="t/{f}.png"\n'}, {"0001": None}, path="d.toml"),
    "brackets in a pattern": Case(
        {"t [1]/1.png": GREY, "d.toml": "[lwir]\nfiles='t [1]/{f}.png'\n"}, {"t [1]/1": None}, path="d.toml"),
    "a folder with its description": Case(
        {**TWO, "d.toml": DEEP, "pyproject.toml": "[tool]\n", "annotations.json": ONE,
         "boxes.json": _coco([_image(1, "day/1.png"), _image(2, "night/1.png")], [_of(1)])},
        {"t/day/1": [P], "t/night/1": []}),
    "backslashes in a pattern, a mark": Case(
        {"t/1.png": GREY, "d.toml": "\ufeff[lwir]\nfiles='t\\{f}.png'\n"}, {"t/1": None}, path="d.toml"),
}  # fmt: skip

ALL = [(kind, name) for kind in ("COCO", "VOC", "YOLO", "DESCRIBED") for name in globals()[kind]]


@pytest.mark.parametrize(("kind", "name"), ALL, ids=lambda text: text)
def test_each_frame_gets_its_own_boxes_or_says_that_it_has_none(tmp_path: Path, kind: str, name: str) -> None:
    case = globals()[kind][name]
    captures, report = _read(tmp_path, case)
    assert _boxes(captures) == case.frames
    assert {problem.kind: problem.count for problem in report.problems} == case.problems
    boxes = list(case.frames.values())
    counts = report.counts
    assert (counts.unlabelled, counts.empty) == (boxes.count(None), boxes.count([]))
    assert counts.with_boxes + counts.empty + counts.unlabelled == len(captures) == report.frames


REFUSED = {
    "only absolute paths": (
        {**A, "ann.json": _coco([_image(1, "/srv/data/a.png")], [])}, "ann.json",
        r"absolute path .*: /srv/data/a\.png"),
    "images nowhere": ({"ann.json": ONE}, "ann.json", r"a\.png, \.\.\.\) are in none of the usual folders"),
    "no label file at all": (
        {"imgs/train/a.png": GREY, "data.yaml": f"train: imgs/train\n{NAMES}"}, "",
        r"has a label file; for imgs/train/a\.png it should be labels/train/a\.txt or imgs/train/a\.txt"),
    "no names": ({**A, "labels/a.txt": LABEL}, "", r"add a classes\.txt with one name per line"),
    "an endless list of names": (
        _yolo(LABEL, "a: &a [x, x]\nb: &b [*a, *a]\nnames: *b\n"), "", r"data\.yaml: cannot be read as YAML .*alias"),
    "two datasets": (
        {f"VOC{y}/{k}": v for y in (2007, 2012) for k, v in _xml(XML).items()}, "",
        r"several datasets; give one of .*VOC2007, .*VOC2012"),
    "COCO datasets side by side": (
        {f"{name}/{k}": v for name in "ab" for k, v in {**A, "ann.json": ONE}.items()}, "",
        r"several datasets; give one of .*a, .*b"),
    "images and nothing else": (A, "", r"no known layout .*describe where their annotations are in a TOML file"),
    "an archive": ({"x.zip": b"PK"}, "x.zip", r"unpack it first"),
    "a pattern that fits nothing": (
        {"t/1.png": GREY, "d.toml": '[lwir]\nfiles="t/{f}.jpg"\n'}, "d.toml", r"no file fits .*; there are t/1\.png"),
    "a backslash in a text of TOML": (
        {"t/1.png": GREY, "d.toml": '[lwir]\nfiles="t\\{f}.png"\n'}, "d.toml",
        r"cannot be read as TOML .*write paths with /"),
    "a table without a column": (
        {**_pair("1.png"), "d.toml": TABLE, "pairs.csv": "visible;thermal\n1;1\n"}, "d.toml",
        r"needs the columns 'eo' and 'lwir' .* its first line has visible, thermal"),
    "a band that is none": (
        {"t/1.png": GREY, "d.toml": '[lwir]\nfiles="t/{f}.png"\n[boxes]\nformat="voc"\nfiles="{f}.xml"\nband="ir"\n'},
        "d.toml", r"\[boxes\] band must be one of eo, lwir"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line_that_helps(tmp_path: Path, name: str) -> None:
    files, path, words = REFUSED[name]
    _write(tmp_path, files)
    with pytest.raises(DataError, match=words) as caught:
        read_dataset(tmp_path / path)
    assert "\n" not in str(caught.value)


def test_a_point_of_drone_vehicle_is_left_out_alone_and_its_border_leaves_a_frame_empty(tmp_path: Path) -> None:
    for name in ("1", "2"):
        colour(tmp_path / f"val/valimg/{name}.jpg", (840, 712))
        grey(tmp_path / f"val/valimgr/{name}.jpg", (840, 712))
    truck = _bnd("truvk", (150, 150, 200, 180))
    point = "<name>car</name><point><x>400</x><y>400</y></point>"
    _write(
        tmp_path, {"val/vallabelr/1.xml": _voc(truck, point), "val/vallabelr/2.xml": _voc(_bnd("car", (9, 9, 50, 50)))}
    )
    captures, report = read_dataset(tmp_path)
    assert _boxes(captures) == {"val-1": ["truck 50 50 100 80"], "val-2": []}
    assert [(p.kind, p.examples) for p in report.problems] == [
        (_K.BROKEN_ANNOTATION, ("1.xml: car without a box",)),
        (_K.BOX_OUTSIDE, ("val-2 car",)),
    ]


@pytest.mark.parametrize(
    ("files", "bands"),
    [
        ({"images/a.png": GREY}, "t"),
        ({"images/a.png": COLOUR}, "v"),
        ({"images/a.png": "grey in three channels"}, "t"),
        ({"images/visible/a.png": GREY, "images/ir/a.png": COLOUR}, "tv"),
        ({"images/close_V_BIRD_001_1.png": COLOUR, "images/close_IR_BIRD_001_1.png": GREY}, "tv"),
    ],
)  # fmt: skip
def test_the_band_is_known_by_name_or_look(tmp_path: Path, files: dict[str, Any], bands: str) -> None:
    _write(tmp_path, {name: content for name, content in files.items() if not isinstance(content, str)})
    for name in (name for name, content in files.items() if isinstance(content, str)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.repeat(np.arange(48 * 64, dtype=np.uint8).reshape(48, 64, 1), 3, axis=2)).save(
            tmp_path / name
        )
    images = [_image(k, Path(name).relative_to("images").as_posix()) for k, name in enumerate(sorted(files))]
    _write(tmp_path, {"ann.json": _coco(images, [])})
    captures, _ = read_dataset(tmp_path / "ann.json")
    found = ["t" if captures.frames.lwir(k) is not None else "v" for k in range(len(captures))]
    assert "".join(found) == bands
    forced, _ = read_dataset(tmp_path / "ann.json", options=Options(band=Band.EO))
    assert all(forced.frames.lwir(k) is None and forced.frames.eo(k) is not None for k in range(len(forced)))


def test_a_link_to_nothing_is_a_missing_image(tmp_path: Path) -> None:
    _write(tmp_path, {**_yolo(LABEL), "labels/b.txt": LABEL})
    (tmp_path / "images/b.png").symlink_to(tmp_path / "gone.png")
    captures, report = read_dataset(tmp_path)
    assert _boxes(captures) == {"a": [PY]}
    assert [(p.kind, p.examples) for p in report.problems] == [(_K.MISSING_IMAGE, ("b.png",))]


def test_an_annotation_file_without_end_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to("/dev/zero")
    with pytest.raises(DataError, match=r"not a regular file"):
        read_dataset(tmp_path / "a.json")
    with (tmp_path / "b.json").open("wb") as file:
        file.truncate(20_000_000_000)
    with pytest.raises(DataError, match="more than 2000000000 bytes"):
        read_dataset(tmp_path / "b.json")


def test_progress_is_told_frame_by_frame(tmp_path: Path) -> None:
    _write(tmp_path, {**A, "images/b.png": GREY, "ann.json": _coco([_image(), _image(2, "b.png")], [])})
    told: list[tuple[int, int]] = []
    read_dataset(tmp_path, options=Options(progress=lambda done, total: told.append((done, total))))
    assert told == [(1, 2), (2, 2)]
