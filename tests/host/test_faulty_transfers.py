"""Transfers over failing cables, in virtual time: the right package is installed, or an error says why nothing is."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.faulty_transfers import End, transfer

SEEDS = range(300)


@pytest.fixture(scope="module")
def transfers():
    return [transfer(seed) for seed in SEEDS]


def test_no_fault_of_a_cable_installs_something_else_or_hangs(transfers):
    bad = [one for one in transfers if one.end in (End.WRONG, End.HUNG)]
    assert not bad, f"repeat with: python -m benchmarks.faulty_transfers {' '.join(str(one.seed) for one in bad)}"


def test_most_transfers_get_there_and_the_others_say_why(transfers):
    ends = Counter(one.end for one in transfers)
    assert ends[End.INSTALLED] >= 0.9 * len(SEEDS)
    assert all(one.error for one in transfers if one.end is End.FAILED)
    assert sum(one.sittings > 1 for one in transfers) > 25, "the cables are too good to test resuming"


def test_a_seed_is_the_same_transfer_each_time(transfers):
    assert [transfer(seed) for seed in SEEDS[:10]] == transfers[:10]
