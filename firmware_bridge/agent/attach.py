"""Joins standard input and output to the agent's socket: what ``sshd`` starts as the subsystem ``ks100``.

Only the standard library, so that it starts at once. Knows nothing of the bytes that it carries.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
import threading
import time

from firmware_bridge.agent.sockets import connect_unix

__all__ = ["attach"]

_READ_BYTES = 256 * 1024
_WAIT_S = 15.0  # an agent that restarts is waited for
_RETRY_S = 0.05


def attach(path: str) -> int:
    """Carry bytes both ways until one end closes; return the exit code."""
    connected = _connect(path)
    if connected is None:
        os.write(2, f"the agent does not answer at {path}; is it running?\n".encode())
        return 1
    # A daemon: it may sit in a read of standard input that never returns once the agent has closed.
    threading.Thread(target=_to_agent, args=(connected,), daemon=True).start()
    _from_agent(connected)
    return 0


def _connect(path: str) -> socket.socket | None:
    deadline_s = time.monotonic() + _WAIT_S
    while True:
        try:
            return connect_unix(path)
        except OSError:
            if time.monotonic() > deadline_s:
                return None
            time.sleep(_RETRY_S)


def _to_agent(connected: socket.socket) -> None:
    try:
        if not _spliced(0, connected.fileno()):
            while data := os.read(0, _READ_BYTES):
                connected.sendall(data)
        connected.shutdown(socket.SHUT_WR)
    except OSError:
        return  # the agent has closed; the other direction ends for the same reason


def _spliced(source: int, target: int) -> bool:
    """Carry bytes until ``source`` ends, inside the kernel; returns False, having moved none, if it cannot do that."""
    there_read, there_write = os.pipe()
    try:
        with contextlib.suppress(OSError):  # a user's limit on pipes
            fcntl.fcntl(there_write, fcntl.F_SETPIPE_SZ, _READ_BYTES)
        try:
            count = os.splice(source, there_write, _READ_BYTES)
        except OSError:
            return False  # a terminal
        while count:
            while count:
                count -= os.splice(there_read, target, count)
            count = os.splice(source, there_write, _READ_BYTES)
        return True
    finally:
        os.close(there_read)
        os.close(there_write)


def _from_agent(connected: socket.socket) -> None:
    try:
        while data := connected.recv(_READ_BYTES):
            left = memoryview(data)
            while left:
                left = left[os.write(1, left) :]
    except OSError:
        return


def main(arguments: list[str]) -> int:
    """Run ``attach --socket S``."""
    if len(arguments) != 2 or arguments[0] != "--socket":
        sys.stderr.write("usage: python -m firmware_bridge.agent attach --socket S\n")
        return 2
    return attach(arguments[1])
