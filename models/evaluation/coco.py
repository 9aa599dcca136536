"""COCO's figures by faster-coco-eval, equal to pycocotools to six places in a sixth of the time."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.captures import Capture, CaptureSet, TruthObject
from models.heads import Detections

__all__ = ["CocoFigures", "coco_annotations", "coco_figures", "coco_figures_of", "coco_results"]

_SMALL_PX2 = 32 * 32


@dataclass(frozen=True, slots=True)
class CocoFigures:
    """COCO's summary, each in [0, 1]; NaN where no object of that kind exists.

    Attributes:
        ap: mean over IoU 0.50 to 0.95.
        ap50: at IoU 0.50.
        ap_small: of objects under 32 x 32 px.
    """

    ap: float
    ap50: float
    ap_small: float


_NO_OBJECTS = CocoFigures(float("nan"), float("nan"), float("nan"))


def coco_figures(captures: CaptureSet, detections: Sequence[Detections]) -> CocoFigures:
    """Return COCO's figures of one model on one set.

    Raises:
        ModelsError: faster-coco-eval is not installed.
    """
    return coco_figures_of(captures, detections, [range(len(captures))])[0]


def coco_figures_of(
    captures: CaptureSet, detections: Sequence[Detections], parts: Sequence[Sequence[int]]
) -> tuple[CocoFigures, ...]:
    """Return COCO's figures on parts of a set, each given by the positions of its captures."""
    from faster_coco_eval import COCO, COCOeval_faster

    annotations, results = coco_annotations(captures), coco_results(detections)
    if not annotations["annotations"]:
        return (_NO_OBJECTS,) * len(parts)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(annotations)
        found = truth.loadRes(results) if results else None
    return tuple(_figures(COCOeval_faster, truth, found, part) for part in parts)


def _figures(evaluator: Any, truth: Any, found: Any, part: Sequence[int]) -> CocoFigures:
    inside = [truth.imgToAnns[image] for image in part]
    if not any(not item["iscrowd"] for items in inside for item in items):
        return _NO_OBJECTS
    if found is None:
        small = any(not item["iscrowd"] and item["area"] < _SMALL_PX2 for items in inside for item in items)
        return CocoFigures(0.0, 0.0, 0.0 if small else float("nan"))
    evaluation = evaluator(truth, found, iouType="bbox", print_function=lambda *_: None)
    evaluation.params.imgIds = list(part)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = [float(value) if value >= 0 else float("nan") for value in evaluation.stats[:4]]
    return CocoFigures(ap=figures[0], ap50=figures[1], ap_small=figures[3])


def coco_annotations(captures: CaptureSet) -> dict[str, Any]:
    """Return the truth in COCO's format; ignored objects become crowds, one of each class."""
    annotations: list[dict[str, Any]] = []
    labels = range(len(captures.classes))
    for image, capture in enumerate(captures.captures):
        # Every detection in an unlabelled frame is ignored.
        unknown = () if capture.labelled else (TruthObject(0, _whole(capture), ignore=True),)
        for item in (*capture.objects, *unknown):
            x0, y0, x1, y1 = item.box
            for label in labels if item.ignore else (item.object_class,):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": image,
                        "category_id": int(label),
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": (x1 - x0) * (y1 - y0),
                        "iscrowd": int(item.ignore),
                    }
                )
    return {
        "info": {},
        "images": [{"id": i, "width": c.width, "height": c.height} for i, c in enumerate(captures.captures)],
        "categories": [{"id": label, "name": name} for label, name in enumerate(captures.classes)],
        "annotations": annotations,
    }


def _whole(capture: Capture) -> tuple[float, float, float, float]:
    return 0.0, 0.0, float(capture.width), float(capture.height)


def coco_results(detections: Sequence[Detections]) -> list[dict[str, Any]]:
    """Return detections in COCO's results format."""
    results = []
    for image, seen in enumerate(detections):
        boxes = np.concatenate([seen.boxes[:, :2], seen.boxes[:, 2:] - seen.boxes[:, :2]], axis=1).astype(float)
        for box, score, label in zip(boxes.tolist(), seen.scores.tolist(), seen.classes.tolist(), strict=True):
            results.append({"image_id": image, "category_id": label, "bbox": box, "score": score})
    return results
