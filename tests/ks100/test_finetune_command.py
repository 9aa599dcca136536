"""`ks100 finetune` on a graph that nobody here wrote: what it leaves is quantized as trained; mistakes in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph

Said = Callable[..., tuple[int, str, str]]

RECIPE = 'name = "few"\n[qat]\nepochs = 2\nbatch = 4\nlearning_rate = 1e-3\n'


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras
    from keras import layers

    from models.training.export import export_float

    keras.utils.set_random_seed(2)
    picture = keras.Input((8, 8, 3), 1, name="picture")
    x = layers.Conv2D(8, 3, activation="relu", name="seen")(picture)
    path = tmp_path_factory.mktemp("foreign") / "foreign.tflite"
    answer = layers.Dense(4, name="where")(layers.Flatten(name="flat")(x))
    path.write_bytes(export_float(keras.Model({"picture": picture}, {"where": answer})))
    rng = np.random.default_rng(3)
    (path.parent / "samples").mkdir()
    for index in range(15):
        np.savez(path.parent / "samples" / f"{index:02}.npz", picture=rng.random((1, 8, 8, 3)))
    (path.parent / "few.toml").write_text(RECIPE)
    return path


def test_samples_alone_fine_tune_a_foreign_graph_and_quantize_writes_it(
    foreign: Path, tmp_path: Path, said: Said
) -> None:
    samples, out, graph = foreign.parent / "samples", tmp_path / "tuned", tmp_path / "int8.tflite"
    tune = ("finetune", foreign, "--plan", "int8", "--samples", samples, "--recipe", foreign.parent / "few.toml")
    code, shown, error = said(*tune, "--out", out)
    assert code == 0, error
    assert "held-out" in shown or "start" in shown
    assert (out / "twin.tflite").read_bytes() == foreign.read_bytes()  # without labels a float graph learns nothing
    code, shown, error = said("quantize", out, "--calibration", samples, "--out", graph)
    assert code == 0, error
    assert "ranges: as fine-tuned" in shown
    assert {op.dtype for op in Graph.parse(graph.read_bytes()).ops if op.op != "QUANTIZE"} == {"INT8"}


def test_reconstruction_says_what_it_came_to_and_leaves_no_checkpoint(
    foreign: Path, tmp_path: Path, said: Said
) -> None:
    samples, out = foreign.parent / "samples", tmp_path / "int8.tflite"
    code, shown, error = said("quantize", foreign, "--calibration", samples, "--reconstruct", "--out", out)
    assert code == 0, error
    assert "reconstruct" in shown
    assert not list(tmp_path.glob("*.npz"))
    assert Graph.parse(out.read_bytes()).ops


def test_either_captures_or_samples_are_learned_from(foreign: Path, tmp_path: Path, said: Said) -> None:
    both = ("--captures", foreign.parent, "--samples", foreign.parent / "samples")
    for given in ((), both):
        code, _, error = said("finetune", foreign, "--plan", "int8", *given, "--out", tmp_path / "x")
        assert code == 2
        assert "either --captures or --samples" in error
    assert not (tmp_path / "x").exists()


def test_quantizing_a_folder_that_was_not_fine_tuned_says_what_to_do(tmp_path: Path, said: Said) -> None:
    (tmp_path / "network").mkdir()
    code, _, error = said("quantize", tmp_path / "network", "--out", tmp_path / "x.tflite")
    assert code == 2
    assert "ks100 finetune" in error
