"""A board whose disk is full or read-only comes up on its confirmed model, answers, and refuses to write by name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.board_kit import boot, slot_states
from tests.agent.small_disk import Prepared, fill, make_trouble, read_only, small_disk


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Prepared]:
    try:
        with small_disk(tmp_path / "disk") as disk:
            yield Prepared(disk)
    except OSError as error:
        pytest.skip(f"{error}; run as root where mount is allowed")


def test_a_full_disk_keeps_no_board_from_its_confirmed_model(prepared: Prepared) -> None:
    fill(prepared.disk)
    assert prepared.boots_as_it_must() == ""
    assert prepared.boots_as_it_must() == "", "also the second time, since nothing could be written"


def test_a_read_only_disk_keeps_no_board_from_its_confirmed_model(prepared: Prepared) -> None:
    fill(prepared.disk)
    read_only(prepared.disk)
    assert prepared.boots_as_it_must() == ""


def test_with_room_again_the_board_writes_down_what_it_found(prepared: Prepared) -> None:
    fill(prepared.disk)
    boot(prepared.state)
    (prepared.disk / "filler").unlink()
    service = boot(prepared.state)
    assert slot_states(service) == {"a": "confirmed", "b": "installed"}
    assert boot(prepared.state).info().active == "a"


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_copy_and_leftovers_change_nothing_of_that(prepared: Prepared, seed: int) -> None:
    make_trouble(prepared, random.Random(seed))
    assert prepared.boots_as_it_must() == ""
