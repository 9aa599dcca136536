"""Why a port can or cannot be used, as the system says it: devices, groups and processes as they are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from firmware_bridge.host import port_access
from firmware_bridge.host.port_access import holders_of, inspect_port, latency_timer_ms
from hil.virtual.line import PacedLine


def nothing_runs():
    return frozenset()


@pytest.fixture
def line():
    with PacedLine(115200) as line:
        yield Path(line.host_tty)


def test_a_port_that_is_free_has_nothing_against_it(line, monkeypatch):
    monkeypatch.setattr(port_access, "holders_of", lambda _: ())
    assert inspect_port(line, commands=nothing_runs) == ()


def test_a_port_that_is_not_there_blocks(tmp_path):
    [finding] = inspect_port(tmp_path / "ttyUSB0", commands=nothing_runs)
    assert finding.blocks
    assert "plugged in" in finding.text


def test_whoever_has_a_port_open_is_named(line, sleeper):
    with line.open("rb", buffering=0) as port:
        holder = sleeper(stdin=port)
    assert (holder.pid, "sleep") in holders_of(line)
    texts = [finding.text for finding in inspect_port(line, commands=nothing_runs) if finding.blocks]
    assert f"sleep (process {holder.pid}) has it open; end that program first" in texts


def test_a_bridge_that_nobody_programmed_is_named_and_can_be_used(line):
    found = [f for f in inspect_port(line, "FT232R USB UART", commands=nothing_runs) if "FT232R" in f.text]
    assert [finding.blocks for finding in found] == [False]
    assert inspect_port(line, "KS-100 module", commands=nothing_runs) == inspect_port(line, commands=nothing_runs)


@pytest.mark.parametrize("name", ["ModemManager", "brltty"])
def test_programs_that_write_to_unknown_ports_are_named_where_no_rules_keep_them_off(line, monkeypatch, name):
    monkeypatch.setattr(port_access, "_RULES", ())
    texts = [finding.text for finding in inspect_port(line, commands=lambda: frozenset({name}))]
    assert any(name in text and "ks100 setup udev" in text for text in texts)


def test_a_slow_latency_timer_is_named(tmp_path, line):
    timer = tmp_path / "class/tty" / line.name / "device/latency_timer"
    timer.parent.mkdir(parents=True)
    for value, slow in (("16", True), ("1", False)):
        timer.write_text(value + "\n")
        assert latency_timer_ms(str(line), sysfs=tmp_path) == int(value)
        texts = [finding.text for finding in inspect_port(line, commands=nothing_runs, sysfs=tmp_path)]
        assert any("latency timer is 16 ms" in text for text in texts) is slow


def test_who_may_not_open_a_port_reads_which_group_to_join():
    if os.geteuid() != 0:
        pytest.skip("only root may become somebody who may not")
    folder = Path(tempfile.mkdtemp())  # pytest's own is closed to others
    folder.chmod(0o755)
    port = folder / "port"
    port.touch()
    os.chown(port, 0, 20)
    port.chmod(0o660)
    script = (
        "import os, sys; from pathlib import Path; from firmware_bridge.host.port_access import inspect_port\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "print([(f.blocks, f.text) for f in inspect_port(Path(sys.argv[1]), commands=frozenset)])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(port)], capture_output=True, text=True, check=True)
    assert "is not in the group dialout; run: sudo usermod -aG dialout" in done.stdout
    shutil.rmtree(folder)
