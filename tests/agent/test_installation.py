"""Installing the agent: the script is valid, does what the unit needs, and a failing board is an error in one line."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from firmware_bridge.agent.installation import Installation, install_script
from firmware_bridge.agent.serve_command import parser
from firmware_bridge.errors import InputError
from ks100.cli.main import main


def _unit(script: str) -> str:
    return script.partition("<<'KS100-UNIT'\n")[2].partition("KS100-UNIT\n")[0]


def _serve_options(unit: str):
    (line,) = (line for line in unit.splitlines() if line.startswith("ExecStart="))
    return parser().parse_args(shlex.split(line.partition("=")[2])[5:])


def test_the_script_is_valid_shell():
    subprocess.run(["sh", "-n"], input=install_script(Installation("/tmp/k.whl")), text=True, check=True)


def test_the_unit_starts_the_agent_with_the_options_of_this_board():
    options = _serve_options(_unit(install_script(Installation("/tmp/k.whl", "/dev/ttyAMA0", "/usr/lib/libnpu.so"))))
    assert (options.serial, str(options.delegate)) == ("/dev/ttyAMA0", "/usr/lib/libnpu.so")
    none = install_script(Installation("/tmp/k.whl", serial=""))
    assert _serve_options(_unit(none)).serial is None
    assert "serial-getty@" not in none.replace(_unit(none), "")


def test_the_unit_keeps_its_watchdog_and_its_walls():
    unit = _unit(install_script(Installation("/tmp/k.whl")))
    for line in ("Type=notify", "WatchdogSec=30", "StateDirectory=ks100", "NoNewPrivileges=yes", "MemoryMax=192M"):
        assert line in unit.splitlines()


@pytest.mark.parametrize("path", ["ttyS1", "/dev/tty S1", "/dev/ttyS1\nUser=root", "/dev/$(id)", "/x;y", "/a%n"])
def test_a_path_that_a_unit_would_read_otherwise_is_refused(path):
    with pytest.raises(InputError, match="plain absolute path"):
        install_script(Installation("/tmp/k.whl", serial=path))


def _board(tmp_path, monkeypatch, ssh: str) -> None:
    for name, text in (("scp", "exit 0"), ("ssh", ssh)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_install_sends_the_script_to_the_board(tmp_path, monkeypatch, capsys):
    wheel = tmp_path / "ks100-1-py3-none-any.whl"
    wheel.write_bytes(b"")
    _board(tmp_path, monkeypatch, f'cat >> {tmp_path}/sent; echo "$@" >> {tmp_path}/sent')
    assert main(["agent", "install", "root@board", "--wheel", str(wheel)]) == 0
    sent = (tmp_path / "sent").read_text()
    assert "systemctl restart ks100-agent.service" in sent
    assert "'/var/tmp/ks100-1-py3-none-any.whl[board]'" in sent or "/var/tmp/ks100-1-py3-none-any.whl[board]" in sent
    assert "the agent is up" in capsys.readouterr().out


def test_a_board_that_refuses_is_a_board_fault_in_one_line(tmp_path, monkeypatch, capsys):
    wheel = tmp_path / "k.whl"
    wheel.write_bytes(b"")
    _board(tmp_path, monkeypatch, "echo 'needs root: log in as root' >&2; exit 3")
    assert main(["agent", "install", "me@board", "--wheel", str(wheel)]) == 3
    assert "needs root" in capsys.readouterr().err
