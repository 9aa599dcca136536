"""Augmentation, assignment and loss: what a step teaches."""

from __future__ import annotations

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from models.training.assign import assign, cell_centres, overlap  # noqa: E402
from models.training.augment import DRAWS, Augmentation, TrainingBatch, augment  # noqa: E402
from models.training.loss import DetectionLoss  # noqa: E402

HEIGHT, WIDTH, STRIDES = 64, 80, (4, 8)
STILL = Augmentation(flip=0.0, zoom=0.0, shift=0.0, exposure=0.0, noise=0.0, band_loss=0.0)


def truth(boxes, classes=None, state=None, kinematics=(0.3, -0.2), known=(1.0, 1.0)) -> TrainingBatch:
    count = len(boxes)
    return TrainingBatch(
        tf.zeros((1, HEIGHT, WIDTH, 3)),
        tf.zeros((1, HEIGHT, WIDTH, 1)),
        tf.constant([boxes], tf.float32),
        tf.constant([classes or [1] * count], tf.int32),
        tf.constant([[kinematics] * count], tf.float32),
        tf.constant([[known] * count], tf.float32),
        tf.constant([state or [1] * count], tf.int32),
    )


def outputs(boxes=(), classes=(), kinematics=(0.3, -0.2)) -> dict[str, np.ndarray]:
    """Raw outputs of a network that answers exactly these boxes on every cell inside them."""
    found = {}
    for stride in STRIDES:
        rows, columns = HEIGHT // stride, WIDTH // stride
        y, x = np.meshgrid((np.arange(rows) + 0.5) * stride, (np.arange(columns) + 0.5) * stride, indexing="ij")
        cls = np.full((1, rows, columns, 6), -12.0, np.float32)
        box = np.ones((1, rows, columns, 4), np.float32)
        for (x0, y0, x1, y1), label in zip(boxes, classes, strict=True):
            sides = np.stack([x - x0, y - y0, x1 - x, y1 - y], axis=-1)
            inside = sides.min(axis=-1) > 0
            cls[0, inside, label] = 12.0
            box[0, inside] = sides[inside] / stride
        kin = np.broadcast_to(np.float32(kinematics), (1, rows, columns, 2)).copy()
        found |= {f"cls_{stride}": cls, f"box_{stride}": box, f"kin_{stride}": kin}
    return found


LOSS = DetectionLoss(HEIGHT, WIDTH, STRIDES)
CAR = (20.0, 16.0, 50.0, 40.0)


def test_a_perfect_answer_costs_nearly_nothing_in_boxes_and_kinematics():
    parts = LOSS(outputs([CAR], [1]), truth([CAR]))
    assert float(parts.boxes) < 1e-3
    assert float(parts.kinematics) < 1e-6


def test_a_wrong_class_a_shifted_box_and_wrong_motion_each_cost_in_their_own_part():
    right = LOSS(outputs([CAR], [1]), truth([CAR]))
    assert float(LOSS(outputs([CAR], [2]), truth([CAR])).classes) > float(right.classes) + 1
    moved = (24.0, 20.0, 54.0, 44.0)
    assert float(LOSS(outputs([moved], [1]), truth([CAR])).boxes) > 0.3
    assert float(LOSS(outputs([CAR], [1], (1.3, -0.2)), truth([CAR])).kinematics) > 0.05


def test_unknown_range_or_velocity_teaches_nothing():
    parts = LOSS(outputs([CAR], [1], (5.0, -0.2)), truth([CAR], known=(0.0, 1.0)))
    assert float(parts.kinematics) < 1e-6


def test_a_detection_on_an_ignored_object_is_no_false_alarm():
    hidden = LOSS(outputs([CAR], [1]), truth([CAR], state=[-1]))
    empty = LOSS(outputs([CAR], [1]), truth([CAR], state=[0]))
    assert float(hidden.classes) < 1e-3 < float(empty.classes)


def test_an_empty_frame_has_a_finite_loss():
    parts = LOSS(outputs(), truth([CAR], state=[0]))
    assert np.isfinite(float(parts.total))
    assert float(parts.boxes) == 0


@pytest.mark.parametrize("box", [(33.0, 21.0, 34.5, 22.5), (2.0, 2.0, 78.0, 62.0), (0.0, 0.0, 3.0, 64.0)])
def test_every_object_however_small_or_large_is_answered_by_a_cell(box):
    centres, strides = cell_centres(HEIGHT, WIDTH, STRIDES)
    cells = centres.shape[0]
    given = truth([box])
    found = assign(
        tf.fill((1, cells, 6), 0.01),
        tf.tile(tf.concat([centres - 4, centres + 4], -1)[None], (1, 1, 1)),
        centres, strides,
        given.boxes, given.classes, given.kinematics, given.kinematics_known, given.state,
    )  # fmt: skip
    assert float(tf.reduce_sum(found.weight)) > 0


