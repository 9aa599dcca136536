"""The detector's loss: quality focal loss on classes, generalized IoU on boxes, smooth L1 on kinematics."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from models.training.assign import Assignment, assign, cell_centres, overlap
from models.training.augment import TrainingBatch

__all__ = ["DetectionLoss", "LossParts"]

_BOX_WEIGHT, _SIDE_WEIGHT, _KINEMATICS_WEIGHT = 2.0, 0.25, 0.3
_FOCUS = 2.0


class LossParts(NamedTuple):
    """Parts of a loss, each a float32 scalar, weighted as they are summed."""

    classes: Any
    boxes: Any
    kinematics: Any
    features: Any = 0.0

    @property
    def total(self) -> Any:
        """The loss that is minimised."""
        return self.classes + self.boxes + self.kinematics + self.features


class DetectionLoss:
    """Loss of raw outputs against truth, for one input size and set of strides."""

    def __init__(self, height: int, width: int, strides: tuple[int, ...]) -> None:
        self._strides = strides
        self._centres, self._sizes = cell_centres(height, width, strides)

    def __call__(self, outputs: dict[str, Any], truth: TrainingBatch) -> LossParts:
        """Return the parts of the loss, per object.

        Args:
            outputs: ``cls_s``, ``box_s``, ``kin_s``, float32 [B, h, w, c], see `models.heads`.
            truth: the batch; its frames are not looked at.
        """
        target = self.targets(outputs, truth)
        total = ops.maximum(ops.sum(target.weight), 1.0)
        return LossParts(*(ops.sum(part) / total for part in self.by_frame(outputs, target)[:3]))

    def targets(self, outputs: dict[str, Any], truth: TrainingBatch) -> Assignment:
        """Return what each cell has to answer, given what the network answers now; no gradient passes."""
        logits, distances = (self._flat(outputs, part) for part in ("cls", "box"))
        target = assign(
            ops.stop_gradient(ops.sigmoid(logits)),
            ops.stop_gradient(self._boxes(distances)),
            self._centres,
            self._sizes,
            truth.boxes,
            truth.classes,
            truth.kinematics,
            truth.kinematics_known,
            truth.state,
        )
        return Assignment(*(ops.stop_gradient(part) for part in target))

    def by_frame(self, outputs: dict[str, Any], target: Assignment) -> LossParts:
        """Return the parts as sums over each frame, float32 [B], not yet per object."""
        logits, distances, kinematics = (self._flat(outputs, part) for part in ("cls", "box", "kin"))
        wanted = self._distances(target.boxes)
        # Sides count in shares of the object, or large objects would rule.
        reach = ops.mean(ops.abs(wanted), axis=-1, keepdims=True) + 0.5
        sides = ops.mean(_smooth_l1((distances - wanted) / reach), axis=-1)
        _, giou = overlap(self._boxes(distances), target.boxes)
        motion = ops.sum(_smooth_l1(kinematics - target.kinematics) * target.kinematics_known, axis=-1)
        return LossParts(
            ops.sum(_quality_focal(logits, target.scores) * target.counted[..., None], axis=(1, 2)),
            ops.sum((_BOX_WEIGHT * (1.0 - giou) + _SIDE_WEIGHT * sides) * target.weight, axis=1),
            _KINEMATICS_WEIGHT * ops.sum(motion * target.weight, axis=1),
        )

    def _flat(self, outputs: dict[str, Any], part: str) -> Any:
        found = [outputs[f"{part}_{stride}"] for stride in self._strides]
        return ops.concatenate([ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3])) for x in found], axis=1)

    def _boxes(self, distances: Any) -> Any:
        pixels = distances * self._sizes[:, None]
        return ops.concatenate([self._centres - pixels[..., :2], self._centres + pixels[..., 2:]], axis=-1)

    def _distances(self, boxes: Any) -> Any:
        pixels = ops.concatenate([self._centres - boxes[..., :2], boxes[..., 2:] - self._centres], axis=-1)
        return pixels / self._sizes[:, None]


def _quality_focal(logits: Any, target: Any) -> Any:
    """Return ``|target - p| ** 2 * crossentropy`` (Li et al. 2020, "Generalized Focal Loss")."""
    entropy = ops.binary_crossentropy(target, logits, from_logits=True)
    return ops.abs(target - ops.sigmoid(logits)) ** _FOCUS * entropy


def _smooth_l1(error: Any) -> Any:
    size = ops.abs(error)
    return ops.where(size < 1.0, 0.5 * size * size, size - 0.5)
