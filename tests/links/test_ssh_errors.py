"""What a user is told when SSH does not get through: each cause by its name."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from firmware_bridge.errors import BenchError, TransferError
from firmware_bridge.links.conformance import read_exactly
from firmware_bridge.links.ssh import open_ssh
from tests.links.own_sshd import SSHD, OwnSshd

pytestmark = pytest.mark.skipif(not Path(SSHD).exists(), reason="no sshd: apt-get install openssh-server")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = OwnSshd(tmp_path_factory.mktemp("sshd"), "/bin/false")
    yield server
    server.stop()


def connect(server, **changes):
    options = {"user": server.user, "port": server.port, "identity": server.identity, "known_hosts": server.known_hosts}
    return open_ssh("127.0.0.1", **(options | changes))


def test_nobody_listens():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(BenchError, match="no board answers at ssh:"):
        open_ssh("127.0.0.1", port=port)


def test_an_unknown_host_key_is_refused(server, tmp_path):
    (tmp_path / "known").write_text("")
    with pytest.raises(BenchError, match=r"host key .* is not known.*ssh-keyscan"):
        connect(server, known_hosts=tmp_path / "known")


def test_a_changed_host_key_is_refused_and_named(server):
    server.write_known_hosts("other")
    try:
        with pytest.raises(BenchError, match="CHANGED"):
            connect(server)
    finally:
        server.write_known_hosts("host")


def test_a_key_that_the_board_does_not_accept(server):
    with pytest.raises(BenchError, match="does not accept"):
        connect(server, identity=server.folder / "other")


def test_an_identity_file_that_is_not_there(server, tmp_path):
    with pytest.raises(BenchError, match="identity"):
        connect(server, identity=tmp_path / "nothing")


def test_how_the_subsystem_ended_stands_in_the_error(server):
    link = connect(server)
    with pytest.raises(TransferError, match=r"closed by the board.* status 1; is the agent running"):
        read_exactly(link, 1)
    link.close()


def test_a_board_without_the_agent(tmp_path):
    server = OwnSshd(tmp_path, "/bin/true")
    config = tmp_path / "sshd_config"
    server.stop()
    config.write_text(config.read_text().replace("Subsystem ks100", "Subsystem other"))
    import subprocess

    process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
    server._process = process
    server._wait()
    try:
        with pytest.raises(BenchError, match="no subsystem"):
            connect(server)
    finally:
        server.stop()
