"""Reading a file that a user has named: with a limit, never for ever, and with a word for what it really is.

Everything that a command is given as a file comes in through here. A pipe is read as long as it brings something; a
device, a folder, a file that is too large or of another kind is refused in one line.
"""

from __future__ import annotations

import json
import os
import select
import stat
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

from firmware_bridge.errors import InputError

__all__ = ["FileKind", "kind_of", "opened", "read_bytes", "read_json", "read_text", "read_toml", "wrong_kind"]

_PIECE_BYTES = 1 << 20
_PIPE_S = 10.0  # how long a pipe may bring nothing
_FIRST_BYTES = 512


class FileKind(Enum):
    """What a file is, as far as its first bytes tell; the values are for people.

    Each has the largest size that makes sense of it.
    """

    PACKAGE = ("a package", 4 << 30)
    STORE = ("a trust store", 1 << 20)
    GRAPH = ("a graph (.tflite)", 2 << 30)
    PUBLIC_KEY = ("a public key", 64 << 10)
    PRIVATE_KEY = ("a private key", 64 << 10)
    SIGNATURE = ("a signature", 64 << 10)
    PASSPHRASE = ("a passphrase file", 64 << 10)
    JSON = ("a JSON file", 256 << 20)
    TOML = ("a TOML file", 1 << 20)
    INVENTORY = ("an inventory", 1 << 20)
    TEXT = ("a text", 16 << 20)
    WHEEL = ("a wheel", 256 << 20)
    ZIP = ("a ZIP archive", 256 << 20)
    PICTURE = ("a picture", 256 << 20)
    EMPTY = ("empty", 0)
    OTHER = ("a file of no kind that is known here", 256 << 20)

    def __init__(self, label: str, limit_bytes: int) -> None:
        self.label = label
        self.limit_bytes = limit_bytes


_BEGINNINGS = (
    (b"\x89KSM\r\n\x1a\n", FileKind.PACKAGE),
    (b"\x89PNG", FileKind.PICTURE),
    (b"\xff\xd8\xff", FileKind.PICTURE),
    (b"PK\x03\x04", FileKind.ZIP),
    (b"-----BEGIN PUBLIC KEY", FileKind.PUBLIC_KEY),
    (b"-----BEGIN ENCRYPTED PRIVATE KEY", FileKind.PRIVATE_KEY),
    (b"-----BEGIN PRIVATE KEY", FileKind.PRIVATE_KEY),
    (b"-----BEGIN EC PRIVATE KEY", FileKind.PRIVATE_KEY),
)
_GRAPH_MARK = b"TFL3"  # at byte 4, as FlatBuffers have it
_STORE_MARK = b"application/vnd.ks100.trust"


def kind_of(data: bytes) -> FileKind:
    """Return what these bytes seem to be the beginning of."""
    if not data:
        return FileKind.EMPTY
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning):
            return kind
    if data[4:8] == _GRAPH_MARK:
        return FileKind.GRAPH
    first = data[:_FIRST_BYTES]
    if _STORE_MARK in first and not first.isascii():
        return FileKind.STORE
    try:
        text = first.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(first) - 3:  # not merely cut in a character
            return FileKind.OTHER
        text = first[: error.start].decode("utf-8")
    if "\0" in text:
        return FileKind.OTHER
    return FileKind.JSON if text.lstrip()[:1] in ("{", "[") else FileKind.TEXT


def wrong_kind(path: Path, data: bytes, wanted: FileKind) -> InputError | None:
    """Return an error with the actual kind of the file, or None if it is not known to be wrong."""
    found = kind_of(data)
    if found is wanted or found is FileKind.OTHER:
        return None
    return InputError(f"{path} is {found.label}, not {wanted.label}")


