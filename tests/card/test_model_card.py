"""The card: its file, what it says of a wrong one, what is guessed of a graph, and frames to inputs as it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from firmware_bridge.device.graph import Graph, GraphTensor
from ks100.cli.main import cli
from models.captures import CaptureSet
from models.card import CardInput, ModelCard
from models.card.anchors import Anchors
from models.card.decodings import Classifier, Decoding, Detr, Grid, PythonDecoding, Raw, Ssd, Yolo
from models.card.feed import graph_inputs
from models.card.guess import guess_card
from models.errors import DataError, RecipeError
from models.evaluation.class_scores import part_scores
from models.evaluation.evaluation import Evaluation

INPUT = CardInput(name="image", band="lwir", height=32, width=48, colour="rgb", range=(-1.0, 1.0), mean=(0.1, 0.2, 0.3))
YOLO = Yolo(outputs=("p4",), code="distances", strides=(16,), activation="sigmoid")
CARD = ModelCard(classes=("airplane", "bird", "drone"), inputs=(INPUT,), decoding=YOLO, notes='a "quoted" note — é')


@pytest.mark.parametrize(
    "decoding",
    [
        YOLO, Grid(), Raw(), Classifier(scores="s"), Detr(logits="l", boxes="b"), PythonDecoding(python="a.b:c"),
        Ssd(boxes="b", scores="s", anchors=Anchors(strides=(8, 16), sizes=(((1.0, 2.0),), ((3.5, 4.0), (5.0, 6.0))))),
    ],
    ids=lambda decoding: type(decoding).__name__,
)  # fmt: skip
def test_a_card_is_read_as_it_was_written(tmp_path: Path, decoding: Decoding) -> None:
    card, path = replace(CARD, decoding=decoding), tmp_path / "x.card.toml"
    card.save(path)
    assert ModelCard.load(path) == card
    assert ModelCard.of_record(card.record()) == replace(card, notes="")


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('colour = "rgb"', 'colour = "green"', 10, "'green' is not one of rgb, bgr, grey"),
        ("height = 32", 'height = "32"', 8, "is not of type int"),
        ('name = "image"', 'nmae = "image"', 5, "name: is missing"),
        ('code = "distances"', 'cod = "distances"', 17, "unknown field cod"),
        ('type = "yolo"', 'type = "yolo12"', 17, "'yolo12' is not one of grid, ssd, yolo"),
        ("strides = [16]", "", 17, "needs strides"),
        ("mean = [0.1, 0.2, 0.3]", "mean = [0.1]", 5, "mean has 1 values, rgb has 3 channels"),
        ('"bird"', '"drone"', 2, "names a class twice"),
        ("schema = 1", "schema = 9", 1, "this release reads 1"),
        ("[decoding]", "[decoding", 17, "is not a model card"),
    ],
)
def test_a_wrong_card_is_one_line_with_the_line_of_the_fault(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    path = tmp_path / "x.card.toml"
    CARD.save(path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(RecipeError) as caught:
        ModelCard.load(path)
    assert words in str(caught.value)
    assert f":{line}:" in str(caught.value) or f"line {line}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_frame_becomes_an_input_as_the_card_says(sky: Path) -> None:
    captures = CaptureSet.load(sky)
    item = replace(INPUT, height=16, width=16, fit="stretch", agc="none", layout="nchw", std=(0.5, 0.5, 2.0))
    tensor = GraphTensor("image", "float32", (1, 3, 16, 16))
    graph = Graph("", (tensor,), (), (tensor,), (), 0)
    card = replace(CARD, inputs=(item,))
    inputs, transform = graph_inputs(card, graph, captures, 0)
    pixel = 60000 >> 8  # the bright bird in the first third of the upper half, stretched to 16 x 16
    real = np.array([(pixel / 255 * 2 - 1 - m) / s for m, s in ((0.1, 0.5), (0.2, 0.5), (0.3, 2.0))])
    np.testing.assert_allclose(inputs["image"][0, :, 2, 2], real, atol=1e-5)
    assert transform.to_network((0.0, 0.0, 48.0, 32.0)) == pytest.approx((0, 0, 16, 16))
    np.testing.assert_allclose(transform.to_frame(np.array([[4, 8, 16, 16]], np.float32)), [[12, 16, 48, 32]])


@pytest.mark.parametrize(
    ("outputs", "classes", "expected"),
    [
        ([("o", (1, 84, 84))], 80, Yolo(outputs=("o",))),  # 64 + 16 + 4 cells at 64 x 64
        ([("b", (1, 84, 4)), ("s", (1, 84, 3))], 3,
         Yolo(outputs=("b",), scores=("s",), code="distances", strides=(8, 16, 32), activation="sigmoid")),
        ([("o", (1, 252, 9))], 4, Yolo(outputs=("o",), objectness=True, units="fraction")),
        ([("b", (1, 4, 4, 68)), ("a", (1, 8, 8, 68))], 4,
         Yolo(outputs=("a", "b"), code="distances", strides=(8, 16), dfl_bins=16, activation="sigmoid")),
        ([("l", (1, 100, 5)), ("b", (1, 100, 4))], 4, Detr(logits="l", boxes="b")),
        ([("s", (1, 10))], 10, Classifier(scores="s")),
        ([("x", (1, 7, 9, 11))], 0, Raw()),
    ],
)  # fmt: skip
def test_the_likely_decoding_is_guessed_from_the_shapes_of_the_outputs(
    monkeypatch: pytest.MonkeyPatch, outputs: list[tuple[str, tuple[int, ...]]], classes: int, expected: Decoding
) -> None:
    tensors = tuple(GraphTensor(name, "float32", shape) for name, shape in outputs)
    image = GraphTensor("image", "float32", (1, 64, 64, 3))
    monkeypatch.setattr(Graph, "parse", lambda _: Graph("", (image,), tensors, (image, *tensors), (), 0))
    guess = guess_card(b"")
    assert guess.card.decoding == expected
    assert len(guess.card.classes) == classes
    assert any(line.startswith("decoding") for line in guess.lines)


def test_the_bins_of_dfl_follow_from_the_number_of_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    image = GraphTensor("image", "float32", (1, 64, 64, 3))
    levels = (GraphTensor("a", "float32", (1, 16, 16, 35)), GraphTensor("b", "float32", (1, 8, 8, 35)))
    monkeypatch.setattr(Graph, "parse", lambda _: Graph("", (image,), levels, (image, *levels), (), 0))
    decoding = guess_card(b"", ("x", "y", "z")).card.decoding
    assert decoding == Yolo(outputs=("a", "b"), code="distances", strides=(4, 8), dfl_bins=8, activation="sigmoid")


def test_a_foreign_graph_is_evaluated_with_nothing_but_its_card_and_captures(
    bright_yolo_file: Path, sky: Path, tmp_path: Path
) -> None:
    card, out = tmp_path / "y.card.toml", tmp_path / "y.json"
    begun = CliRunner().invoke(
        cli, ["card", str(bright_yolo_file), "--classes", "airplane,bird,drone", "--out", str(card)]
    )
    assert begun.exit_code == 0, begun.output
    assert "yolo, distances from the cells" in begun.output
    card.write_text(card.read_text().replace('band = "eo"', 'band = "lwir"'))
    run = ["evaluate", "--model", str(bright_yolo_file), "--card", str(card), "--captures", str(sky), "--out", str(out)]
    done = CliRunner().invoke(cli, run)
    assert done.exit_code == 0, done.output
    assert "class: bird" in done.output
    found = Evaluation.load(out)
    scores = {(score.axis, score.category): score for score in part_scores(found)}
    assert found.classes == ("airplane", "bird", "drone")
    assert (scores["class", "bird"].ap50, scores["class", "bird"].objects) == (1.0, 30)
    assert (scores["class", "drone"].ap50, scores["class", "drone"].objects) == (0.0, 10)
    assert scores["distance", "near"].ap50 == pytest.approx(0.5)
    assert ("class", "airplane") not in scores  # no object of it
    again = CliRunner().invoke(cli, ["card", str(bright_yolo_file), "--out", str(card)])
    assert (again.exit_code, "fits" in again.output) == (0, True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('band = "lwir"', 'band = "eo"'), "sky has lwir, the card's inputs show eo"),
        (lambda text: text.replace("width = 48", "width = 64"), "says [1, 32, 64, 3], the graph has [1, 32, 48, 3]"),
        (lambda text: text.replace('["p4"]', '["p5"]'), "no output 'p5'; it has p4"),
        (lambda text: text.replace('"bird", ', ""), "needs 6 channels"),
    ],
)  # fmt: skip
def test_a_card_that_does_not_fit_is_one_line_and_a_usage_error(
    bright_yolo_file: Path, sky: Path, tmp_path: Path, change, words: str
) -> None:
    path = tmp_path / "x.card.toml"
    card = ModelCard(classes=CARD.classes, inputs=(replace(INPUT, range=(0.0, 1.0), mean=()),), decoding=YOLO)
    card.save(path)
    path.write_text(change(path.read_text()))
    run = CliRunner().invoke(cli, ["evaluate", str(bright_yolo_file), "--card", str(path), "--captures", str(sky)])
    assert isinstance(run.exception, DataError), run.output
    assert words in str(run.exception)


def test_captures_of_other_classes_are_evaluated_with_every_object_ignored(
    bright_yolo_file: Path, sky: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.card.toml"
    replace(CARD, classes=("tank", "ship", "train")).save(path)
    run = CliRunner().invoke(cli, ["evaluate", str(bright_yolo_file), "--card", str(path), "--captures", str(sky)])
    assert run.exit_code == 0, run.output
    assert "its classes (airplane, bird, drone) are none of the card's: every object is ignored" in run.output
