"""``ks100 provision --authorize`` over a real sshd: a key that was a stranger's reaches the agent afterwards."""

from __future__ import annotations

import getpass
import os
import sys
import threading
import time

import pytest

from firmware_bridge.agent.daemon import run_daemon
from firmware_bridge.agent.state.storage import LocalStorage
from ks100.cli.main import main
from tests.links.own_sshd import SSHD, OwnSshd
from tests.powercut.board import boot
from tests.powercut.signing_kit import SigningKit

pytestmark = pytest.mark.skipif(not os.access(SSHD, os.X_OK), reason="no sshd: apt-get install openssh-server")


@pytest.fixture
def board(tmp_path):
    """An agent behind an sshd whose user ks100 lives in ``tmp_path/home``: here its name is ours."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, does in (("getent", f"echo ks100:x:1:1::{tmp_path}/home:/bin/sh"), ("chown", "exit 0")):
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    socket, stop = tmp_path / "agent.sock", threading.Event()
    service = boot(LocalStorage(tmp_path / "state"), serial="A-1")
    agent = threading.Thread(target=run_daemon, args=(service, str(socket)), kwargs={"stop": stop})
    agent.start()
    server = OwnSshd(
        tmp_path, f"{sys.executable} -I -m firmware_bridge.agent attach --socket {socket}",
        f"SetEnv PATH={tools}:/usr/bin:/bin\n", keys=f"{tmp_path}/home/.ssh/authorized_keys",
    )  # fmt: skip
    for _ in range(100):
        if socket.exists():
            break
        time.sleep(0.05)
    yield server
    server.stop()
    stop.set()
    agent.join(5)


def url(server: OwnSshd, key: str) -> str:
    files = f"identity={server.folder}/{key}&known_hosts={server.known_hosts}&config=/dev/null"
    return f"ssh://{getpass.getuser()}@127.0.0.1:{server.port}?{files}"


def test_a_key_that_is_authorized_reaches_the_agent_and_nothing_else_is_lost(board, tmp_path, capsys):
    store = tmp_path / "trust.ksr"
    store.write_bytes(SigningKit().trust())
    assert main(["boards", "info", url(board, "other")]) == 3
    kept = tmp_path / "home/.ssh/authorized_keys"
    kept.parent.mkdir(parents=True)
    kept.write_text("restrict ssh-ed25519 AAAAOLD old\n")
    given = ["--trust", str(store), "--yes", "--authorize", str(tmp_path / "other.pub")]
    for _ in range(2):  # a second time changes nothing
        code = main(["provision", url(board, "id"), *given, "--admin", url(board, "id")])
        assert code == 0, capsys.readouterr().err
    lines = kept.read_text().splitlines()
    assert lines[0] == "restrict ssh-ed25519 AAAAOLD old"
    assert lines[1:] == [f"restrict {(tmp_path / 'other.pub').read_text().strip()}"]
    assert kept.stat().st_mode & 0o077 == 0
    capsys.readouterr()
    assert main(["boards", "info", url(board, "other")]) == 0
    assert "A-1" in capsys.readouterr().out


def test_an_administrator_who_is_not_let_in_is_a_fault_of_the_bench(board, tmp_path, capsys):
    store = tmp_path / "trust.ksr"
    store.write_bytes(SigningKit().trust())
    given = ["--trust", str(store), "--yes", "--authorize", str(tmp_path / "other.pub")]
    code = main(["provision", url(board, "id"), *given, "--admin", url(board, "other")])
    assert code == 3
    assert "does not accept a key" in capsys.readouterr().err
