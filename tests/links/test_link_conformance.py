"""Every link against the one suite."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest

from firmware_bridge.links.conformance import LinkConformance
from firmware_bridge.links.descriptor import DescriptorLink
from firmware_bridge.links.memory import memory_pair
from firmware_bridge.links.serial import open_serial
from firmware_bridge.links.socket import socket_link
from firmware_bridge.links.ssh import SshClient, open_ssh
from firmware_bridge.links.tty import tty_link
from hil.virtual.line import PacedLine
from tests.links.own_sshd import SSHD, OwnSshd, bridge_command


class TestMemoryLink(LinkConformance):
    @pytest.fixture
    def ends(self):
        host, board = memory_pair()
        yield host, board
        host.close()
        board.close()


class TestSocketLink(LinkConformance):
    @pytest.fixture
    def ends(self):
        first, second = socket.socketpair()
        host, board = socket_link(first), socket_link(second)
        yield host, board
        host.close()
        board.close()


class TestPipeLink(LinkConformance):
    """Two pipes, as standard input and output are."""

    @pytest.fixture
    def ends(self):
        there, back = os.pipe(), os.pipe()
        host = DescriptorLink(back[0], there[1], name="stdio:host", reliable=True)
        board = DescriptorLink(there[0], back[1], name="stdio:board", reliable=True)
        yield host, board
        host.close()
        board.close()


class TestSerialLink(LinkConformance):
    """pyserial at the host's end, termios at the board's, real pseudo-terminals between."""

    closes_the_other_end = False
    large_bytes = 200_000

    @pytest.fixture
    def ends(self):
        with PacedLine(3_000_000) as line:
            host, board = (
                open_serial(line.host_tty, 921600, fastest=3_000_000),
                tty_link(line.board_tty, 921600, fastest=3_000_000),
            )
            yield host, board
            host.close()
            board.close()


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="ks") as folder:
        server = OwnSshd(Path(folder), bridge_command(Path(folder)))
        yield server
        server.stop()


@pytest.mark.skipif(not Path(SSHD).exists(), reason="no sshd: apt-get install openssh-server")
class TestOpenSshLink(LinkConformance):
    """The system's OpenSSH client against a real OpenSSH server."""

    client = SshClient.OPENSSH

    @pytest.fixture
    def ends(self, server):
        path = server.folder / "s"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            host = open_ssh(
                "127.0.0.1",
                user=server.user,
                port=server.port,
                identity=server.identity,
                known_hosts=server.known_hosts,
                client=self.client,
            )
            board = socket_link(listener.accept()[0])
        yield host, board
        host.close()
        board.close()


class TestParamikoLink(TestOpenSshLink):
    """paramiko against the same server."""

    client = SshClient.PARAMIKO
