"""What a user is told when SSH does not get through: each cause by its name, with either client."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from firmware_bridge.errors import BenchError, TransferError
from firmware_bridge.host.board import Board
from firmware_bridge.links.conformance import read_exactly
from firmware_bridge.links.openssh_command import OpenSsh
from firmware_bridge.links.openssh_errors import failure_of
from firmware_bridge.links.ssh import SshClient, SshServer, open_ssh
from tests.links.own_sshd import SSHD, OwnSshd

pytestmark = pytest.mark.skipif(not Path(SSHD).exists(), reason="no sshd: apt-get install openssh-server")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = OwnSshd(tmp_path_factory.mktemp("sshd"), "/bin/false")
    yield server
    server.stop()


@pytest.fixture(params=SshClient, ids=lambda client: client.value)
def connect(server, request):
    def connect(host="127.0.0.1", **changes):
        options = {
            "user": server.user, "port": server.port, "identity": server.identity,
            "known_hosts": server.known_hosts, "client": request.param,
        }  # fmt: skip
        return open_ssh(host, **(options | changes))

    return connect


def test_nobody_listens(connect):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(BenchError, match=r"no board answers at ssh:.*refused"):
        connect(port=port)


def test_a_name_that_nobody_knows(connect):
    with pytest.raises(BenchError, match=r"no board answers at ssh://\S*no-such-board.invalid"):
        connect("no-such-board.invalid")


def test_a_server_that_is_not_ssh(connect):
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(20)

        def answer():
            other.accept()[0].close()

        import threading

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(BenchError, match=r"no SSH connection to ssh://\S+: \S"):
            connect(port=other.getsockname()[1])
        thread.join()


@pytest.fixture
def known(server, tmp_path):
    """Writes a file of host keys before the server's own line."""

    def known(*lines: str, own: bool = True) -> Path:
        path = tmp_path / "known"
        text = "".join(f"{line}\n" for line in lines)
        path.write_bytes(text.encode("latin-1") + (server.known_hosts.read_bytes() if own else b""))
        return path

    return known


OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDwUhhIJOX8emZqr9r4J7wkLxmAOBrq5ENl33zvaEzfG"


def test_lines_about_other_hosts_are_no_obstacle(connect, known):
    others = (
        f"@cert-authority *.corp.example {OTHER} ca", f"@revoked * {OTHER}", "otherhost ssh-ed25519 AAAAC3NzaC1lZ",
        "otherhost ssh-dss AAAAB3NzaC1kc3MAAACBAI", "# Prüfstand", f"!127.0.0.1,* {OTHER}", "|1|broken", "@revoked",
        f"|1|AAAA|AAAA {OTHER}", "\0\0 \0", f"sk.example sk-{OTHER}",
    )  # fmt: skip
    connect(known_hosts=known(*others)).close()


def test_a_revoked_host_key_is_refused_though_its_own_line_is_there(connect, server, known):
    kind, key, *_ = (server.folder / "host.pub").read_text().split()
    with pytest.raises(BenchError, match="is REVOKED"):
        connect(known_hosts=known(f"@revoked * {kind} {key}"))


@pytest.mark.parametrize("form", ["hashed", "pattern"])
def test_a_host_is_known_by_hash_and_by_pattern(connect, server, known, form):
    path = known()
    if form == "hashed":
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    else:
        path.write_text(path.read_text().replace("127.0.0.1", "127.0.*"))
    assert "127.0.0.1" not in path.read_text()
    connect(known_hosts=path).close()


def test_files_with_odd_names_are_the_files_that_are_meant(connect, server, tmp_path):
    identity, known = tmp_path / 'my %h "key"', tmp_path / "known %p 'hosts\\"
    shutil.copy(server.identity, identity)
    shutil.copy(server.known_hosts, known)
    connect(identity=identity, known_hosts=known).close()


def test_an_unknown_host_key_is_refused(connect, known):
    with pytest.raises(BenchError, match=r"host key .* is not known.*ssh-keyscan -p \d+ 127.0.0.1"):
        connect(known_hosts=known(own=False))


