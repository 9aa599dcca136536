"""Every decoding against boxes computed by hand, or by an independent formula written out as loops."""

from __future__ import annotations

import math
import sys
import types

import numpy as np
import pytest
from numpy.typing import NDArray

from models.card.anchors import Anchors
from models.card.decodings import Classifier, DetectionPostprocess, Detr, Grid, PythonDecoding, Ssd, Yolo
from models.errors import DataError
from models.heads import Detections

SIZE = (64, 96)  # height, width
F = NDArray[np.float32]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def rounded(found: Detections) -> list[tuple[list[float], float, int]]:
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True)
    return [([round(v, 3) for v in box], round(score, 4), label) for box, score, label in rows]


def test_a_decoded_yolo_output_is_read_in_either_order_of_its_dimensions() -> None:
    rows = np.zeros((5, 4 + 3), np.float32)
    rows[0] = [50, 30, 20, 10, 0, 0.9, 0]
    rows[1] = [51, 30, 20, 10, 0, 0.8, 0]  # the same object: suppressed
    rows[2] = [50, 30, 20, 10, 0, 0, 0.7]  # another class at the same place: kept
    expected = [([40, 25, 60, 35], 0.9, 1), ([40, 25, 60, 35], 0.7, 2)]
    for values in (rows[None], rows.T[None]):
        assert rounded(Yolo(outputs=("o",)).decode({"o": values}, SIZE, 3)) == expected


def test_fractions_corners_and_objectness_of_a_decoded_yolo() -> None:
    values = np.array([[[0.25, 0.5, 0.75, 1.0, 0.5, 0.8]]], np.float32)
    yolo = Yolo(outputs=("o",), boxes="xyxy", units="fraction", objectness=True)
    assert rounded(yolo.decode({"o": values}, SIZE, 1)) == [([24, 32, 72, 64], 0.4, 0)]


@pytest.mark.parametrize("channels_first", [False, True])
def test_dfl_distances_are_means_of_softmaxes_from_the_cells_centre(channels_first: bool) -> None:
    rng = np.random.default_rng(0)
    bins, classes, outputs, expected = 8, 2, {}, []
    for name, stride in (("p3", 16), ("p4", 32)):
        height, width = SIZE[0] // stride, SIZE[1] // stride
        level = rng.normal(size=(height, width, 4 * bins + classes)).astype(np.float32)
        level[..., 4 * bins :] = -9
        row, column = height - 1, 1
        level[row, column, 4 * bins + 1] = 2.0 if stride == 16 else 1.0
        sides = []
        for side in range(4):
            weights = [math.exp(v) for v in level[row, column, side * bins : (side + 1) * bins].tolist()]
            sides.append(sum(k * w for k, w in enumerate(weights)) / sum(weights) * stride)
        x, y = (column + 0.5) * stride, (row + 0.5) * stride
        box = [x - sides[0], y - sides[1], x + sides[2], y + sides[3]]
        expected.append((box, sigmoid(2.0 if stride == 16 else 1.0)))
        outputs[name] = (np.moveaxis(level, -1, 0) if channels_first else level)[None]
    yolo = Yolo(outputs=("p3", "p4"), code="distances", strides=(16, 32), dfl_bins=bins, activation="sigmoid", iou=1.0)
    found = yolo.decode(outputs, SIZE, classes)
    assert found.classes.tolist() == [1, 1]
    np.testing.assert_allclose(found.boxes, [box for box, _ in expected], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [score for _, score in expected], rtol=1e-5)


def test_levels_may_come_as_one_tensor_and_scores_in_one_of_their_own() -> None:
    cells = (2 * 3) + (1 * 2)  # ceil(64 / 32) x 96 / 32, and ceil(64 / 64) x ceil(96 / 64)
    boxes = np.ones((1, cells, 4), np.float32)
    scores = np.full((1, cells, 2), -9, np.float32)
    scores[0, 6 + 1, 0] = logit(0.75)  # second cell of the second level
    yolo = Yolo(outputs=("b",), scores=("s",), code="distances", strides=(32, 64), activation="sigmoid")
    assert rounded(yolo.decode({"b": boxes, "s": scores}, SIZE, 2)) == [([32, -32, 160, 96], 0.75, 0)]


