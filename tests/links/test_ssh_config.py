"""SSH as the user has configured it: whatever OpenSSH takes leads to the board; with real OpenSSH servers in a row."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from firmware_bridge.errors import BenchError
from firmware_bridge.host.address import BoardAddress
from firmware_bridge.host.open import open_link
from firmware_bridge.links.conformance import read_exactly
from firmware_bridge.links.openssh import OpenSshLink
from firmware_bridge.links.openssh_command import OpenSsh
from firmware_bridge.links.ssh import SshServer, open_ssh
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
    (folder / "echo.sh").write_text("printf here\nexec cat\n")  # starts sooner than Python
    board = OwnSshd(folder, f"/bin/sh {folder}/echo.sh")
    yield jump, board
    jump.stop()
    board.stop()


def entry(alias: str, server: OwnSshd, *more: str, known: str = "") -> str:
    known = known or f"UserKnownHostsFile {server.known_hosts}"
    lines = [f"HostName 127.0.0.1\nPort {server.port}\nUser {server.user}\n{known}"]
    return f"Host {alias}\n" + "\n".join([*lines, *more]) + "\n"


def key_of(server: OwnSshd) -> str:
    return f"IdentityFile {server.identity}\nIdentitiesOnly yes"


def write(path: Path, *entries: str) -> Path:
    path.write_text("\n".join(entries), encoding="latin-1")
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
    assert isinstance(link, OpenSshLink)
    assert echoes(link)


FORMS = {
    "include": "Include {lab}\n",
    "match final": "{bench}Match final all\n  ServerAliveInterval 5\n",
    "quoted known hosts": '{head}UserKnownHostsFile "{spaced}"\n',
    "token in known hosts": "{head}UserKnownHostsFile {folder}/known_%h\n",
    "global known hosts": "{head}UserKnownHostsFile /dev/null\nGlobalKnownHostsFile {known}\n",
    "comment and latin-1": "# Prüfstand\n{bench}ServerAliveInterval 7 # seconds\n",
    "host key alias": "{head}HostKeyAlias board-7\nUserKnownHostsFile {aliased}\n",
    "remote command and forwards": "{bench}RemoteCommand uptime\nRequestTTY force\nForwardAgent yes\n",
}


@needs_sshd
@pytest.mark.parametrize("form", FORMS)
def test_what_openssh_takes_from_a_configuration_leads_to_the_board(servers, tmp_path, form):
    board = servers[1]
    head = entry("bench", board, key_of(board), known="#")
    known = board.known_hosts
    names = {
        "head": head, "bench": head + f"UserKnownHostsFile {known}\n", "known": known, "folder": tmp_path,
        "lab": tmp_path / "lab", "spaced": tmp_path / "known hosts", "aliased": tmp_path / "aliased",
    }  # fmt: skip
    write(names["lab"], names["bench"])
    for copy in (names["spaced"], tmp_path / "known_127.0.0.1"):
        shutil.copy(known, copy)
    names["aliased"].write_text(known.read_text().replace(f"[127.0.0.1]:{board.port}", "board-7"))
    assert echoes(open_ssh("bench", config=write(tmp_path / "config", FORMS[form].format(**names))))


@needs_sshd
def test_a_board_behind_a_jump_host_is_reached_through_it(servers, tmp_path):
    jump, board = servers
    behind = entry("bench", board, key_of(board), "ProxyJump Door")
    config = write(tmp_path / "config", behind, entry("Door", jump, key_of(jump)))
    assert echoes(open_ssh("bench", config=config))


@needs_sshd
@pytest.mark.parametrize(
    ("key", "said"),
    [("other", r"in front of ssh://bench: the host key of \S+ has CHANGED.*ssh-keygen -R"),
     (None, "in front of ssh://bench: its host key is not known")],
)  # fmt: skip
def test_each_hop_has_its_own_host_key_and_the_hop_is_named(servers, tmp_path, key, said):
    jump, board = servers
    behind = entry("bench", board, key_of(board), "ProxyJump door")
    config = write(tmp_path / "config", behind, entry("door", jump, key_of(jump)))
    jump.known_hosts.write_text("") if key is None else jump.write_known_hosts(key)
    try:
        with pytest.raises(BenchError, match=said):
            open_ssh("bench", config=config)
    finally:
        jump.write_known_hosts("host")


@needs_sshd
def test_a_jump_host_that_does_not_get_through_is_blamed(servers, tmp_path):
    jump, board = servers
    lost = entry("bench", board, key_of(board), "ProxyJump door").replace(f"Port {board.port}", "Port 1")
    config = write(tmp_path / "config", lost, entry("door", jump, key_of(jump)))
    with pytest.raises(BenchError, match=r"in front of ssh://bench: it does not get through.*refused"):
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


@pytest.fixture
def locked(servers, tmp_path):
    """The board's key with a passphrase."""
    path = tmp_path / "lab key"
    for end in ("", ".pub"):
        shutil.copy(f"{servers[1].identity}{end}", f"{path}{end}")
    command = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@needs_sshd
