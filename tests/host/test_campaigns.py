"""The campaigns of the benchmark, a few runs: boards die, disks fill up, hosts are killed, adapters are pulled out."""

from __future__ import annotations

from benchmarks.flash_campaign import Campaign, fault_of
from benchmarks.replug import replugged
from ks100.cli.flash_record import FlashEntry


def test_whatever_fails_the_records_of_twelve_boards_are_right(tmp_path):
    campaign = Campaign(tmp_path / "runs")
    campaign.run(2)
    assert campaign.lost == []
    resumed = Campaign(tmp_path / "runs")
    assert resumed.done == campaign.done


def test_a_record_that_is_wrong_is_noticed():
    done = FlashEntry("a", "emu:a", passed=True, outcome="CONFIRMED")
    pending = FlashEntry("a", "emu:a")
    assert fault_of(done, runs_it=True, statements=1, sessions=1, ended=True) == ""
    assert "does not run" in fault_of(done, runs_it=False, statements=1, sessions=1, ended=True)
    assert "no statement" in fault_of(done, runs_it=True, statements=0, sessions=1, ended=True)
    assert "more than once" in fault_of(done, runs_it=True, statements=2, sessions=1, ended=True)
    assert "not in the record" in fault_of(None, runs_it=False, statements=0, sessions=1, ended=False)
    assert "no end" in fault_of(pending, runs_it=True, statements=0, sessions=1, ended=True)
    assert fault_of(pending, runs_it=True, statements=0, sessions=1, ended=False) == ""


def test_an_adapter_that_is_pulled_out_and_put_back_goes_on_where_it_was():
    assert replugged(1) == ""
