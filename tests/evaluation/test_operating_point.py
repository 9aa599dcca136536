"""The threshold that promises a recall: the promise holds as often as it says, in every condition."""

from __future__ import annotations

import numpy as np
import pytest

from models.card import ModelCard
from models.errors import DataError
from models.evaluation.metrics import evaluate
from models.evaluation.operating_point import (
    SceneFinds,
    fit_operating_point,
    kept_recall,
    p_value,
    valid_threshold,
)
from tests.evaluation.synthetic import captures_of, detections_of


def _scenes(count: int, rng: np.random.Generator) -> list[SceneFinds]:
    """Scenes of one to six objects, found by chance of their difficulty, with scores that follow it."""
    scenes = []
    for _ in range(count):
        objects = int(rng.integers(1, 7))
        ease = rng.beta(6, 1)
        found = rng.binomial(objects, ease)
        scenes.append(SceneFinds(objects, rng.beta(1 + 6 * ease, 2, found)))
    return scenes


def test_the_promise_holds_in_as_many_splits_as_its_confidence_says():
    rng = np.random.default_rng(5)
    population = _scenes(4000, rng)
    grid = np.linspace(0, 1, 501)
    risk = np.mean([scene.risk(grid) for scene in population], axis=0)
    splits, broken = 400, 0
    for _ in range(splits):
        drawn = [population[index] for index in rng.integers(0, len(population), 80)]
        threshold = valid_threshold(drawn, 0.7, 0.95)
        broken += threshold is not None and float(np.interp(threshold, grid, risk)) > 0.3
    assert broken <= 0.05 * splits


def test_more_scenes_allow_a_higher_threshold():
    scenes = _scenes(2000, np.random.default_rng(6))
    few, many = valid_threshold(scenes[:60], 0.7, 0.95), valid_threshold(scenes, 0.7, 0.95)
    assert few is not None
    assert many is not None
    assert few < many


def test_the_p_value_is_the_smaller_of_both_bounds_and_never_over_one():
    # Hoeffding: exp(-50 * KL(0.1 || 0.3)), KL = 0.1 ln(1/3) + 0.9 ln(0.9/0.7) = 0.11632
    assert p_value(np.array([0.1]), 50, 0.3)[0] == pytest.approx(min(np.exp(-50 * 0.116322), np.e * 0.000731), rel=0.02)
    assert p_value(np.array([0.3, 0.9]), 50, 0.3).tolist() == [1.0, 1.0]


def test_every_condition_keeps_the_recall_on_what_it_was_fitted_on():
    captures = captures_of(320)
    found = evaluate(captures, detections_of(captures, recall=0.9), "m")
    point = fit_operating_point(found, 0.7, 0.95)
    for part in found.slices:
        assert kept_recall(found, point.score, part.axis, part.category) >= 0.7


def test_a_promise_that_cannot_be_given_names_the_condition_and_what_it_would_take():
    captures = captures_of(48)
    found = evaluate(captures, detections_of(captures, recall=0.8), "m")
    with pytest.raises(DataError, match=r"keeps a recall of 0.6 .* that takes \d+ scenes"):
        fit_operating_point(found, 0.6, 0.95)
    with pytest.raises(DataError, match=r"promise less$"):
        fit_operating_point(found, 0.95, 0.95)


def test_it_is_written_into_a_card_and_another_graphs_threshold_is_shown(said, tmp_path, bright_card):
    captures = captures_of(320)
    for name, seed in (("int8", 1), ("float", 2)):
        evaluate(captures, detections_of(captures, seed, recall=0.9), name).save(tmp_path / f"{name}.json")
    card = tmp_path / "int8.card.toml"
    bright_card.save(card)
    code, out, err = said("operating-point", tmp_path / "int8.json", "--card", card, "--float", tmp_path / "float.json")
    assert (code, err) == (0, "")
    assert "int8, at float's threshold" in out
    point = ModelCard.load(card).operating_point
    assert point is not None
    assert (point.recall, point.confidence, point.data) == (0.7, 0.95, captures.digest)


@pytest.fixture
def bright_card() -> ModelCard:
    from models.card import CardInput
    from models.card.decodings import Grid

    return ModelCard(
        classes=("car",), decoding=Grid(),
        inputs=(CardInput(name="eo", band="eo", height=64, width=64, colour="rgb"),),
    )  # fmt: skip
