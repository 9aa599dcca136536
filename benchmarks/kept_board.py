"""A board that keeps what it gets, on a socket: behind the same relay that ``sshd`` starts on a real board."""

from __future__ import annotations

import socket
import sys

from benchmarks.paced_line import KeepingService
from firmware_bridge.agent.server import serve
from firmware_bridge.errors import TransferError
from firmware_bridge.links.socket import socket_link

if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        while True:  # until it is terminated; one host after the other, each a new board
            try:
                serve(socket_link(listener.accept()[0]), KeepingService())
            except TransferError:
                continue
