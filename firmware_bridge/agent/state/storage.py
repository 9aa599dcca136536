"""What the agent needs of a disk, as a small interface, and the local folder behind it.

Owns the nine operations and their exact meaning, so that a simulator which cuts the power between any two of them can
stand in for `LocalStorage`. Refuses to know what the files hold.

Durability is the caller's business, in the order of POSIX: what `write` and `append` put into a file is safe after
`fsync` of the file; that a name exists, is renamed or gone is safe after `sync_folder` of its folder. Names are
``file`` or ``folder/file``; every operation raises `OSError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

__all__ = ["FOLDERS", "LocalStorage", "ReadableStorage", "Storage", "replace_file", "temporary_name"]

FOLDERS = ("slots", "chunks", "audit")
"""The folders of a board's state, beside its root ``""``."""

_NAME = re.compile(r"(?:[a-z]+/)?[A-Za-z0-9_][A-Za-z0-9._-]*")
_TEMPORARY = ".tmp"


class ReadableStorage(Protocol):
    """Reading; none of it changes anything."""

    def read(self, name: str, limit_bytes: int) -> bytes:
        """Return a file's content; one longer than ``limit_bytes`` is an error (EFBIG), and is not read."""
        ...

    def read_part(self, name: str, offset: int, length: int) -> bytes:
        """Return up to ``length`` bytes of a file from ``offset`` on."""
        ...

    def names(self, folder: str) -> tuple[str, ...]:
        """Return the names of a folder's files, sorted, each as the other operations take it."""
        ...

    def free_bytes(self) -> int:
        """Return how many bytes can still be written."""
        ...


class Storage(ReadableStorage, Protocol):
    """Reading, and the six operations between which the power can go."""

    def write(self, name: str, data: bytes) -> None:
        """Create or empty a file, and write ``data`` into it."""
        ...

    def append(self, name: str, data: bytes) -> None:
        """Write ``data`` at the end of a file, which is created if need be."""
        ...

    def fsync(self, name: str) -> None:
        """Make a file's content durable."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name; a file that had it is replaced in the same moment."""
        ...

    def unlink(self, name: str) -> None:
        """Remove a file."""
        ...

    def sync_folder(self, folder: str) -> None:
        """Make a folder's names durable."""
        ...


def temporary_name(name: str) -> str:
    """Return the name under which the next content of ``name`` is written."""
    return name + _TEMPORARY


def replace_file(storage: Storage, name: str, data: bytes) -> None:
    """Write ``data`` durably to ``name``: whatever happens, it then has its old content or the new one."""
    temporary = temporary_name(name)
    storage.write(temporary, data)
    storage.fsync(temporary)
    storage.rename(temporary, name)
    storage.sync_folder(name.rpartition("/")[0])


class LocalStorage:
    """A folder of this machine. Symbolic links are never followed, neither as files nor as folders."""

    def __init__(self, root: Path, folders: Iterable[str] = FOLDERS) -> None:
        """Open ``root``, which is created, mode 0700, with its folders if need be.

        Raises:
            OSError: it cannot be created or opened.
        """
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        # Folders stay open: replacing one of them later by a link does not lead the agent elsewhere.
        self._folders = {"": os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)}
        for folder in folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, mode=0o700, dir_fd=self._folders[""])
            self._folders[folder] = os.open(folder, flags, dir_fd=self._folders[""])
        os.fsync(self._folders[""])

    def close(self) -> None:
        """Give the folders' descriptors back."""
        for descriptor in self._folders.values():
            os.close(descriptor)
        self._folders.clear()

    def read(self, name: str, limit_bytes: int) -> bytes:
        """See `ReadableStorage.read`."""
        with self._opened(name, os.O_RDONLY) as descriptor:
            size = os.fstat(descriptor).st_size
            if size > limit_bytes:
                raise OSError(errno.EFBIG, f"{size} bytes, at most {limit_bytes} expected", name)
            return _read_up_to(descriptor, size)

    def read_part(self, name: str, offset: int, length: int) -> bytes:
        """See `ReadableStorage.read_part`."""
        with self._opened(name, os.O_RDONLY) as descriptor:
            return os.pread(descriptor, length, offset)

    def names(self, folder: str) -> tuple[str, ...]:
        """See `ReadableStorage.names`."""
        found = sorted(os.listdir(self._folders[folder]))  # noqa: PTH208 - a Path has no descriptor
        prefix = f"{folder}/" if folder else ""
        return tuple(prefix + name for name in found if folder or name not in self._folders)

    def free_bytes(self) -> int:
        """See `ReadableStorage.free_bytes`."""
        status = os.fstatvfs(self._folders[""])
        return status.f_bavail * status.f_frsize

    def write(self, name: str, data: bytes) -> None:
        """See `Storage.write`."""
        with self._opened(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
            _write_all(descriptor, data)

    def append(self, name: str, data: bytes) -> None:
        """See `Storage.append`."""
        with self._opened(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as descriptor:
            _write_all(descriptor, data)

    def fsync(self, name: str) -> None:
        """See `Storage.fsync`."""
        with self._opened(name, os.O_RDONLY) as descriptor:
            os.fsync(descriptor)

    def rename(self, old: str, new: str) -> None:
        """See `Storage.rename`."""
        (old_folder, old_name), (new_folder, new_name) = self._at(old), self._at(new)
        os.rename(old_name, new_name, src_dir_fd=old_folder, dst_dir_fd=new_folder)

    def unlink(self, name: str) -> None:
        """See `Storage.unlink`."""
        folder, file = self._at(name)
        os.unlink(file, dir_fd=folder)

    def sync_folder(self, folder: str) -> None:
        """See `Storage.sync_folder`."""
        os.fsync(self._folders[folder])

    def _at(self, name: str) -> tuple[int, str]:
        if not _NAME.fullmatch(name):
            raise OSError(errno.EINVAL, "not a name of the board's state", name)
        folder, _, file = name.rpartition("/")
        return self._folders[folder], file

    @contextlib.contextmanager
    def _opened(self, name: str, flags: int) -> Iterator[int]:
        folder, file = self._at(name)
        # NONBLOCK: a fifo in a file's place must not make the agent wait.
        extra = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(file, flags | extra, 0o600, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", name)
            yield descriptor
        finally:
            os.close(descriptor)


def _read_up_to(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)  # one call gives a whole file, and no second copy of a large model
    while len(data) < size and (part := os.read(descriptor, size - len(data))):
        data += part
    return data


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