def test_the_anchors_of_yolo_v5_by_its_own_formula() -> None:
    level = np.full((1, 2, 3, 2 * (5 + 1)), -9, np.float32)
    level[0, 1, 2, 6:] = [0.3, -0.4, 0.5, -0.6, logit(0.9), logit(0.5)]  # second anchor
    yolo = Yolo(
        outputs=("o",), code="anchors", strides=(32,), anchors=(((10.0, 20.0), (30.0, 40.0)),), objectness=True,
        activation="sigmoid",
    )  # fmt: skip
    x, y = (2 * sigmoid(0.3) - 0.5 + 2) * 32, (2 * sigmoid(-0.4) - 0.5 + 1) * 32
    w, h = (2 * sigmoid(0.5)) ** 2 * 30, (2 * sigmoid(-0.6)) ** 2 * 40
    found = yolo.decode({"o": level}, SIZE, 1)
    np.testing.assert_allclose(found.boxes, [[x - w / 2, y - h / 2, x + w / 2, y + h / 2]], rtol=1e-5)
    np.testing.assert_allclose(found.scores, [0.45], rtol=1e-5)


def test_yolox_writes_offsets_and_logarithms_of_sizes_in_strides() -> None:
    values = np.zeros((1, 6, 6), np.float32)
    values[0, 4] = [0.25, 0.5, math.log(2), 0.0, 0.9, 0.8]  # row 1, column 1
    yolo = Yolo(outputs=("o",), code="centre", strides=(32,), objectness=True)
    x, y = (1 + 0.25) * 32, (1 + 0.5) * 32
    assert rounded(yolo.decode({"o": values}, SIZE, 1)) == [([x - 32, y - 16, x + 32, y + 16], 0.72, 0)]


def test_ssd_offsets_move_and_scale_its_anchors() -> None:
    anchors = Anchors(strides=(32,), sizes=(((16.0, 8.0),),))
    offsets, logits = np.zeros((1, 6, 4), np.float32), np.full((1, 6, 3), -9, np.float32)
    offsets[0, 5] = [1.0, -2.0, 0.5, -0.5]  # ty tx th tw of the anchor at (80, 48)
    logits[0, 5] = [5.0, -9, logit(0.6)]  # a high background is no object
    ssd = Ssd(boxes="b", scores="s", anchors=anchors)
    x, y = 80 - 0.2 * 16, 48 + 0.1 * 8
    w, h = 16 * math.exp(-0.1), 8 * math.exp(0.1)
    expected = [([round(v, 3) for v in (x - w / 2, y - h / 2, x + w / 2, y + h / 2)], 0.6, 1)]
    assert rounded(ssd.decode({"b": offsets, "s": logits}, SIZE, 2)) == expected


def test_generated_anchors_are_those_of_ssd_mobilenet_at_300_pixels() -> None:
    boxes = Anchors(strides=(16, 32, 64, 128, 256, 512)).boxes((300, 300))
    assert len(boxes) == 1917
    # The first cell's three, and of the second level's first cell the last: scales 0.2, 0.35, 0.5 ...
    first = [(0.1, 0.1), (0.2 * math.sqrt(2), 0.2 / math.sqrt(2)), (0.2 / math.sqrt(2), 0.2 * math.sqrt(2))]
    np.testing.assert_allclose(boxes[:3, 2:] / 300, first, rtol=1e-5)
    np.testing.assert_allclose(boxes[0, :2] / 300, [0.5 / 19, 0.5 / 19], rtol=1e-5)
    np.testing.assert_allclose(boxes[3 * 361 + 5, 2:] / 300, [math.sqrt(0.35 * 0.5)] * 2, rtol=1e-5)


