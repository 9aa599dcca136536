"""Fine-tuning keeps the epoch that is best in its worst condition, and ends when it no longer gets better."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.events import Stage

tf = pytest.importorskip("tensorflow")

from models.finetuning.loop import TuningLoop  # noqa: E402
from models.training.loss import LossParts  # noqa: E402
from models.training.recipe import QatSettings  # noqa: E402
from models.training.validate import Validation, validation_of  # noqa: E402

DROPS = (3.0, 1.0, 2.0, 1.5, 0.0)


class Climbing:
    """A graph of one weight, and a task that makes it grow by some each epoch, judged by a script of worst drops."""

    pieces, steps, labelled = 1, 3, True

    def __init__(self, drops=DROPS) -> None:
        import keras

        self.weights, self.stretches = keras.Variable([0.0]), keras.Variable(np.zeros((0, 2), np.float32))
        self.drops, self.seen = list(drops), []

    def batch(self, _piece: int, _step: int) -> dict[str, np.ndarray]:
        return {"x": np.ones(1, np.float32)}

    def loss(self, graph, batch) -> LossParts:
        nothing = tf.constant(0.0)
        return LossParts(-tf.reduce_sum(graph.weights * batch["x"]), nothing, nothing, nothing)

    def judge(self, graph, _progress) -> Validation:
        self.seen.append(float(graph.weights.numpy()[0]))
        return Validation(0.5, self.drops[len(self.seen) - 1])

    def loop(self, patience: int) -> TuningLoop:
        settings = QatSettings(epochs=5, learning_rate=0.1, ema=0.0, patience=patience)
        return TuningLoop(self, self, settings, Stage.FINE_TUNING, "x")


def test_the_loop_ends_after_patience_and_holds_the_best_epochs_weights(tmp_path):
    task = Climbing()
    loop = task.loop(patience=2)
    loop.run(tmp_path / "c.npz", None)
    assert [record.worst_drop_points for record in loop.history] == [3.0, 1.0, 2.0, 1.5]
    assert loop.kept == 2
    assert task.weights.numpy()[0] == pytest.approx(task.seen[1])


def test_without_patience_every_epoch_runs(tmp_path):
    task = Climbing()
    loop = task.loop(patience=0)
    loop.run(tmp_path / "c.npz", None)
    assert (len(loop.history), loop.kept) == (5, 5)
    assert task.weights.numpy()[0] == pytest.approx(task.seen[4])


def test_where_no_epoch_is_better_than_the_start_the_start_is_kept(tmp_path):
    task = Climbing([0.5, 1.0, 2.0])
    loop = task.loop(patience=2)
    loop.run(tmp_path / "c.npz", None, from_start=True)
    assert loop.kept == 0
    assert task.weights.numpy()[0] == 0.0


def test_an_interrupted_run_still_knows_its_best_epoch(tmp_path):
    whole, cut, rest = Climbing(), Climbing(), Climbing(DROPS[3:])
    whole.loop(patience=2).run(tmp_path / "whole.npz", None)

    def interrupt(event) -> None:
        if event.epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut.loop(patience=2).run(tmp_path / "c.npz", interrupt)
    loop = rest.loop(patience=2)
    loop.run(tmp_path / "c.npz", None)
    assert (len(rest.seen), loop.kept) == (1, 2)
    assert rest.weights.numpy()[0] == pytest.approx(whole.weights.numpy()[0], rel=1e-5)


def test_the_worst_condition_decides_not_the_mean(trained, sets):
    import dataclasses

    from models.training.validate import evaluated

    parent = evaluated(trained[0].model, sets["validation"])
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
