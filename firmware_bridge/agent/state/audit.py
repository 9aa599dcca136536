"""The board's audit log: every accept, refusal, activation and load, in order, each line chained to the one before.

Owns the file format: JSON lines, each with the first bytes of the SHA-256 of the line before, so that a line that was
changed or taken out shows. The log is bounded: the older of two files goes when the newer one is full.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from firmware_bridge.agent.state.storage import Storage, replace_file
from firmware_bridge.protocol.messages import AuditEntry

__all__ = ["AuditLog"]

_log = logging.getLogger(__name__)

_FOLDER = "audit"
_NEWER, _OLDER = f"{_FOLDER}/log", f"{_FOLDER}/log.old"
_FILE_BYTES = 512 * 1024  # two files of about 3,000 lines each; an answer with all of them fits into one message
_LINK_DIGITS = 16
_TEXT_LIMIT = 300


@dataclass(frozen=True, slots=True)
class _Line:
    entry: AuditEntry
    raw: bytes


class AuditLog:
    """The log of one board; may be read from other threads at any moment."""

    def __init__(self, storage: Storage, wall_s: Callable[[], float]) -> None:
        """Continue the log in ``storage``; ``wall_s`` gives seconds since 1970, as far as the board knows."""
        self._storage = storage
        self._wall_s = wall_s
        self._guard = threading.Lock()
        self._older = _parse(self._read(_OLDER))
        raw = self._read(_NEWER)
        self._newer = _parse(raw)
        intact = b"".join(line.raw for line in self._newer)
        if intact != raw:  # the power went in the middle of a line
            with contextlib.suppress(OSError):
                replace_file(storage, _NEWER, intact)
        self._bytes = len(intact)

    def add(self, action: str, subject: str, result: str = "ok") -> None:
        """Append one entry; durable on return. When the disk fails, the board continues and logs it to its journal."""
        with self._guard:
            if self._bytes >= _FILE_BYTES:
                self._turn()
            last = next(iter((self._newer or self._older)[-1:]), None)
            index = last.entry.index + 1 if last else 0
            time_s = round(self._wall_s(), 3)
            entry = AuditEntry(index, time_s, action, subject[:_TEXT_LIMIT], result[:_TEXT_LIMIT])
            raw = _encode(entry, _link(last.raw if last else b""))
            self._write(raw)
            self._newer.append(_Line(entry, raw))
            self._bytes += len(raw)

    def entries(self, since: int = 0) -> tuple[AuditEntry, ...]:
        """Return the entries from number ``since`` on, as far as they are still stored."""
        with self._guard:
            return tuple(line.entry for line in (*self._older, *self._newer) if line.entry.index >= since)

    def broken_links(self) -> tuple[int, ...]:
        """Return the numbers of the entries that do not follow from the one before them."""
        with self._guard:
            lines = [*self._older, *self._newer]
        return tuple(b.entry.index for a, b in pairwise(lines) if json.loads(b.raw)["after"] != _link(a.raw))

    def _write(self, raw: bytes) -> None:
        """Append to the file; a disk that is full or broken must not stop a board that runs."""
        try:
            self._storage.append(_NEWER, raw)
            self._storage.fsync(_NEWER)
            if not self._newer:
                self._storage.sync_folder(_FOLDER)
        except OSError as error:
            _log.warning("an entry of the audit log is not on the disk: %s", error)

    def _turn(self) -> None:
        try:
            self._storage.rename(_NEWER, _OLDER)
            self._storage.sync_folder(_FOLDER)
        except OSError as error:
            _log.warning("the audit log could not be turned over: %s", error)
        self._older, self._newer, self._bytes = self._newer, [], 0

    def _read(self, name: str) -> bytes:
        try:
            return self._storage.read(name, 2 * _FILE_BYTES)
        except OSError:
            return b""


def _encode(entry: AuditEntry, after: str) -> bytes:
    item = {
        "index": entry.index,
        "time_s": entry.time_s,
        "action": entry.action,
        "subject": entry.subject,
        "result": entry.result,
        "after": after,
    }
    return json.dumps(item, ensure_ascii=True).encode() + b"\n"


def _link(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:_LINK_DIGITS]


def _parse(raw: bytes) -> list[_Line]:
    lines = []
    for line in raw.splitlines(keepends=True):
        try:
            item = json.loads(line)
            fields = (int(item["index"]), float(item["time_s"]), item["action"], item["subject"], item["result"])
            item["after"] + "".join(fields[2:])  # all texts
        except (ValueError, KeyError, TypeError):
            continue
        if line.endswith(b"\n"):
            lines.append(_Line(AuditEntry(*fields), line))
    return lines
