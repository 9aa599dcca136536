"""The order of the suite: a person reads a run from who the board is to what it refuses."""

from __future__ import annotations

import pytest

_ORDER = (
    "identity", "health", "install", "start", "latency", "power", "parity", "accuracy", "endurance", "rejections",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the suite's own tests among themselves; tests of others stay where they are."""
    places = [i for i, item in enumerate(items) if _module(item).startswith("hil.suite.")]
    ours = sorted((items[i] for i in places), key=_rank)
    for place, item in zip(places, ours, strict=True):
        items[place] = item


def _module(item: pytest.Item) -> str:
    return str(getattr(getattr(item, "module", None), "__name__", ""))


def _rank(item: pytest.Item) -> int:
    name = _module(item).rpartition(".")[2].removeprefix("test_")
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
