"""A board that writes what it gets to a file, as sftp does, behind the relay that sshd starts on a board."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from pathlib import Path

from benchmarks.paced_line import CHUNK_BYTES, KeepingService
from firmware_bridge.agent.server import serve
from firmware_bridge.errors import BoardError, RejectedError, TransferError
from firmware_bridge.links.socket import socket_link
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.protocol import messages as m


class _WritingService(KeepingService):
    """Checks each chunk, writes it to its place in a file, and digests the whole meanwhile; chunks come in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("wb")

    def chunk(self, index: int, data: bytes) -> None:
        if hashlib.sha256(data).digest() != self._offered[index] or index * CHUNK_BYTES != self._digested:
            raise RejectedError(RejectReason.CHUNK, f"chunk {index}")
        os.pwrite(self._file.fileno(), data, self._digested)
        self._digest.update(data)
        self._digested += len(data)

    def finish(self) -> m.Installed:
        if -(-self._digested // CHUNK_BYTES) < len(self._offered):
            raise BoardError("chunks are missing")
        self._file.close()
        return m.Installed("b", self._digest.hexdigest())


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[1])
        listener.listen()
        while True:  # until it is terminated; one host after the other, each a new board
            try:
                serve(socket_link(listener.accept()[0]), _WritingService(Path(f"{sys.argv[1]}.payload")))
            except TransferError:
                continue
