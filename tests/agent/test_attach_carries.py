"""The relay carries every byte both ways, whatever its standard input is."""

from __future__ import annotations

import os
import pty
import random
import socket
import subprocess
import sys
import threading

import pytest

from firmware_bridge.agent.sockets import listen_unix

SENT = random.Random(1).randbytes(3_000_001)


def echo_once(listener: socket.socket) -> None:
    """An agent that answers everything once its host has ended."""
    connected, _ = listener.accept()
    with connected:
        data = b""
        while piece := connected.recv(1 << 16):
            data += piece
        connected.sendall(data)


@pytest.fixture
def relay(tmp_path):
    """Starts the relay with a standard input; gives what comes back."""
    path = str(tmp_path / "s")
    with listen_unix(path) as listener:
        thread = threading.Thread(target=echo_once, args=(listener,), daemon=True)
        thread.start()

        def start(stdin: int | None, sent: bytes | None = None) -> bytes:
            command = [sys.executable, "-m", "firmware_bridge.agent", "attach", "--socket", path]
            done = subprocess.run(command, stdin=stdin, input=sent, capture_output=True, timeout=60, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        yield start
        thread.join(10)


def test_everything_comes_back_through_pipes(relay):
    assert relay(None, SENT) == SENT


def test_everything_comes_back_through_a_socket_as_under_sshd(relay):
    here, there = socket.socketpair()

    def send() -> None:
        with here:
            here.sendall(SENT)

    threading.Thread(target=send, daemon=True).start()
    with there:
        assert relay(there.fileno()) == SENT


def test_a_terminal_that_the_kernel_cannot_splice_is_read(relay):
    master, slave = pty.openpty()
    os.write(master, b"hello\n\x04")  # the line's end, and the terminal's end of file
    assert relay(slave) == b"hello\n"
    os.close(master)
    os.close(slave)
