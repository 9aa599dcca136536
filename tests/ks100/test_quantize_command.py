"""`ks100 quantize` on a graph that nobody here wrote: two inputs, its own samples, mistakes told in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph

Said = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import keras
    from keras import layers

    from models.training.export import export_float

    keras.utils.set_random_seed(2)
    picture, state = keras.Input((8, 8, 3), 1, name="picture"), keras.Input((6,), 1, name="state")
    x = layers.Conv2D(8, 3, activation="relu", name="seen")(picture)
    x = layers.Concatenate(name="both")([layers.Flatten(name="flat")(x), state])
    answers = {"where": layers.Dense(4, name="where")(x), "what": layers.Dense(3, name="what")(x)}
    path = tmp_path_factory.mktemp("foreign") / "foreign.tflite"
    path.write_bytes(export_float(keras.Model({"picture": picture, "state": state}, answers)))
    return path


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for index in range(12):
        folder = tmp_path / "samples" / ("day" if index % 3 else "night")
        folder.mkdir(parents=True, exist_ok=True)
        feed = {"picture": rng.random((1, 8, 8, 3)), "state": rng.normal(size=(1, 6))}
        np.savez(folder / f"{index}.npz", **feed)
    return tmp_path / "samples"


def test_every_output_of_a_foreign_graph_is_compared_with_float(
    foreign: Path, samples: Path, tmp_path: Path, said: Said
) -> None:
    out = tmp_path / "int8.tflite"
    code, shown, error = said("quantize", foreign, "--plan", "int8", "--calibration", samples, "--out", out)
    assert code == 0, error
    for name in ("where", "what"):
        assert any(line.split()[:2] == [name, "SQNR"] for line in shown.splitlines()), shown
    assert {op.dtype for op in Graph.parse(out.read_bytes()).ops if op.op != "QUANTIZE"} == {"INT8"}


def test_a_sample_without_an_input_is_one_line_and_nothing_is_written(
    foreign: Path, samples: Path, tmp_path: Path, said: Said
) -> None:
    np.savez(samples / "day" / "9.npz", picture=np.zeros((1, 8, 8, 3)))
    code, _, error = said("quantize", foreign, "--plan", "int8", "--calibration", samples, "--out", tmp_path / "x")
    assert code != 0
    assert "'state' is missing" in error
    assert "Traceback" not in error
    assert not (tmp_path / "x").exists()


def test_a_sample_that_is_not_finite_is_named(foreign: Path, samples: Path, tmp_path: Path, said: Said) -> None:
    np.savez(samples / "0.npz", picture=np.full((1, 8, 8, 3), np.nan), state=np.zeros((1, 6)))
    code, _, error = said("quantize", foreign, "--plan", "int8", "--calibration", samples, "--out", tmp_path / "x")
    assert code != 0
    assert "'picture' holds NaN" in error


def test_a_damaged_sample_file_is_named(foreign: Path, samples: Path, tmp_path: Path, said: Said) -> None:
    (samples / "night" / "broken.npz").write_bytes(b"PK\x03\x04 no archive")
    code, _, error = said("quantize", foreign, "--plan", "int8", "--calibration", samples, "--out", tmp_path / "x")
    assert code != 0
    assert "broken.npz cannot be read" in error


def test_without_a_plan_it_is_all_int8_and_advice_is_given(
    foreign: Path, samples: Path, tmp_path: Path, said: Said
) -> None:
    code, shown, error = said("quantize", foreign, "--calibration", samples, "--out", tmp_path / "x.tflite")
    assert code == 0, error
    assert "plan int8, every operation as planned" in shown
    assert "ks100 sensitivity" in shown
    assert "held out" in shown


def test_what_stays_float_is_listed_with_its_macs(samples: Path, tmp_path: Path, said: Said) -> None:
    import tensorflow as tf

    weights = tf.constant(np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32))
    module = tf.Module()
    spec = [tf.TensorSpec((1, 6), tf.float32, name="state")]
    module.f = tf.function(lambda state: {"y": tf.matmul(tf.sin(state), weights)}, input_signature=spec)
    concrete = module.f.get_concrete_function()
    (tmp_path / "f.tflite").write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert())
    made = ("quantize", tmp_path / "f.tflite", "--calibration", samples, "--out", tmp_path / "x.tflite")
    code, _, error = said(*made)
    assert code != 0
    assert "SIN cannot be int8" in error
    code, shown, error = said(*made, "--allow-float")
    assert code == 0, error
    assert "1 operations left float, 0 of 24 MACs (0.0 %)" in shown
    assert "(SIN, 0 MACs)" in shown
