"""Fine-tuning keeps the epoch that is best in its worst condition, and ends when it no longer gets better."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from models.training.events import Stage

tf = pytest.importorskip("tensorflow")

from models.training.history import kept_epoch  # noqa: E402
from models.training.loop import FitLoop, Group, LoopSettings  # noqa: E402
from models.training.validate import Validation, validation_of  # noqa: E402

DROPS = (3.0, 1.0, 2.0, 1.5, 0.0)


class Run:
    """A loop over one weight that grows by some each epoch, judged by a script of worst drops."""

    def __init__(self, sets, patience: int) -> None:
        import keras

        from models.training.augment import Augmentation
        from models.training.data import load_arrays
        from models.training.loss import LossParts

        inputs = keras.Input((1,))
        model = keras.Model(
            inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="weight")(inputs)
        )
        self.weight = model.trainable_variables[0]

        def objective(batch) -> LossParts:
            return LossParts(-tf.reduce_sum(model(tf.ones((1, 1)))), tf.constant(0.0), tf.constant(0.0))

        settings = LoopSettings(Stage.FINE_TUNING, 5, 4, 0.0, 0.0, 1, Augmentation(), "x", patience)
        data = load_arrays(sets["validation"], 64, 80)
        self.loop = FitLoop(model, objective, data, [Group([self.weight], 0.1)], settings)
        self.seen: list[float] = []

    def validate(self, epoch: int) -> Validation:
        self.seen.append(float(self.weight.numpy()[0, 0]))
        return Validation(0.5, DROPS[epoch - 1])


@pytest.fixture
def stopped(sets) -> Iterator[Run]:
    run = Run(sets, patience=2)
    run.loop.run(None, run.validate)
    return run


def test_the_loop_ends_after_patience_and_holds_the_best_epochs_weights(stopped):
    assert [record.worst_drop_points for record in stopped.loop.history] == [3.0, 1.0, 2.0, 1.5]
    assert kept_epoch(stopped.loop.history).epoch == 2
    assert stopped.weight.numpy()[0, 0] == pytest.approx(stopped.seen[1])


def test_without_patience_every_epoch_runs(sets):
    run = Run(sets, patience=0)
    assert len(run.loop.run(None, run.validate)) == 5
    assert run.weight.numpy()[0, 0] == pytest.approx(run.seen[4])


def test_an_interrupted_run_still_knows_its_best_epoch(sets, stopped, tmp_path):
    first = Run(sets, patience=2)

    def interrupted(epoch: int) -> Validation:
        if epoch == 4:
            raise KeyboardInterrupt
        return first.validate(epoch)

    with pytest.raises(KeyboardInterrupt):
        first.loop.run(tmp_path / "checkpoint.npz", interrupted)
    second = Run(sets, patience=2)
    second.loop.run(tmp_path / "checkpoint.npz", second.validate)
    assert len(second.seen) == 1
    assert second.weight.numpy()[0, 0] == pytest.approx(stopped.weight.numpy()[0, 0], rel=1e-4)


def test_the_worst_condition_decides_not_the_mean(trained, sets):
    import dataclasses

    from models.training.validate import evaluated

    parent = evaluated(trained[0].folded(), sets["validation"])
    slices = tuple(dataclasses.replace(part, objects=100, ap50=0.8) for part in parent.slices)
    parent = dataclasses.replace(parent, slices=slices)
    better = [dataclasses.replace(part, ap50=0.85) for part in slices]
    better[-1] = dataclasses.replace(slices[-1], ap50=0.77)
    found = validation_of(dataclasses.replace(parent, slices=tuple(better)), parent)
    assert found.worst_drop_points == pytest.approx(3.0)
    few = dataclasses.replace(slices[-1], objects=3)
    parent = dataclasses.replace(parent, slices=(*slices[:-1], few))
    assert validation_of(dataclasses.replace(parent, slices=tuple(better)), parent).worst_drop_points < 0
    assert np.isclose(found.ap50, 0.85)
