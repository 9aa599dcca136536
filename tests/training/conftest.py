"""One smoke run of FP32 training, shared by the tests of this folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of a trained network as slow."""
    for item in items:
        here = item.path.parent == Path(__file__).parent
        if here and {"trained", "interrupted"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def sets():
    """Small disjoint sets: train, validation, calibration."""
    from models.scenes import SceneSpec, generate

    sizes = {"train": 16, "validation": 8, "calibration": 4}
    return {name: generate(SceneSpec(5, count, name=name), workers=1) for name, count in sizes.items()}


@pytest.fixture(scope="session")
def recipe():
    """The smoke recipe."""
    from models.training import Recipe

    return Recipe.load("fusion-small-smoke")


@pytest.fixture(scope="session")
def trained(sets, recipe, tmp_path_factory) -> tuple[object, Path, list]:
    """A network trained by the smoke recipe, its folder, and the events on the way."""
    from models.training import train

    folder, events = tmp_path_factory.mktemp("float"), []
    network = train(recipe, sets["train"], sets["validation"], folder, events.append)
    return network, folder, events