def test_a_cell_answers_for_one_object_only():
    centres, strides = cell_centres(HEIGHT, WIDTH, STRIDES)
    given = truth([CAR, (22.0, 18.0, 48.0, 38.0)], classes=[1, 3])
    cells = centres.shape[0]
    found = assign(
        tf.fill((1, cells, 6), 0.5),
        tf.concat([centres - 12, centres + 12], -1)[None],
        centres, strides,
        given.boxes, given.classes, given.kinematics, given.kinematics_known, given.state,
    )  # fmt: skip
    assert int(tf.reduce_max(tf.math.count_nonzero(found.scores, axis=-1))) == 1


def test_generalized_overlap_of_distant_boxes_falls_with_distance():
    one = tf.constant([0.0, 0.0, 10.0, 10.0])
    near, far = (overlap(one, tf.constant([x, 0.0, x + 10.0, 10.0]))[1] for x in (20.0, 60.0))
    assert float(far) < float(near) < 0
    iou, _ = overlap(one, tf.constant([5.0, 0.0, 15.0, 10.0]))
    assert float(iou) == pytest.approx(1 / 3, abs=1e-5)


def drawn(seed: int, count: int = 1) -> np.ndarray:
    """The random numbers of an augmentation."""
    return np.random.default_rng(seed).random((count, DRAWS), np.float32)


def marked_batch() -> TrainingBatch:
    """A bright rectangle exactly where the truth says."""
    x0, y0, x1, y1 = (int(v) for v in CAR)
    eo = np.zeros((1, HEIGHT, WIDTH, 3), np.float32)
    eo[0, y0:y1, x0:x1] = 1.0
    return truth([CAR])._replace(eo=tf.constant(eo), lwir=tf.constant(eo[..., :1]))


@pytest.mark.parametrize("seed", range(6))
def test_moved_boxes_stay_on_the_moved_pixels(seed):
    policy = Augmentation(flip=0.5, zoom=0.4, shift=0.2, exposure=0.0, noise=0.0, band_loss=0.0)
    moved = augment(marked_batch(), policy, drawn(seed))
    if int(moved.state[0, 0]) != 1:
        pytest.skip("moved out of the frame by this seed")
    bright = moved.lwir.numpy()[0, :, :, 0] > 0.5
    x0, y0, x1, y1 = moved.boxes.numpy()[0, 0]
    inside = np.zeros_like(bright)
    inside[max(0, round(y0)) : round(y1), max(0, round(x0)) : round(x1)] = True
    # The frame's mirrored margin may show a second rectangle; within the box there is nothing else.
    assert bright[inside].mean() > 0.9
    assert bright[inside].sum() > 0.7 * (x1 - x0) * (y1 - y0)


def test_zooming_in_brings_objects_nearer():
    policy = Augmentation(flip=0.0, zoom=0.5, shift=0.0, exposure=0.0, noise=0.0, band_loss=0.0)
    for seed in range(4):
        before, after = marked_batch(), augment(marked_batch(), policy, drawn(seed))
        scale = float((after.boxes[0, 0, 2] - after.boxes[0, 0, 0]) / (CAR[2] - CAR[0]))
        octaves = 2 * float(before.kinematics[0, 0, 0] - after.kinematics[0, 0, 0])
        assert octaves == pytest.approx(np.log2(scale), abs=0.02)


def test_augmentation_that_varies_nothing_changes_nothing_and_seeds_repeat():
    batch = marked_batch()
    same = augment(batch, STILL, drawn(1))
    np.testing.assert_allclose(same.eo, batch.eo, atol=1e-5)
    np.testing.assert_allclose(same.boxes, batch.boxes, atol=1e-4)
    first, second, other = (augment(batch, Augmentation(), drawn(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.eo, second.eo)
    assert np.abs(first.eo - other.eo).max() > 0.01


def test_at_most_one_band_is_lost():
    policy = Augmentation(flip=0, zoom=0, shift=0, exposure=0, noise=0, band_loss=1.0)
    batch = marked_batch()
    batch = batch._replace(eo=tf.repeat(batch.eo, 8, 0), lwir=tf.repeat(batch.lwir, 8, 0))
    batch = TrainingBatch(batch.eo, batch.lwir, *(tf.repeat(part, 8, 0) for part in batch[2:]))
    lost = augment(batch, policy, drawn(3, 8))
    gone = [[float(tf.math.reduce_std(band[i])) < 1e-6 for band in (lost.eo, lost.lwir)] for i in range(8)]
    assert all(sum(pair) == 1 for pair in gone)
    assert {tuple(pair) for pair in gone} == {(True, False), (False, True)}


def test_a_plain_mirror_is_the_warped_one():
    policy = Augmentation(flip=1.0, zoom=0.0, shift=0.0, exposure=0.0, noise=0.0, band_loss=0.0)
    plain = augment(marked_batch(), policy, drawn(1))
    x0, y0, x1, y1 = CAR
    np.testing.assert_allclose(plain.boxes[0, 0], (WIDTH - x1, y0, WIDTH - x0, y1), atol=1e-4)
    np.testing.assert_array_equal(plain.eo, marked_batch().eo.numpy()[:, :, ::-1])
