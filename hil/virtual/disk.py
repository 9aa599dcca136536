"""A disk that can lose what was not synced: a storage for tests of the agent.

Models what POSIX promises and nothing more. Content that was not synced may be lost, kept or kept in part; names that
were not synced may be the old ones or the new ones, folder by folder. See `firmware_bridge.agent.state.storage`.
"""

from __future__ import annotations

import errno
import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from firmware_bridge.agent.state.storage import FOLDERS

__all__ = ["Moment", "SimulatedDisk", "Survival"]

_FREE_BYTES = 1 << 30


class Moment(Enum):
    """When in an operation the power goes."""

    BEFORE = "before"
    WITHIN = "within"
    """A write is torn."""
    AFTER = "after"


class Survival(Enum):
    """What becomes of what was not synced."""

    LOST = "lost"
    KEPT = "kept"
    PARTLY = "partly"


@dataclass(slots=True)
class _File:
    """A file: its content, and what of it is safe."""

    content: bytes = b""
    safe: bytes = b""


@dataclass(slots=True)
class _Folder:
    """A folder: its names, and those that are safe."""

    names: dict[str, _File] = field(default_factory=dict)
    safe: dict[str, _File] = field(default_factory=dict)


class SimulatedDisk:
    """A `firmware_bridge.agent.state.storage.Storage` in memory.

    Attributes:
        operations: how many operations that change something were begun.
    """

    def __init__(self, seed: int = 0) -> None:
        """Create an empty disk; ``seed`` decides wherever chance does."""
        self._rng = random.Random(seed)  # noqa: S311 - chance of a simulation, no secret
        self._folders = {folder: _Folder() for folder in ("", *FOLDERS)}
        self.operations = 0

    def power_up(self, survival: Survival) -> None:
        """Bring the disk back with what has survived."""
        for folder in self._folders.values():
            folder.names = dict(folder.names if self._survives(survival) else folder.safe)
            for file in folder.names.values():
                file.content = self._surviving(file, survival)
        for folder in self._folders.values():
            folder.safe = dict(folder.names)
            for file in folder.names.values():
                file.safe = file.content

    def copy(self, seed: int = 0) -> SimulatedDisk:
        """Return a disk in the same state, ``seed`` decides its own chances."""
        twin = SimulatedDisk(seed)
        twin.take_over(self)
        return twin

    def take_over(self, other: SimulatedDisk) -> None:
        """Become equal to another disk, in what is safe and in what is not."""
        files: dict[int, _File] = {}
        for name, folder in other._folders.items():
            for file in (*folder.names.values(), *folder.safe.values()):
                files.setdefault(id(file), _File(file.content, file.safe))
            self._folders[name] = _Folder(
                {key: files[id(file)] for key, file in folder.names.items()},
                {key: files[id(file)] for key, file in folder.safe.items()},
            )

    def contents(self) -> frozenset[tuple[str, bytes]]:
        """Return every file's name and content: after `power_up` that is all that a board can know."""
        return frozenset(
            (f"{name}/{key}", file.content)
            for name, folder in self._folders.items()
            for key, file in folder.names.items()
        )

    def flip_bit(self, name: str, bit: int) -> None:
        """Damage a file where it lies."""
        file = self._file(name)
        content = bytearray(file.content)
        content[bit // 8 % len(content)] ^= 1 << bit % 8
        file.content = file.safe = bytes(content)

    # --- reading ------------------------------------------------------------------------------------------

    def read(self, name: str, limit_bytes: int) -> bytes:
        """See `ReadableStorage.read`."""
        content = self._file(name).content
        if len(content) > limit_bytes:
            raise OSError(errno.EFBIG, "too long", name)
        return content

    def read_part(self, name: str, offset: int, length: int) -> bytes:
        """See `ReadableStorage.read_part`."""
        return self._file(name).content[offset : offset + length]

    def names(self, folder: str) -> tuple[str, ...]:
        """See `ReadableStorage.names`."""
        prefix = f"{folder}/" if folder else ""
        return tuple(prefix + name for name in sorted(self._folders[folder].names))

    def free_bytes(self) -> int:
        """See `ReadableStorage.free_bytes`."""
        return _FREE_BYTES

    # --- changing -----------------------------------------------------------------------------------------

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        folder, file_name = self._at(name)
        for part in self._steps("write", name, data):
            file = folder.names.setdefault(file_name, _File())
            file.content = part

    def append(self, name: str, data: bytes) -> None:
        """See `Storage.append`."""
        folder, file_name = self._at(name)
        for part in self._steps("append", name, data):
            folder.names.setdefault(file_name, _File()).content += part

    def fsync(self, name: str) -> None:
        """See `Storage.fsync`."""
        file = self._file(name)
        for _ in self._steps("fsync", name):
            file.safe = file.content

    def rename(self, old: str, new: str) -> None:
        """See `Storage.rename`."""
        (old_folder, old_name), (new_folder, new_name) = self._at(old), self._at(new)
        self._file(old)
        for _ in self._steps("rename", new):
            new_folder.names[new_name] = old_folder.names.pop(old_name)

    def unlink(self, name: str) -> None:
        """See `Storage.unlink`."""
        folder, file_name = self._at(name)
        self._file(name)
        for _ in self._steps("unlink", name):
            del folder.names[file_name]

    def sync_folder(self, folder: str) -> None:
        """See `Storage.sync_folder`."""
        for _ in self._steps("sync_folder", folder):
            self._folders[folder].safe = dict(self._folders[folder].names)

    # --- within -------------------------------------------------------------------------------------------

    def _steps(self, operation: str, name: str, data: bytes = b"") -> Iterable[bytes]:
        """Yield what of ``data`` is to be written; a subclass sees each operation here, before and after."""
        del operation, name
        self.operations += 1
        yield data

    def _survives(self, survival: Survival) -> bool:
        return survival is Survival.KEPT or (survival is Survival.PARTLY and self._rng.random() < 0.5)

    def _surviving(self, file: _File, survival: Survival) -> bytes:
        if survival is not Survival.PARTLY or file.content == file.safe:
            return file.content if survival is Survival.KEPT else file.safe
        same = sum(
            1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(file.content, file.safe, strict=False))
        )
        kept = file.content[: self._rng.randint(same, len(file.content))] if len(file.content) >= same else b""
        return kept + bytes(self._rng.randrange(2) * (len(file.content) - len(kept)))  # a hole reads as zeros

    def _at(self, name: str) -> tuple[_Folder, str]:
        folder, _, file = name.rpartition("/")
        return self._folders[folder], file

    def _file(self, name: str) -> _File:
        folder, file = self._at(name)
        if file not in folder.names:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return folder.names[file]
