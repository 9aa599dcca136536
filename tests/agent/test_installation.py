"""Installing the agent: the script is valid, does what the unit needs, and a failing board is an error in one line."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from firmware_bridge.agent.installation import Installation, install_script
from firmware_bridge.agent.serve_command import parser
from firmware_bridge.errors import InputError
from ks100.cli.main import main
from tests.links.own_sshd import SSHD, OwnSshd


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


_BOARD = """
[ -f {folder}/refuse ] && {{ echo "needs root: log in as root" >&2; exit 3; }}
echo "$SSH_ORIGINAL_COMMAND" >> {folder}/commands
cat >> {folder}/sent
"""


@pytest.fixture
def board(tmp_path):
    """A real OpenSSH server that writes down what it is to run, and runs none of it."""
    if not Path(SSHD).exists():
        pytest.skip("no sshd: apt-get install openssh-server")
    (tmp_path / "board.sh").write_text(_BOARD.format(folder=tmp_path))
    server = OwnSshd(tmp_path, "/bin/false", f"ForceCommand /bin/sh {tmp_path}/board.sh\n")
    yield server
    server.stop()


def _install(board: OwnSshd, wheel: Path, more: str = "") -> int:
    wheel.write_bytes(b"PK\x03\x04the wheel\0\n")
    files = f"identity={board.identity}&known_hosts={board.known_hosts}&config=/dev/null"
    return main(["agent", "install", f"ssh://{board.user}@127.0.0.1:{board.port}?{files}{more}", "--wheel", str(wheel)])


def test_install_sends_wheel_and_script_to_the_board_by_its_address(board, tmp_path, capsys):
    assert _install(board, tmp_path / "ks100-1-py3-none-any.whl") == 0
    assert (tmp_path / "commands").read_text().splitlines()[0] == "cat > /var/tmp/ks100-1-py3-none-any.whl"
    sent = (tmp_path / "sent").read_bytes()
    script = install_script(Installation("/var/tmp/ks100-1-py3-none-any.whl"))
    assert sent == b"PK\x03\x04the wheel\0\n" + script.encode()
    out = capsys.readouterr().out
    assert "the agent is running" in out
    assert f"'ssh://ks100@127.0.0.1:{board.port}?known_hosts=" in out


def test_a_board_that_refuses_is_a_board_fault_in_one_line(board, tmp_path, capsys):
    (tmp_path / "refuse").touch()
    assert _install(board, tmp_path / "k.whl") == 3
    assert capsys.readouterr().err.splitlines() == [
        f"ks100: ssh://{board.user}@127.0.0.1:{board.port}: cat failed with exit code 3: needs root: log in as root"
    ]


def test_a_login_that_fails_is_told_as_for_every_link(board, tmp_path, capsys):
    board.write_known_hosts("other")
    assert _install(board, tmp_path / "k.whl") == 3
    assert "has CHANGED" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["-oProxyCommand=id", "serial:///dev/ttyS1", "ssh://b?client=paramiko", ""])
def test_what_openssh_does_not_reach_is_no_host(tmp_path, host, capsys):
    (tmp_path / "k.whl").touch()
    assert main(["agent", "install", "--wheel", str(tmp_path / "k.whl"), "--", host]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
