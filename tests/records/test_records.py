"""Records are read back as they were written, and anything else is refused with its place in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.records import RecordFile, derived, plain, structured


class Kind(Enum):
    ONE = "one"
    TWO = "two"


@dataclass(frozen=True)
class Part:
    name: str
    count: int
    kind: Kind = Kind.ONE

    @property
    def double(self) -> int:
        return 2 * self.count


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    value: float
    limit: float | None = None
    sure: bool = True
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    values: NDArray[np.float64]
    classes: NDArray[np.int64]


derived(Part, "double")
FILE = RecordFile(Whole, "a whole", 3, "make it again", RuntimeError)
WHOLE = Whole((Part("a", 1), Part("b", 2, Kind.TWO)), 1.5, notes={"x": "y"})


@given(
    st.builds(
        Whole,
        st.lists(st.builds(Part, st.text(), st.integers(), st.sampled_from(Kind)), max_size=3).map(tuple),
        st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.dictionaries(st.text(), st.text(), max_size=2),
    )
)
def test_what_is_read_equals_what_was_written(whole: Whole) -> None:
    assert FILE.from_json(json.loads(json.dumps(FILE.to_json(whole), allow_nan=False))) == whole


def test_a_derived_property_stands_in_the_file_and_is_computed_again(tmp_path: Path) -> None:
    FILE.save(WHOLE, tmp_path / "w.json")
    item = json.loads((tmp_path / "w.json").read_text())
    assert item["parts"][1]["double"] == 4
    item["parts"][1]["double"] = 99
    (tmp_path / "w.json").write_text(json.dumps(item))
    assert FILE.load(tmp_path / "w.json") == WHOLE


def test_nan_is_null_and_comes_back_where_a_number_must_stand() -> None:
    item = plain(Whole((), math.nan))
    assert item["value"] is None
    found = structured(Whole, item)
    assert math.isnan(found.value)
    assert found.limit is None


def test_arrays_keep_their_type_and_their_gaps() -> None:
    item = json.loads(json.dumps(plain(Column(np.array([1.0, math.nan]), np.array([], np.int64))), allow_nan=False))
    found = structured(Column, item)
    np.testing.assert_array_equal(found.values, [1.0, math.nan])
    assert (found.values.dtype, found.classes.dtype, found.classes.shape) == (np.float64, np.int64, (0,))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda item: item.pop("value"), "value: is missing"),
        (lambda item: item["parts"][1].pop("name"), "parts[1].name: is missing"),
        (lambda item: item["parts"][0].update(more=1), "parts[0]: unknown field more; known are name, count, kind"),
        (lambda item: item["parts"][0].update(count="1"), "parts[0].count: '1' is not of type int"),
        (lambda item: item["parts"][0].update(count=1.0), "parts[0].count: 1.0 is not of type int"),
        (lambda item: item["parts"][0].update(count=True), "parts[0].count: True is not of type int"),
        (lambda item: item["parts"][0].update(name=None), "parts[0].name: None is not a string"),
        (lambda item: item["parts"][0].update(kind="three"), "parts[0].kind: 'three' is not a valid Kind"),
        (lambda item: item.update(value="1.5"), "value: '1.5' is not a number"),
        (lambda item: item.update(sure=1), "sure: 1 is not of type bool"),
        (lambda item: item.update(parts=7), "parts: is not of the right type"),
        (lambda item: item.update(parts=["a"]), "parts[0]: is not of the right type"),
        (lambda item: item.update(notes=[]), "notes: is not of the right type"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(tmp_path: Path, change: Any, words: str) -> None:
    item = FILE.to_json(WHOLE)
    change(item)
    path = tmp_path / "w.json"
    path.write_text(json.dumps(item))
    with pytest.raises(RuntimeError) as caught:
        FILE.load(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}: not a whole: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"parts": []}', '{"schema": 4}', "\x00"])
def test_what_is_no_record_at_all_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.json"
    path.write_text(text)
    with pytest.raises(RuntimeError, match="a whole") as caught:
        FILE.load(path)
    assert "\n" not in str(caught.value)


def test_a_record_of_another_release_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match="a whole of schema 4, this release reads 3; make it again"):
        FILE.from_json({"schema": 4})