@contextmanager
def opened(path: Path, wanted: FileKind) -> Iterator[int]:
    """Open a file for reading, and yield its descriptor; for who reads no more than a part of it.

    Args:
        path: the file.
        wanted: the expected kind, for errors and its size limit.

    Raises:
        InputError: the file is missing, not readable, a folder, a device, or too large.
    """
    try:
        # Without O_NONBLOCK, opening a pipe without a writer would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InputError(_open_error(path, error, wanted)) from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path} is a directory, not {wanted.label}")
        if not stat.S_ISREG(status.st_mode) and not _is_pipe(status):
            raise InputError(f"{path} is a device, not {wanted.label}")
        if status.st_size > wanted.limit_bytes:
            raise InputError(f"{path} has {status.st_size:,} bytes, {_too_many(wanted)}")
        yield descriptor
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _is_pipe(status: os.stat_result) -> bool:
    return stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)


def read_bytes(path: Path, wanted: FileKind) -> bytes:
    """Return what is in a file.

    Args:
        path: the file, or a pipe such as a shell's ``<(command)``.
        wanted: what it should be: its limit, and its name in errors. The content is not judged.

    Raises:
        InputError: there is none, it cannot be read, is no file, is too large, or is a pipe that brings nothing.
    """
    parts: list[bytes] = []
    size = 0
    with opened(path, wanted) as descriptor:
        while True:
            try:
                part = os.read(descriptor, _PIECE_BYTES)
            except BlockingIOError:  # a pipe whose writer takes its time
                if select.select([descriptor], [], [], _PIPE_S)[0]:
                    continue
                raise InputError(f"{path} is a pipe that brings nothing; give {wanted.label}") from None
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > wanted.limit_bytes:
                raise InputError(f"{path} brings more than {wanted.limit_bytes:,} bytes, {_too_many(wanted)}")


def _too_many(wanted: FileKind) -> str:
    return f"too many for {wanted.label}; is it the right file?"


def _open_error(path: Path, error: Exception, wanted: FileKind) -> str:
    what = wanted.label.partition(" ")[2]
    return f"cannot read the {what} {path}: {getattr(error, 'strerror', None) or error}"


def read_text(path: Path, wanted: FileKind = FileKind.TEXT) -> str:
    """Return the text in a file, UTF-8 with or without a byte order mark.

    Raises:
        InputError: as for `read_bytes`, or it is no text.
    """
    data = read_bytes(path, wanted)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        found = kind_of(data)
        if found in (FileKind.OTHER, FileKind.TEXT, FileKind.JSON):
            raise InputError(f"{path} is not {wanted.label}: byte {error.start} is not UTF-8") from error
        raise InputError(f"{path} is {found.label}, not {wanted.label}") from error


def read_json(path: Path, what: str = "") -> Any:
    """Return the document in a JSON file.

    Args:
        path: the file.
        what: what it should be, for errors, e.g. ``an evaluation``.

    Raises:
        InputError: as for `read_text`, or it is no JSON, or nested without end.
    """
    text = read_text(path, FileKind.JSON)
    wanted = what or FileKind.JSON.label
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        found = kind_of(text.encode()[:_FIRST_BYTES])
        is_other = found not in (FileKind.JSON, FileKind.TEXT, FileKind.OTHER)
        where = f"it is {found.label}" if is_other else f"line {error.lineno}: {error.msg}"
        raise InputError(f"{path} is not {wanted}: {where}") from error
    except RecursionError as error:
        raise InputError(f"{path} is not {wanted}: it is nested too deeply") from error
    except ValueError as error:
        raise InputError(f"{path} is not {wanted}: {error}") from error


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def read_toml(path: Path, what: str = "") -> dict[str, Any]:
    """Return the tables in a TOML file.

    Raises:
        InputError: as for `read_text`, or it is no TOML.
    """
    text = read_text(path, FileKind.TOML)
    wanted = what or FileKind.TOML.label
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise InputError(f"{path} is not {wanted}: {error}") from error
    except RecursionError as error:
        raise InputError(f"{path} is not {wanted}: it is nested too deeply") from error
