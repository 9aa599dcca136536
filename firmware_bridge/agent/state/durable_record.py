"""One small value on disk that must outlive power cuts and a bad sector: two checked copies, the newer one counts.

Owns the file format and the order of writing. Refuses to know what the value means.

    4 bytes magic, 8 bytes generation (big-endian), 32 bytes SHA-256 of generation and data, data

The older copy is replaced first, so that at every moment a whole one is durable; then the other one, so that either
alone is enough.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct

from firmware_bridge.agent.errors import DamagedError
from firmware_bridge.agent.state.storage import Storage, replace_file

__all__ = ["DurableRecord"]

_MAGIC = b"KSR1"
_LAYOUT = struct.Struct(">4sQ32s")


class DurableRecord:
    """A value under one name; not to be used by two threads at once."""

    def __init__(self, storage: Storage, name: str, limit_bytes: int) -> None:
        """Use ``name`` in ``storage`` for values of up to ``limit_bytes`` bytes."""
        self._storage = storage
        self._names = (f"{name}.0", f"{name}.1")
        self._limit_bytes = limit_bytes
        self._generation = 0
        self._order = self._names  # which copy is replaced first

    def load(self) -> bytes | None:
        """Return the value, or None when none was ever saved; a copy that lags behind is renewed.

        Raises:
            DamagedError: there are copies, and none is whole.
        """
        copies = [(self._read(name), name) for name in self._names]
        present = [name for copy, name in copies if copy is not None]
        whole = [(copy, name) for copy, name in copies if copy]
        if not present:
            return None
        if not whole:
            raise DamagedError(f"both copies of {self._names[0].rpartition('.')[0]} are damaged")
        (self._generation, data), newest = max(whole, key=lambda item: item[0])
        self._order = (self._names[1], self._names[0]) if newest == self._names[0] else self._names
        if len(whole) < 2 or whole[0][0] != whole[1][0]:
            with contextlib.suppress(OSError):  # the whole copy is enough; the next `load` or `save` renews the other
                replace_file(self._storage, self._order[0], _packed(self._generation, data))
        return data

    def save(self, data: bytes) -> None:
        """Make ``data`` the value; it is durable on return.

        Raises:
            OSError: the disk failed; the value is the old or the new one.
        """
        if len(data) > self._limit_bytes:
            raise ValueError(f"a value of {len(data)} bytes exceeds {self._limit_bytes}")
        self._generation += 1
        for name in self._order:
            replace_file(self._storage, name, _packed(self._generation, data))

    def _read(self, name: str) -> tuple[int, bytes] | tuple[()] | None:
        """Return generation and value of one copy, () if it is damaged, None if it is not there."""
        try:
            raw = self._storage.read(name, self._limit_bytes + _LAYOUT.size)
        except FileNotFoundError:
            return None
        except OSError:
            return ()  # unreadable is as good as damaged: the other copy may do
        if len(raw) < _LAYOUT.size:
            return ()
        magic, generation, digest = _LAYOUT.unpack_from(raw)
        data = raw[_LAYOUT.size :]
        return (generation, data) if magic == _MAGIC and digest == _digest(generation, data) else ()


def _packed(generation: int, data: bytes) -> bytes:
    return _LAYOUT.pack(_MAGIC, generation, _digest(generation, data)) + data


def _digest(generation: int, data: bytes) -> bytes:
    return hashlib.sha256(generation.to_bytes(8, "big") + data).digest()