def test_a_key_with_a_passphrase_is_asked_of_the_agent_by_whatever_names_it(servers, agent, locked, tmp_path):
    board = servers[1]
    plain = write(tmp_path / "plain", entry("bench", board))
    with pytest.raises(BenchError, match=r"has a passphrase.*ssh-add"):
        open_ssh("bench", identity=locked, config=plain)
    subprocess.run(["ssh-add", "-q", str(board.identity)], check=True, stderr=subprocess.DEVNULL)
    assert echoes(open_ssh("bench", identity=locked, config=plain))
    for named in (f'IdentityFile "{locked}"', f'IdentityFile "{locked}.pub"', "IdentityFile none"):
        only = "IdentitiesOnly no" if named.endswith("none") else "IdentitiesOnly yes"
        assert echoes(open_ssh("bench", config=write(tmp_path / "config", entry("bench", board, named, only))))


@needs_sshd
def test_nothing_is_prompted_for_even_where_there_is_a_terminal(servers, locked, tmp_path):
    """On a terminal of its own, with a program that would ask: the command ends by itself and has written nothing."""
    asked = tmp_path / "asked"
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\ntouch {asked}\n")
    askpass.chmod(0o755)
    jump, board = servers
    behind = entry("bench", board, f'IdentityFile "{locked}"\nIdentitiesOnly yes', "ProxyJump door")
    config = write(tmp_path / "config", behind, entry("door", jump, f'IdentityFile "{locked}"\nIdentitiesOnly yes'))
    script = (
        "import sys\nfrom firmware_bridge.links.ssh import open_ssh\n"
        "try:\n    open_ssh('bench', config=sys.argv[1])\n"
        "except Exception as error:\n    open(sys.argv[2], 'w').write(str(error))\n"
    )
    environment = {**os.environ, "SSH_ASKPASS": str(askpass), "DISPLAY": ":0", "SSH_AUTH_SOCK": ""}
    result = tmp_path / "result"
    code = (
        "import pty, sys, os\n"
        f"status = pty.spawn([sys.executable, '-c', {script!r}, {str(config)!r}, {str(result)!r}])\nsys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b""
    assert "does not let us in" in result.read_text() or "does not accept" in result.read_text()
    assert not asked.exists()


@needs_sshd
def test_a_connection_that_the_user_shares_is_used_and_left_open(servers, tmp_path):
    board = servers[1]
    more = f"ControlPath {tmp_path}/m\nControlMaster auto\nControlPersist 20\nPermitLocalCommand yes\n"
    seen = tmp_path / "seen"
    config = write(tmp_path / "config", entry("bench", board, key_of(board), more, f"LocalCommand echo %h >> {seen}"))
    try:
        for _ in range(2):
            assert echoes(open_ssh("bench", config=config))
            assert OpenSsh.find(SshServer("bench", config=config)).is_shared()
        assert seen.read_text() == "127.0.0.1\n"  # one login, and the user's own command ran at it
    finally:
        subprocess.run(["ssh", "-F", str(config), "-O", "exit", "bench"], capture_output=True, check=False)


def test_a_shared_connection_that_would_end_with_the_command_is_not_made(tmp_path):
    shared = "Host bench\nControlMaster auto\nControlPath /tmp/m\n"
    for more, makes_none in (("", True), ("ControlPersist 60\n", False)):
        config = write(tmp_path / "config", shared + more)
        command = OpenSsh.find(SshServer("bench", config=config)).subsystem("ks100", "mark")
        assert ("ControlMaster=no" in command) == makes_none


def test_what_is_given_wins_over_the_configuration(tmp_path):
    config = write(
        tmp_path / "config", "Host bench\nHostName board.example\nPort 2200\nUser lab\nIdentityFile /k/lab\n"
    )
    found = OpenSsh.find(SshServer("bench", config=config))
    assert [found.settings[key] for key in ("hostname", "port", "user")] == ["board.example", "2200", "lab"]
    found = OpenSsh.find(SshServer("bench", "root", 22, config, tmp_path / "known", config))
    assert [found.settings[key] for key in ("port", "user", "identitiesonly")] == ["22", "root", "yes"]
    assert found.settings["stricthostkeychecking"] in ("yes", "true")
    assert found.identities[0] == config


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Host a\nProxyJump b\nHost b\nProxyJump a\n", "circle"),
        ("Match nonsense\n", "refuses its configuration.*line 1"),
        ("Host a\nPort many\n", "refuses its configuration.*line 2"),
        ("Host a\nSomeNewWord yes\n", "Bad configuration option: somenewword"),
    ],
)
def test_a_configuration_that_leads_nowhere_is_named(tmp_path, text, wrong):
    with pytest.raises(BenchError, match=wrong):
        open_ssh("a", config=write(tmp_path / "config", text))


def test_a_configuration_that_is_not_there(tmp_path):
    with pytest.raises(BenchError, match="there is no SSH configuration"):
        open_ssh("a", config=tmp_path / "none")


def test_a_machine_without_openssh_uses_paramiko_and_says_what_it_lacks(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "config").write_text("")
    with pytest.raises(BenchError, match="needs OpenSSH"):
        open_ssh("a", config=tmp_path / "config")
    with pytest.raises(BenchError, match="apt-get install openssh-client"):
        open_link("ssh://a?client=openssh")
