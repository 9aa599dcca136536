"""The real agent's own command line, as on a board: serve, attach, the unit file."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import firmware_bridge.agent
from firmware_bridge.agent.serve_command import parser
from firmware_bridge.errors import TransferError
from firmware_bridge.host.board import Board
from firmware_bridge.links.descriptor import DescriptorLink
from tests.agent.board_kit import Graph, graph_bytes, random_inputs

_AGENT = [sys.executable, "-I", "-m", "firmware_bridge.agent"]


@pytest.fixture
def agent(tmp_path):
    """A running agent; gives its socket's path, its process, and a way to attach."""
    path = tmp_path / "run" / "agent.sock"
    command = [*_AGENT, "serve", "--state", str(tmp_path / "state"), "--socket", str(path), "--serial-number", "REAL-1"]
    process = subprocess.Popen([*command, "--hwmon", str(tmp_path)], stderr=subprocess.PIPE)
    attached = []

    def attach():
        child = subprocess.Popen([*_AGENT, "attach", "--socket", str(path)], stdin=-1, stdout=-1, bufsize=0)
        attached.append(child)
        link = DescriptorLink(os.dup(child.stdout.fileno()), os.dup(child.stdin.fileno()), name="attach", reliable=True)
        child.stdin.close()
        child.stdout.close()
        return Board(link, "test")

    yield path, process, attach
    process.terminate()
    process.wait(timeout=10)
    process.stderr.close()
    for child in attached:
        child.wait(timeout=10)


def test_a_model_goes_onto_a_board_through_attach(agent, office):
    path, _, attach = agent
    package = office.package(graph_bytes(padding_bytes=200_000))
    with attach() as board:
        assert (board.welcome.serial, board.info().emulated, board.info().rails) == ("REAL-1", False, ())
        board.provision(office.trust())
        board.activate(board.push(package).slot)
        board.confirm()
        assert board.infer(random_inputs(Graph.parse(package.payload()))).outputs.keys() == {"map_2", "kin_2"}
        measured = board.measure(frames=5, warmup=1, rate_hz=0, idle_s=0.05)
        assert (measured.npu_ops, measured.cpu_ops) == (0, 5)
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_an_agent_that_is_told_to_end_ends_cleanly_with_a_session_open(agent):
    _, process, attach = agent
    with attach() as board:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        with pytest.raises(TransferError):
            board.info()


def test_sixteen_sessions_leave_the_board_usable(agent):
    _, _, attach = agent
    boards = [attach() for _ in range(16)]
    with pytest.raises(TransferError):
        attach()
    for board in boards:
        assert board.info().serial == "REAL-1"
        board.close()
    deadline_s = time.monotonic() + 10
    while True:
        try:
            with attach() as again:
                assert again.info().serial == "REAL-1"
            break
        except TransferError:
            assert time.monotonic() < deadline_s


def test_noise_on_the_socket_does_not_end_the_agent(agent):
    from firmware_bridge.agent.sockets import connect_unix

    path, process, attach = agent
    with attach() as board:
        assert board.info()
    for noise in (b"\0" * 5000, os.urandom(100_000), b"\x01" * 10**6):
        with connect_unix(str(path)) as connected:
            try:
                connected.sendall(noise)
            except (BrokenPipeError, ConnectionResetError):
                continue
    with attach() as board:
        assert board.info().serial == "REAL-1"
    assert process.poll() is None


def test_attach_says_when_no_agent_runs(tmp_path, monkeypatch, capfd):
    from firmware_bridge.agent import attach

    monkeypatch.setattr(attach, "_WAIT_S", 0.1)
    assert attach.attach(str(tmp_path / "none.sock")) == 1
    assert "does not answer" in capfd.readouterr().err


def test_the_unit_file_starts_the_agent_with_options_that_it_has():
    unit = Path(firmware_bridge.agent.__file__).with_name("ks100-agent.service").read_text()
    lines = [line.partition("=") for line in unit.splitlines() if "=" in line and not line.startswith("#")]
    values = {name: value for name, _, value in lines}
    command = shlex.split(values["ExecStart"].replace("${STATE_DIRECTORY}", "/s").replace("${RUNTIME_DIRECTORY}", "/r"))
    assert command[1:5] == ["-I", "-m", "firmware_bridge.agent", "serve"]
    options = parser().parse_args(command[5:])
    assert (options.state, options.socket, options.serial) == (Path("/s"), "/r/agent.sock", "/dev/ttyS1")
    assert (values["Type"], values["Restart"]) == ("notify", "always")