def test_a_changed_host_key_is_refused_and_named(connect, server):
    server.write_known_hosts("other")
    try:
        with pytest.raises(BenchError, match=r"CHANGED.*ssh-keygen -R '\[127.0.0.1\]:\d+'"):
            connect()
    finally:
        server.write_known_hosts("host")


def test_of_two_host_keys_the_known_one_is_asked_for(tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "second")], check=True)
    server = OwnSshd(tmp_path, "/bin/cat", f"HostKey {tmp_path}/second\n")
    try:
        for client in SshClient:
            for known in ("host", "second"):
                server.write_known_hosts(known)
                open_ssh(
                    "127.0.0.1", user=server.user, port=server.port, identity=server.identity,
                    known_hosts=server.known_hosts, client=client,
                ).close()  # fmt: skip
    finally:
        server.stop()


def test_a_key_that_the_board_does_not_accept(connect, server):
    with pytest.raises(BenchError, match="does not accept"):
        connect(identity=server.folder / "other")


def test_an_identity_file_that_is_not_there(connect, tmp_path):
    with pytest.raises(BenchError, match="there is no identity file"):
        connect(identity=tmp_path / "nothing")


def test_a_key_with_a_passphrase_leads_to_the_agent(connect, tmp_path):
    locked = tmp_path / "locked"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(locked)], check=True)
    with pytest.raises(BenchError, match=r"has a passphrase.*ssh-add"):
        connect(identity=locked)


@pytest.mark.parametrize(
    ("mode", "text", "said"), [(0o644, None, "chmod 600"), (0o600, "no key\n", "is not a private key")]
)
def test_a_key_file_that_openssh_ignores_is_named_with_the_reason(server, tmp_path, mode, text, said):
    key = tmp_path / "key"
    shutil.copy(server.folder / "other", key)
    if text:
        key.write_text(text)
    key.chmod(mode)
    with pytest.raises(BenchError, match=said):
        open_ssh("127.0.0.1", port=server.port, identity=key, known_hosts=server.known_hosts)


def test_how_the_subsystem_ended_stands_in_the_error(connect):
    link = connect()
    with pytest.raises(TransferError, match=r"closed by the board.* status 1; is the agent running"):
        read_exactly(link, 1)
    link.close()


@pytest.mark.parametrize("client", SshClient)
def test_a_board_without_the_agent(tmp_path, client):
    server = OwnSshd(tmp_path, "/bin/true", subsystem_name="other")
    try:
        with pytest.raises(BenchError, match="no subsystem 'ks100'"):
            Board(
                open_ssh(
                    "127.0.0.1", user=server.user, port=server.port, identity=server.identity,
                    known_hosts=server.known_hosts, client=client,
                ), "test",
            )  # fmt: skip
    finally:
        server.stop()


def test_paramiko_writes_nothing_of_its_own(server, capfd):
    with pytest.raises(BenchError):
        open_ssh("127.0.0.1", port=server.port, identity=server.folder / "other", client=SshClient.PARAMIKO)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("status", "text", "kind", "said"),
    [
        (255, "Too many authentication failures", BenchError, "give the right one with"),
        (255, "Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-rsa",
         BenchError, "no algorithm in common: no matching host key type found. Their offer: ssh-rsa"),
        (255, 'sign_and_send_pubkey: signing failed for ED25519 "k" from agent: agent refused operation\r\n',
         BenchError, "does not sign: agent refused operation"),
        (255, "Timeout, server b not responding.\r\n", TransferError, "broke: Timeout, server b not responding."),
        (255, "Connection to b closed by remote host.", TransferError, "broke: Connection to b closed"),
        (255, "something new", BenchError, "no SSH connection to ssh://b: something new"),
        (255, "", BenchError, "said nothing"),
        (-9, "", TransferError, "ended by signal 9"),
        (0, "Banner\r\n", TransferError, "closed by the board"),
    ],
)  # fmt: skip
def test_each_end_of_ssh_is_one_line_of_the_right_kind(status, text, kind, said):
    error = failure_of(OpenSsh("ssh", SshServer("b")), status, text)
    assert type(error) is kind
    assert said in str(error)
    assert "\n" not in str(error)
