"""Float training as a Keras model that Keras's own ``fit`` trains: any backend, resumable, averaged weights kept.

Owns the training model (augmentation, network, loss), its optimizer and the rate; knows neither recipes nor folders.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops

from models.networks import feed
from models.training.augment import Augmentation, TrainingBatch, augment, to_unit_batch
from models.training.loss import DetectionLoss, LossParts

__all__ = ["PARTS", "FitModel", "WarmHoldDecay", "averaged_weights", "optimizer_of"]

PARTS = ("classes", "boxes", "kinematics")
_GRADIENT_NORM = 10.0
_LAST_RATE = 0.01


class FitModel(keras.Model):
    """A network with what varies its captures before it and what judges its answers after it.

    Its input is a batch of `models.training.batches.CaptureBatches`; its output the raw outputs and the truth as moved.
    """

    def __init__(self, network: keras.Model, loss: DetectionLoss, policy: Augmentation) -> None:
        """Train ``network`` on captures varied by ``policy``."""
        super().__init__(name="fit")
        self.network = network
        self._loss_parts, self._policy = loss, policy
        self._means = {name: keras.metrics.Mean(name=name) for name in PARTS}

    def call(self, inputs: dict[str, Any], training: bool = False) -> tuple[dict[str, Any], TrainingBatch]:
        """Return the raw outputs for the varied captures, and their truth."""
        batch = to_unit_batch(TrainingBatch(**{name: inputs[name] for name in TrainingBatch._fields}))
        if training:
            batch = augment(batch, self._policy, inputs["draws"], inputs.get("noise"))
        return self.network(feed(self.network, batch.eo, batch.lwir), training=training), batch

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the detection loss; its parts are this model's metrics."""
        del x, y, sample_weight, training
        outputs, batch = y_pred
        parts: LossParts = self._loss_parts(outputs, batch)
        for name, mean in self._means.items():
            mean.update_state(getattr(parts, name))
        return parts.total

    @property
    def metrics(self) -> list[Any]:
        """The loss and its parts, reset with each piece."""
        return [self._loss_tracker, *self._means.values()]

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Return the means so far."""
        del x, y, y_pred, sample_weight
        return {metric.name: metric.result() for metric in self.metrics}


@keras.saving.register_keras_serializable("ks100")
class WarmHoldDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, the peak, and over the last share of the steps half a cosine to a hundredth of it.

    With ``decay`` 1 it is the usual cosine (Loshchilov and Hutter 2017); with less, a training can be made longer
    as long as the decay has not begun (Hu et al. 2024, MiniCPM).
    """

    def __init__(self, peak: float, steps: int, warmup: float, decay: float) -> None:
        """Rise over the share ``warmup`` of ``steps``, fall over the share ``decay`` of the rest."""
        super().__init__()
        self.peak, self.steps, self.warmup, self.decay = peak, steps, warmup, decay

    def __call__(self, step: Any) -> Any:
        """Return the rate at ``step``."""
        step = ops.cast(step, "float32")
        warm = max(1, round(self.warmup * self.steps))
        falling = max(1.0, self.decay * (self.steps - warm))
        share = ops.clip((step - (self.steps - falling)) / falling, 0.0, 1.0)
        fallen = _LAST_RATE + (1 - _LAST_RATE) * (1 + ops.cos(math.pi * share)) / 2
        return self.peak * ops.minimum((step + 1) / warm, fallen)

    def get_config(self) -> dict[str, Any]:
        """Return what recreates the schedule."""
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup, "decay": self.decay}


def optimizer_of(rate: WarmHoldDecay, weight_decay: float, ema: float, accumulate: int) -> keras.optimizers.Optimizer:
    """Return AdamW (Loshchilov and Hutter 2019) with averaged weights, gradients clipped by their global norm."""
    return keras.optimizers.AdamW(
        rate,
        weight_decay=weight_decay,
        global_clipnorm=_GRADIENT_NORM,
        use_ema=True,
        ema_momentum=ema,
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
    )


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Put the optimizer's averaged weights into the model for a while."""
    kept = [ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, kept, strict=True):
            variable.assign(value)
