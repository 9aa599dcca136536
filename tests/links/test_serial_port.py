"""Opening a serial port: for this program alone, and with a reason when it does not work."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from firmware_bridge.errors import BenchError, InputError
from firmware_bridge.links.cable import SerialCable
from firmware_bridge.links.serial import latency_timer_ms, open_serial
from firmware_bridge.links.tty import tty_link


@pytest.fixture
def cable():
    with SerialCable(0) as cable:
        yield cable


def test_a_port_is_opened_by_one_program_only(cable):
    first = open_serial(cable.host_path, 115200)
    with pytest.raises(BenchError, match="in use"):
        open_serial(cable.host_path, 115200)
    first.close()
    open_serial(cable.host_path, 115200).close()


def test_a_living_lock_file_is_honoured_and_a_stale_one_is_not(cable, tmp_path):
    sleeper = subprocess.Popen(["sleep", "60"])
    lock = tmp_path / f"LCK..{Path(cable.host_path).name}"
    lock.write_text(f"{sleeper.pid:10d}\n")
    try:
        with pytest.raises(BenchError, match=f"process {sleeper.pid}"):
            open_serial(cable.host_path, 115200, lock_folders=(tmp_path,))
    finally:
        sleeper.kill()
        sleeper.wait()
    open_serial(cable.host_path, 115200, lock_folders=(tmp_path,)).close()


def test_a_port_that_is_not_there(tmp_path):
    with pytest.raises(BenchError, match="no serial port"):
        open_serial(str(tmp_path / "ttyUSB7"), 115200)


def test_a_file_that_is_no_terminal(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot open"):
        open_serial(str(tmp_path / "file"), 115200)
    with pytest.raises(BenchError, match="not a terminal"):
        tty_link(str(tmp_path / "file"), 115200)


def test_a_baud_rate_that_does_not_exist(cable):
    with pytest.raises(InputError, match="baud"):
        tty_link(cable.board_path, 123)


def test_the_latency_timer_of_an_ftdi_port_is_read_and_absent_elsewhere(tmp_path):
    timer = tmp_path / "class/tty/ttyUSB0/device"
    timer.mkdir(parents=True)
    (timer / "latency_timer").write_text("16\n")
    assert latency_timer_ms("/dev/ttyUSB0", sysfs=tmp_path) == 16
    assert latency_timer_ms("/dev/ttyS0", sysfs=tmp_path) is None


def test_a_cable_carries_at_the_lines_pace():
    import time

    with SerialCable(115200, turnaround_s=0.02) as cable:
        host, board = open_serial(cable.host_path, 115200), tty_link(cable.board_path, 115200)
        begun = time.monotonic()
        host.write(bytes([1]) * 5760)
        got = b""
        while len(got) < 5760:
            got += board.read(1.0)
        passed = time.monotonic() - begun
        host.close()
        board.close()
    assert 0.5 <= passed < 0.7, f"5760 bytes at 115200 baud take 0.51 s, took {passed:.2f}"
