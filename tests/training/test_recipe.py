"""Recipes: read strictly, written whole."""

from __future__ import annotations

import pytest

from models.errors import RecipeError
from models.training.recipe import Recipe, known_recipes


@pytest.mark.parametrize("name", known_recipes())
def test_shipped_recipes_load_and_survive_a_round_trip(name):
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert Recipe.parse(recipe.to_toml()) == recipe
    assert Recipe.parse(recipe.to_toml()).digest == recipe.digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed = 1", "name: is missing"),
        ('name = "x"\nseeed = 1', "unknown field seeed; known are name, seed, network"),
        ('name = "x"\nseed = "one"', "seed: 'one' is not of type int"),
        ('name = "x"\n[fit]\nepoch = 1', "fit: unknown field epoch; known are epochs"),
        ('name = "x"\n[fit]\nepochs = 2.5', "is not of type int"),
        ('name = "x"\n[fit]\nepochs = 0', "epochs = 0 is not within 1"),
        ('name = "x"\n[fit]\nema = 1.5', "ema = 1.5 is not within 0 and 1"),
        ('name = "x"\n[fit]\nlearning_rate = nan', "learning_rate = nan"),
        ('name = "x"\n[augmentation]\nflip = true', "augmentation.flip: True is not a number"),
        ('name = "x"\nfit = 3', "fit: is not of the right type"),
        ('name = "x"\nseed = -1', "seed = -1"),
        ("name = ", "recipe:"),
    ],
)
def test_a_wrong_recipe_is_refused_by_field(text, said):
    with pytest.raises(RecipeError, match=said) as caught:
        Recipe.parse(text)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_names_the_shipped_ones():
    with pytest.raises(RecipeError, match="fusion-small-demo"):
        Recipe.load("nosuch")
