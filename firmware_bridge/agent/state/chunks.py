"""Received chunks on disk, each under its SHA-256: a push that broke off finds again what had arrived.

Nothing here is trusted: a chunk counts only while its bytes have its digest. So a write that the power cut in half
is a chunk that is missing, and chunks need no order of writing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from firmware_bridge.agent.state.storage import Storage
from firmware_bridge.package.manifest import CHUNK_BYTES

__all__ = ["ChunkStore"]

_FOLDER = "chunks"
_SYNC_EVERY = 16  # chunks: a power cut costs at most 256 KiB of the push, and a flash chip is not synced for each


class ChunkStore:
    """Chunks by digest."""

    def __init__(self, storage: Storage) -> None:
        """Keep chunks in ``storage``."""
        self._storage = storage
        self._unsynced: list[str] = []

    def put(self, digest: bytes, data: bytes) -> None:
        """Keep a chunk, whose digest the caller has checked."""
        name = _name(digest)
        self._storage.write(name, data)
        self._unsynced.append(name)
        if len(self._unsynced) >= _SYNC_EVERY:
            self.sync()

    def get(self, digest: bytes) -> bytes | None:
        """Return a chunk, or None if it is not here, whole."""
        try:
            data = self._storage.read(_name(digest), CHUNK_BYTES)
        except OSError:
            return None
        return data if hashlib.sha256(data).digest() == digest else None

    def sync(self) -> None:
        """Make durable what was put."""
        for name in self._unsynced:
            self._storage.fsync(name)
        if self._unsynced:
            self._storage.sync_folder(_FOLDER)
        self._unsynced.clear()

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Drop every chunk that is not among ``digests``."""
        needed = {_name(digest) for digest in digests}
        for name in self._storage.names(_FOLDER):
            if name not in needed:
                self._storage.unlink(name)
        self._unsynced = [name for name in self._unsynced if name in needed]


def _name(digest: bytes) -> str:
    return f"{_FOLDER}/{digest.hex()}"
