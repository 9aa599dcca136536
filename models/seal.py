"""Seals of stored capture sets: a digest, and a log of every access.

A sealed set judges releases, and every access weakens it, since later choices may be fitted to it (Dwork et al., "The
reusable holdout", Science 349, 2015). So every access goes through `record_access`, which logs its purpose.
``seal.json`` is in the set's folder; the log is beside the folder (``hard-holdout.access.jsonl``), since reading must
not change the folder's digest. Each line has the SHA-256 of the line before it: edited and removed lines are detected,
but a deleted log is not.

Works on files and digests, not on captures.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from firmware_bridge.errors import InputError
from firmware_bridge.input_files import read_json
from models.errors import DataError

__all__ = ["Access", "Event", "is_sealed", "log_path", "read_accesses", "record_access", "seal", "sealed_digest"]

SCHEMA = 1
_SEAL = "seal.json"
_NONE = "0" * 64


class Event(StrEnum):
    """Kinds of log entries."""

    SEALED = "sealed"
    OPENED = "opened"


@dataclass(frozen=True, slots=True)
class Access:
    """One line of the log.

    Attributes:
        event: sealed or opened.
        time: UTC, ISO 8601, seconds.
        purpose: purpose as stated by the user.
        by: user and host.
        digest: of the set, SHA-256 hex.
        previous: SHA-256 hex of the line before; zeros in the first.
    """

    event: Event
    time: str
    purpose: str
    by: str
    digest: str
    previous: str


def is_sealed(folder: Path) -> bool:
    """Return whether the stored set in ``folder`` is sealed."""
    return (folder / _SEAL).is_file()


def log_path(folder: Path) -> Path:
    """Return the path of the access log of the set in ``folder``."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}.access.jsonl")


def seal(folder: Path, digest: str, purpose: str = "") -> None:
    """Seal the stored set in ``folder``; a sealed set gets a new seal, and its log continues.

    Args:
        folder: of the stored set.
        digest: of the set.
        purpose: why, for the log.

    Raises:
        DataError: the seal or its log cannot be written.
    """
    if is_sealed(folder) and sealed_digest(folder) == digest:
        return
    try:
        (folder / _SEAL).write_text(json.dumps({"schema": SCHEMA, "digest": digest}) + "\n")
    except OSError as error:
        raise DataError(f"{folder} cannot be sealed: {error.strerror}") from error
    _append(folder, Event.SEALED, digest, purpose)


def sealed_digest(folder: Path) -> str:
    """Return the sealed digest.

    Raises:
        DataError: the seal is missing or damaged.
    """
    try:
        item: Any = read_json(folder / _SEAL, "a seal")
        if item["schema"] != SCHEMA:
            raise DataError(f"{folder / _SEAL}: schema {item['schema']} is not {SCHEMA}; seal the set again")
        return str(item["digest"])
    except (InputError, KeyError, TypeError) as error:
        raise DataError(f"{folder / _SEAL} is not a seal ({error}); restore it, or seal the set again") from error


def record_access(folder: Path, digest: str, purpose: str) -> None:
    """Check that the set in ``folder`` has its sealed digest, and log the access.

    Args:
        folder: of the sealed set.
        digest: of the set as read.
        purpose: for the log.

    Raises:
        DataError: the set has changed since it was sealed, or the access cannot be logged.
    """
    sealed = sealed_digest(folder)
    if digest != sealed:
        raise DataError(
            f"{folder} has changed since it was sealed (digest {digest[:12]}, sealed {sealed[:12]}); restore it, or "
            "seal it again"
        )
    _append(folder, Event.OPENED, digest, purpose)


def read_accesses(folder: Path) -> tuple[Access, ...]:
    """Return the log of the set in ``folder``, oldest first; () without accesses.

    Raises:
        DataError: a line is damaged, or does not follow from the one before it.
    """
    path = log_path(folder)
    try:
        lines = path.read_bytes().splitlines() if path.is_file() else []
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    accesses, previous = [], _NONE
    for number, line in enumerate(lines, start=1):
        try:
            item = json.loads(line)
            access = Access(**{**item, "event": Event(item["event"])})
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}:{number} is not an access record ({error}); the log is damaged") from error
        if access.previous != previous:
            raise DataError(f"{path}:{number} does not follow from the line before; the log was edited")
        accesses.append(access)
        previous = hashlib.sha256(line).hexdigest()
    return tuple(accesses)


def _append(folder: Path, event: Event, digest: str, purpose: str) -> None:
    path = log_path(folder)
    try:
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            lines = file.read().splitlines()
            access = Access(
                event=event,
                time=datetime.now(UTC).isoformat(timespec="seconds"),
                purpose=" ".join(purpose.split()) or "not stated",
                by=f"{_user()}@{socket.gethostname()}",
                digest=digest,
                previous=hashlib.sha256(lines[-1]).hexdigest() if lines else _NONE,
            )
            file.write(json.dumps(asdict(access)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise DataError(
            f"the access to the sealed set {folder} cannot be logged in {path}: {error.strerror}; make it writable"
        ) from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this user id, e.g. in containers
        return str(os.getuid())