def test_detr_takes_each_querys_box_and_leaves_no_object_out() -> None:
    logits = np.array([[[1.0, 2.0, 0.0], [0.0, 0.0, 9.0], [1.0, 2.0, 0.0]]], np.float32)
    boxes = np.array([[[0.5, 0.5, 0.5, 0.25], [0.1, 0.1, 0.1, 0.1], [0.5, 0.5, 0.5, 0.25]]], np.float32)
    found = Detr(logits="l", boxes="b", score=0.5).decode({"l": logits, "b": boxes}, SIZE, 2)
    share = math.exp(2) / (math.exp(1) + math.exp(2) + 1)
    # Both queries stay: matched in training, they are never suppressed.
    assert rounded(found) == [([24, 24, 72, 40], round(share, 4), 1)] * 2


def test_the_postprocess_operations_boxes_are_taken_up_to_its_count() -> None:
    outputs = {
        "boxes": np.array([[[0.25, 0.5, 0.5, 1.0], [0, 0, 1, 1], [0, 0, 1, 1]]], np.float32),
        "classes": np.array([[2.0, 1.0, 1.0]], np.float32),
        "scores": np.array([[0.9, 0.01, 0.8]], np.float32),
        "count": np.array([2.0], np.float32),
    }
    reader = DetectionPostprocess(boxes="boxes", classes="classes", scores="scores", count="count", first_class=1)
    assert rounded(reader.decode(outputs, SIZE, 2)) == [([48, 16, 96, 32], 0.9, 1)]
    with pytest.raises(DataError, match="names class"):
        reader.decode(outputs, SIZE, 1)


def test_a_classifiers_answer_is_a_detection_of_the_whole_input() -> None:
    found = Classifier(scores="s").decode({"s": np.array([[0.0, 2.0, 1.0]], np.float32)}, SIZE, 3)
    assert rounded(found) == [([0, 0, 96, 64], round(math.exp(2) / (1 + math.exp(2) + math.exp(1)), 4), 1)]


def test_a_function_of_the_users_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("mine")
    module.read = lambda outputs, size, classes: Classifier(scores="s").decode(outputs, size, classes)  # type: ignore[attr-defined]
    module.bad = lambda *_: 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mine", module)
    outputs = {"s": np.array([[1.0, 0.0]], np.float32)}
    assert PythonDecoding(python="mine:read").decode(outputs, SIZE, 2).classes.tolist() == [0]
    for name, reason in (("mine:bad", "returned int"), ("mine:none", "cannot be imported"), ("mine", "cannot be")):
        with pytest.raises(DataError, match=reason):
            PythonDecoding(python=name).decode(outputs, SIZE, 2)


@pytest.mark.parametrize(
    ("decoding", "outputs", "words"),
    [
        (Yolo(outputs=("o",)), {"p": np.zeros((1, 5, 7))}, "no output 'o'"),
        (Yolo(outputs=("o",)), {"o": np.zeros((1, 5, 8))}, "needs 7 channels"),
        (Yolo(outputs=("o",)), {"o": np.zeros((2, 5, 7))}, "batch must be 1"),
        (Yolo(outputs=("o",), code="distances", strides=(8,)), {"o": np.zeros((1, 5, 7))}, "make 96"),
        (Detr(logits="l", boxes="b"), {"l": np.zeros((1, 5, 4)), "b": np.zeros((1, 6, 4))}, "not alike"),
        (Classifier(scores="s"), {"s": np.zeros((1, 4))}, "has 4 scores; the card has 3"),
        (Grid(), {"s": np.zeros((1, 4))}, "not the outputs of a grid"),
    ],
)
def test_outputs_that_do_not_fit_are_named(decoding: Yolo, outputs: dict[str, F], words: str) -> None:
    with pytest.raises(DataError, match=words):
        decoding.decode({name: values.astype(np.float32) for name, values in outputs.items()}, SIZE, 3)
