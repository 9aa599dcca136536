"""Opening a serial port: for this program alone, and with a reason when it does not work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firmware_bridge.errors import BenchError, InputError
from firmware_bridge.links.serial import open_serial
from firmware_bridge.links.tty import tty_link
from hil.virtual.line import PacedLine


@pytest.fixture
def line():
    with PacedLine(115200) as line:
        yield line


def test_a_port_is_opened_by_one_program_only(line):
    first = open_serial(line.host_tty, 115200)
    with pytest.raises(BenchError, match="in use"):
        open_serial(line.host_tty, 115200)
    first.close()
    open_serial(line.host_tty, 115200).close()


def test_a_living_lock_file_is_honoured_and_a_stale_one_is_not(line, tmp_path, sleeper):
    owner = sleeper()
    lock = tmp_path / f"LCK..{Path(line.host_tty).name}"
    lock.write_text(f"{owner.pid:10d}\n")
    with pytest.raises(BenchError, match=rf"process {owner.pid} \(sleep\), by the lock file {lock}"):
        open_serial(line.host_tty, 115200, lock_folders=(tmp_path,))
    lock.write_text(f"{owner.pid:10d} minicom root\n")  # the number belongs to another program by now
    open_serial(line.host_tty, 115200, lock_folders=(tmp_path,)).close()
    lock.write_text(f"{owner.pid:10d}\n")
    os.utime(lock, (0, 0))  # older than the process
    open_serial(line.host_tty, 115200, lock_folders=(tmp_path,)).close()
    lock.write_text(f"{owner.pid:10d}\n")
    owner.kill()
    owner.wait()
    open_serial(line.host_tty, 115200, lock_folders=(tmp_path,)).close()


def test_a_port_that_is_not_there(tmp_path):
    with pytest.raises(BenchError, match="no serial port"):
        open_serial(str(tmp_path / "ttyUSB7"), 115200)


def test_a_file_that_is_no_terminal(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot open"):
        open_serial(str(tmp_path / "file"), 115200)
    with pytest.raises(BenchError, match="not a terminal"):
        tty_link(str(tmp_path / "file"), 115200)


def test_a_baud_rate_that_does_not_exist(line):
    with pytest.raises(InputError, match="baud"):
        tty_link(line.board_tty, 123)
