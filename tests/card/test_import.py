"""Front ends: what another framework computes is what the imported graph computes, and what changed is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from firmware_bridge.device.graph import Graph
from ks100.cli.main import cli
from models.card import ModelCard
from models.card.decodings import Classifier, Yolo
from models.errors import DataError, QuantizationError
from models.frontends import environment, import_network
from models.frontends.reference import Conversion, compare_outputs


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["import", *map(str, arguments)])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import keras

    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Conv2D(4, 3, 2, padding="same", activation="silu")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, name="scores")(x))


def test_a_keras_file_becomes_the_same_graph_with_a_card(classifier: Any, tmp_path: Path) -> None:
    classifier.save(tmp_path / "small.keras")
    refused = _run(tmp_path / "small.keras", "--out", tmp_path / "out")
    assert "give its size with --shape image=1,HEIGHT,WIDTH,3" in str(refused.exception)
    assert not (tmp_path / "out").exists()
    made = _run(tmp_path / "small.keras", "--shape", "image=1,16,24,3", "--classes", "a,b,c", "--out", tmp_path / "out")
    assert made.exit_code == 0, made.output
    assert "input image: [?, ?, ?, 3] became [1, 16, 24, 3], as given" in made.output
    graph = Graph.parse((tmp_path / "out/small.tflite").read_bytes())
    card = ModelCard.load(tmp_path / "out/small.card.toml")
    card.check(graph)
    assert (card.classes, type(card.decoding), card.size) == (("a", "b", "c"), Classifier, (16, 24))


def test_a_saved_model_keeps_the_names_of_its_signature(bright_yolo: bytes, tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.scale = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 1, 7)).astype(np.float32))
    spec = tf.TensorSpec((None, 32, 48, 1), tf.float32, name="frame")
    module.run = tf.function(lambda frame: {"p8": tf.nn.conv2d(frame, module.scale, 8, "SAME")}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "net"), signatures={"serving_default": module.run})
    found = import_network(tmp_path / "net", {}, lambda _: None)
    assert found.changes[0] == "input frame: the batch is 1 now"
    assert [(m.name, m.cosine > 0.999999, m.difference < 1e-4) for m in found.outputs] == [("p8", True, True)]
    graph = Graph.parse(found.model)
    assert ([t.name for t in graph.inputs], graph.inputs[0].shape) == (["frame"], (1, 32, 48, 1))


def test_outputs_that_are_not_the_sources_are_refused(bright_yolo: bytes) -> None:
    image = np.random.default_rng(0).random((1, 32, 48, 3), np.float32)
    right = Conversion(bright_yolo, {"image": image}, {"out": np.zeros((1, 2, 3, 7), np.float32)})
    with pytest.raises(QuantizationError, match=r"output p4 is not the source's out: cosine"):
        compare_outputs(right)
    with pytest.raises(QuantizationError, match="has the shape of the source's out"):
        compare_outputs(Conversion(bright_yolo, {"image": image}, {"out": np.zeros((1, 5), np.float32)}))
    with pytest.raises(QuantizationError, match=r"input image: \(1, 32, 48, 3\) in the graph"):
        compare_outputs(Conversion(bright_yolo, {"image": image[:, :8]}, {"out": image}))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("net.pt", "torch.export"), ("net.h5", "save it again with Keras 3"), ("net.tflite", "ks100 card"),
        ("x.bin", "give a .keras"),
    ],
)  # fmt: skip
def test_a_source_of_another_kind_is_named_with_what_to_do(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError, match=words):
        import_network(tmp_path / name, {}, lambda _: None)


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.keras").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"x\.keras cannot be loaded as a Keras 3 file: ") as caught:
        import_network(tmp_path / "x.keras", {}, lambda _: None)
    assert "\n" not in str(caught.value)


def test_an_environment_that_cannot_be_made_is_said_and_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    (tmp_path / "x.onnx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"onnx2tf==1\.29\.24 cannot be made in .*; make one yourself") as caught:
        import_network(tmp_path / "x.onnx", {}, lambda _: None)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob(f"ks100/*/{environment._READY}"))


@pytest.mark.skipif("KS100_ONNX_PYTHON" not in os.environ, reason="name an interpreter with onnx2tf: KS100_ONNX_PYTHON")
def test_an_onnx_file_is_imported_by_an_environment_of_its_own(tmp_path: Path) -> None:
    import subprocess

    python = Path(os.environ["KS100_ONNX_PYTHON"])
    source = tmp_path / "tiny.onnx"
    script = """
import sys, numpy as np, onnx
from onnx import TensorProto as T, helper as h, numpy_helper as n
w = n.from_array(np.random.default_rng(0).normal(size=(7, 3, 8, 8)).astype(np.float32), "w")
conv = h.make_node("Conv", ["images", "w"], ["p8"], strides=[8, 8])
value = h.make_tensor_value_info
ends = [value("images", T.FLOAT, ["n", 3, 32, 48])], [value("p8", T.FLOAT, ["n", 7, 4, 6])]
graph = h.make_graph([conv], "g", *ends, [w])
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 17)]); model.ir_version = 8
onnx.save(model, sys.argv[1])
"""
    subprocess.run([python, "-c", script, source], check=True)
    made = _run(source, "--python", python, "--classes", "a,b,c", "--out", tmp_path / "out")
    assert made.exit_code == 0, made.output
    assert "input images: the channels are last now, they were first" in made.output
    card = ModelCard.load(tmp_path / "out/tiny.card.toml")
    assert isinstance(card.decoding, Yolo)
    card.check(Graph.parse((tmp_path / "out/tiny.tflite").read_bytes()))
