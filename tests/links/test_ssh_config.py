"""SSH as the user has configured it: aliases, jump hosts, agents, key files; with real OpenSSH servers in a row."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import paramiko
import pytest

from firmware_bridge.errors import BenchError
from firmware_bridge.host.address import BoardAddress
from firmware_bridge.host.open import open_link
from firmware_bridge.links.conformance import read_exactly
from firmware_bridge.links.ssh import open_ssh
from firmware_bridge.links.ssh_route import find_route
from tests.links.own_sshd import SSHD, OwnSshd

needs_sshd = pytest.mark.skipif(not Path(SSHD).exists(), reason="no sshd: apt-get install openssh-server")

ECHO = """
import os
os.write(1, b"here")
while data := os.read(0, 4096):
    os.write(1, data)
"""
RELAY = """
import os, socket, sys, threading
there = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def back():
    while data := there.recv(65536):
        os.write(1, data)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    there.sendall(data)
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two servers with keys of their own: a jump host without the agent, and the board."""
    jump = OwnSshd(tmp_path_factory.mktemp("jump"), "/bin/false")
    folder = tmp_path_factory.mktemp("board")
    (folder / "echo.py").write_text(ECHO)
    board = OwnSshd(folder, f"{sys.executable} {folder}/echo.py")
    yield jump, board
    jump.stop()
    board.stop()


def entry(alias: str, server: OwnSshd, *more: str) -> str:
    lines = [f"HostName 127.0.0.1\nPort {server.port}\nUser {server.user}\nUserKnownHostsFile {server.known_hosts}"]
    return f"Host {alias}\n" + "\n".join([*lines, *more]) + "\n"


def key_of(server: OwnSshd) -> str:
    return f"IdentityFile {server.identity}\nIdentitiesOnly yes"


def write(path: Path, *entries: str) -> Path:
    path.write_text("\n".join(entries))
    return path


def echoes(link) -> bool:
    try:
        link.write(b"ping")
        return read_exactly(link, 8) == b"hereping"
    finally:
        link.close()


@needs_sshd
def test_an_alias_stands_for_host_port_user_and_key(servers, tmp_path):
    config = write(tmp_path / "config", entry("Bench-7", servers[1], key_of(servers[1])))
    link = open_link(BoardAddress.parse(f"ssh://Bench-7?config={config}"))
    assert link.name == "ssh://Bench-7"
    assert echoes(link)


@needs_sshd
def test_a_board_behind_a_jump_host_is_reached_through_it(servers, tmp_path):
    jump, board = servers
    behind = entry("bench", board, key_of(board), "ProxyJump door")
    config = write(tmp_path / "config", behind, entry("door", jump, key_of(jump)))
    link = open_ssh("bench", config=config)
    assert isinstance(link._channel.get_transport().sock, paramiko.Channel)  # no TCP connection of our own
    assert echoes(link)


@needs_sshd
def test_each_hop_has_its_own_host_key_and_the_one_that_changed_is_named(servers, tmp_path):
    jump, board = servers
    behind = entry("bench", board, key_of(board), "ProxyJump door")
    config = write(tmp_path / "config", behind, entry("door", jump, key_of(jump)))
    jump.write_known_hosts("other")
    try:
        with pytest.raises(BenchError, match=r"host key of ssh://door has CHANGED.*ssh-keygen -R"):
            open_ssh("bench", config=config)
    finally:
        jump.write_known_hosts("host")


@needs_sshd
def test_a_jump_host_that_does_not_get_through_is_blamed(servers, tmp_path):
    jump, board = servers
    lost = entry("bench", board, key_of(board), "ProxyJump door").replace(f"Port {board.port}", "Port 1")
    config = write(tmp_path / "config", lost, entry("door", jump, key_of(jump)))
    with pytest.raises(BenchError, match="in front of ssh://bench does not get through"):
        open_ssh("bench", config=config)


@needs_sshd
def test_a_proxy_command_leads_there_too(servers, tmp_path):
    (tmp_path / "relay.py").write_text(RELAY)
    relay = f"{sys.executable} {tmp_path}/relay.py {servers[1].port}"
    config = write(tmp_path / "config", entry("bench", servers[1], key_of(servers[1]), f"ProxyCommand {relay}"))
    assert echoes(open_ssh("bench", config=config))


@pytest.fixture
def agent(monkeypatch, tmp_path):
    if shutil.which("ssh-agent") is None:
        pytest.skip("no ssh-agent: apt-get install openssh-client")
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    for _ in range(200):
        if path.exists():
            break
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield
    process.terminate()
    process.wait(5)


@needs_sshd
def test_a_key_that_only_the_agent_has_is_enough(servers, agent, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = write(tmp_path / "config", entry("bench", servers[1]))
    with pytest.raises(BenchError, match="accepts no key"):
        open_ssh("bench", config=config)
    subprocess.run(["ssh-add", "-q", str(servers[1].identity)], check=True, stderr=subprocess.DEVNULL)
    assert echoes(open_ssh("bench", config=config))


@needs_sshd
def test_a_key_with_a_passphrase_leads_to_the_agent(servers, tmp_path):
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(locked)], check=True)
    config = write(tmp_path / "config", entry("bench", servers[1]))
    with pytest.raises(BenchError, match=r"has a passphrase.*ssh-add"):
        open_ssh("bench", identity=locked, config=config)


def test_what_is_given_wins_over_the_configuration(tmp_path):
    config = write(
        tmp_path / "config",
        "Host bench\nHostName board.example\nPort 2200\nUser lab\nIdentityFile /k/lab\nHostKeyAlias known-as\n",
    )
    [hop] = find_route("bench", config=config).hops
    assert (hop.host, hop.port, hop.user, hop.identities, hop.key_name) == (
        "board.example", 2200, "lab", (Path("/k/lab"),), "known-as",
    )  # fmt: skip
    [hop] = find_route("bench", user="root", port=22, identity=Path("/k/mine"), config=config).hops
    assert (hop.port, hop.user, hop.identities, hop.agent) == (22, "root", (Path("/k/mine"),), False)


def test_a_chain_of_jumps_is_followed_in_its_order(tmp_path):
    config = write(
        tmp_path / "config",
        "Host bench\nProxyJump lab@first:2201,second\nHost first\nProxyJump zero\nHost second\nHostName 10.0.0.2\n",
    )
    route = find_route("bench", config=config)
    assert [(hop.host, hop.port, hop.user) for hop in route.hops] == [
        ("zero", 22, None), ("first", 2201, "lab"), ("10.0.0.2", 22, None), ("bench", 22, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Host a\nProxyJump b\nHost b\nProxyJump a\n", "circle"),
        ("Host a\nProxyJump lab@:x\n", "is no host"),
        ("Match nonsense\n", "cannot read"),
        ("Host a\nPort many\n", "says nothing usable"),
    ],
)
def test_a_configuration_that_leads_nowhere_is_named(tmp_path, text, wrong):
    with pytest.raises(BenchError, match=wrong):
        find_route("a", config=write(tmp_path / "config", text))


def test_a_configuration_that_is_not_there(tmp_path):
    with pytest.raises(BenchError, match="there is no SSH configuration"):
        find_route("a", config=tmp_path / "none")
