"""What is kept of a run of ``ks100 flash``, whatever happens to the disk, the terminal, or another run beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ks100.cli.flash_record import FlashEntry, FlashRecord, RecordWriter
from ks100.cli.main import main
from ks100.cli.stops import StoppedError, Stops
from ks100.errors import UsageError

VECTORS = Path(__file__).parents[1] / "vectors"
FLASH = ["flash", str(VECTORS / "accepted-es256.ksm"), "--trust", str(VECTORS / "trust.store")]
NOWHERE = ["--board", "serial:///dev/no-such-port"]


def entry(name: str, *, passed: bool = False) -> FlashEntry:
    return FlashEntry(name, f"ssh://{name}", "S1", "CONFIRMED" if passed else "FAILED", passed, 0 if passed else 3, "")


@pytest.fixture
def nowhere_to_write(tmp_path, monkeypatch):
    """A file stands where each folder should be, which stops root too."""
    blocked = tmp_path / "blocked"
    blocked.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return tmp_path


def test_every_board_is_in_the_record_before_the_first_is_touched(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    seen = []

    def dies(*_, **__):
        [record] = tmp_path.rglob("*.json")
        seen.extend(json.loads(record.read_text())["boards"])
        raise SystemExit(9)

    monkeypatch.setattr("firmware_bridge.host.fleet.flash", dies)
    with pytest.raises(SystemExit):
        main([*FLASH, *NOWHERE, "--board", "ssh://two"])
    assert [(e["name"], e["outcome"], e["passed"]) for e in seen] == [
        ("serial:///dev/no-such-port", "PENDING", False),
        ("ssh://two", "PENDING", False),
    ]


def test_a_state_folder_that_cannot_be_written_moves_the_record_and_says_where(nowhere_to_write, capsys):
    assert main([*FLASH, *NOWHERE]) == 3
    said = capsys.readouterr().err
    assert f"the record of this run is in {nowhere_to_write}/runtime" in said
    assert main([*FLASH, "--retry-failed"]) == 3, "the record was found again"


def test_a_record_that_can_be_written_nowhere_is_printed(nowhere_to_write, monkeypatch, capsys):
    monkeypatch.setattr("ks100.cli.flash_record._is_ours", lambda _: False)
    assert main([*FLASH, *NOWHERE, "--json"]) == 3
    said = capsys.readouterr()
    assert "could not be written" in said.err
    assert '"passed": false' in said.err
    assert json.loads(said.out)["record"] == ""


def test_a_user_without_a_home_is_served(nowhere_to_write, monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError("no home")))
    assert main([*FLASH, *NOWHERE]) == 3


def test_a_record_that_is_damaged_is_named_and_not_taken_for_none(tmp_path):
    path = tmp_path / "r.json"
    path.write_text("{")
    with pytest.raises(UsageError, match=r"r\.json, cannot be read"):
        FlashRecord.load([path])
    RecordWriter([path]).begin([entry("a")], again=False)
    assert [e.name for e in FlashRecord.load([path]).boards] == ["a"]


def test_two_runs_of_a_package_at_once_lose_nothing_of_each_other(tmp_path):
    path = tmp_path / "r.json"
    first, second = RecordWriter([path]), RecordWriter([path])
    first.begin([entry("a")], again=False)
    second.begin([entry("b")], again=False)
    first.end(entry("a", passed=True))
    second.end(entry("b"))
    assert {e.name: e.passed for e in FlashRecord.load([path]).boards} == {"a": True, "b": False}


def test_a_new_run_forgets_those_that_have_ended_and_a_retry_does_not(tmp_path):
    path = tmp_path / "r.json"
    code = (
        "import sys; from pathlib import Path; from ks100.cli.flash_record import *;"
        "RecordWriter([Path(sys.argv[1])]).begin([FlashEntry('old', 'ssh://old')], again=False)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    RecordWriter([path]).begin([entry("new")], again=True)
    assert [e.name for e in FlashRecord.load([path]).boards] == ["old", "new"]
    RecordWriter([path]).begin([entry("new")], again=False)
    assert [e.name for e in FlashRecord.load([path]).boards] == ["new"]


def test_of_several_records_the_newest_counts(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    RecordWriter([old]).begin([entry("old")], again=False)
    RecordWriter([new]).begin([entry("new")], again=False)
    assert [e.name for e in FlashRecord.load([old, new]).boards] == ["new"]


def test_a_display_that_fails_ends_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("ks100.cli.flash_display._text", lambda _: 1 / 0)
    assert main([*FLASH, *NOWHERE]) == 3
    [record] = tmp_path.rglob("*.json")
    assert json.loads(record.read_text())["boards"][0]["outcome"] == "FAILED"


def test_nobody_reading_the_output_changes_no_exit_code(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "ks100.cli", *FLASH, *NOWHERE]
    done = subprocess.run(command, stdout=writing, stderr=writing, env=environment, check=False)
    os.close(writing)
    assert done.returncode == 3
    assert list(tmp_path.rglob("*.json"))


def test_a_full_disk_under_the_output_is_a_fault():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ks100.cli", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 3
    assert done.stderr == "ks100: the output could not be written: No space left on device\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_orders(number):
    before = signal.getsignal(number)
    with Stops() as stops:
        os.kill(os.getpid(), number)
        assert stops.pressed == number
        with pytest.raises((KeyboardInterrupt, StoppedError)):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(number) is before
