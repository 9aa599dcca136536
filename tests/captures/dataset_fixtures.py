"""Small datasets in the layouts that their authors document, made for a test and thrown away."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Box = tuple[str, float, float, float, float]


def grey(path: Path, size: tuple[int, int] = (64, 48), value: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)
    return path


def colour(path: Path, size: tuple[int, int] = (64, 48), value: tuple[int, int, int] = (200, 100, 50)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, value).save(path)
    return path


def thermal16(path: Path, counts: int, size: tuple[int, int] = (64, 48)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0]), counts, np.uint16)).save(path)
    return path


def truncated(path: Path) -> Path:
    grey(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def voc(path: Path, boxes: Sequence[Box], form: str = "bndbox") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    objects = []
    for name, x0, y0, x1, y1 in boxes:
        if form == "bndbox":
            inner = f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"
        elif form == "xywh":
            inner = f"<bndbox><x>{x0}</x><y>{y0}</y><w>{x1 - x0}</w><h>{y1 - y0}</h></bndbox><occlusion>1</occlusion>"
        else:
            corners = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
            points = "".join(f"<x{k}>{x}</x{k}><y{k}>{y}</y{k}>" for k, (x, y) in enumerate(corners, 1))
            inner = f"<polygon>{points}</polygon>"
        objects.append(f"<object><name>{name}</name>{inner}</object>")
    path.write_text(f"<annotation>{''.join(objects)}</annotation>")
    return path


def coco(
    path: Path, images: Sequence[dict[str, Any]], boxes: Sequence[tuple[int, int, list[float]]], names: dict[int, str]
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    annotations = [
        {"id": k, "image_id": image, "category_id": category, "bbox": box}
        for k, (image, category, box) in enumerate(boxes, 1)
    ]
    categories = [{"id": k, "name": name} for k, name in names.items()]
    path.write_text(json.dumps({"images": list(images), "annotations": annotations, "categories": categories}))
    return path
