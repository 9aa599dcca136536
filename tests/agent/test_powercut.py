"""The power-cut campaign: it counts every point, finds nothing on the real storage, and finds what is broken."""

from __future__ import annotations

import pytest

from hil.virtual.disk import Moment
from tests.powercut.broken_disks import BROKEN
from tests.powercut.campaign import run_scenario
from tests.powercut.parallel import check_broken
from tests.powercut.scenarios import scenarios
from tests.powercut.signing_kit import SigningKit


@pytest.fixture(scope="module")
def by_name():
    return {scenario.name: scenario for scenario in scenarios(SigningKit())}


def test_every_act_that_changes_the_storage_is_a_scenario(by_name):
    acts = ("install", "confirm", "fall back", "floor raise", "trust update", "chunk collection")
    assert all(any(act in name for name in by_name) for act in acts)


@pytest.mark.parametrize("name", ["first install", "chunk collection"])
def test_a_cut_anywhere_harms_no_board(by_name, name):
    result = run_scenario(by_name[name], second_cuts=False)
    assert result.findings == []
    assert result.single >= 8 * result.operations, "before and after each operation, with four fates"


@pytest.mark.slow
def test_a_second_cut_while_the_board_recovers_harms_it_no_more(by_name):
    result = run_scenario(by_name["trust update"])
    assert result.findings == []
    assert result.double > 10_000


@pytest.mark.parametrize("fault", BROKEN)
def test_a_store_that_is_broken_on_purpose_is_caught(fault):
    assert check_broken(fault).caught, fault


def test_a_write_is_torn_at_more_than_one_place(by_name):
    from hil.virtual.disk import SimulatedDisk
    from tests.powercut.board import boot
    from tests.powercut.recording import RecordingDisk

    disk = RecordingDisk(SimulatedDisk())
    boot(disk)
    torn = [point for point in disk.points if point.moment is Moment.WITHIN and "audit/notes" in point.operation]
    lengths = {len(dict(point.disk.contents())["audit/notes"]) for point in torn}
    assert len(torn) == len(lengths) == 3
