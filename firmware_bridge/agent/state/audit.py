"""The board's audit log: every act, refusal and load, in order, each line chained to the one before in its chain.

Owns the files and what is counted instead of written. There are two chains, each in two files of which the older goes
when the newer is full: what changed the board, and all else. So no flood of refusals pushes out an act; and of one kind
of refusal that comes again and again only the first are written one by one, and the others as a number.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from firmware_bridge.agent.state.storage import Storage, replace_file
from firmware_bridge.protocol.audit_chain import ACTS, NOTES, broken_links, line_of, link_after
from firmware_bridge.protocol.messages import AuditEntry
from firmware_bridge.text import clean_text

__all__ = ["AuditLog"]

_log = logging.getLogger(__name__)

_FOLDER = "audit"
_FILES = {ACTS: f"{_FOLDER}/log", NOTES: f"{_FOLDER}/notes"}
_FILE_BYTES = {ACTS: 384 * 1024, NOTES: 96 * 1024}  # an answer with all lines of all files fits into one message
_OLDER = ".old"
_ACTIONS = frozenset({"provision", "trust", "install", "activate", "confirm", "fallback"})
_TEXT_LIMIT = 300
_ALIKE_LIMIT = 8  # refusals of one kind that are written one by one
_ALIKE_S = 60.0  # within so many seconds; the others are counted


@dataclass
class _Alike:
    """Refusals of one kind since ``begun_s``: how many were written, how many only counted, and the last of those."""

    begun_s: float
    written: int = 0
    counted: int = 0
    subject: str = ""
    result: str = ""


class AuditLog:
    """The log of one board; may be read from other threads at any moment."""

    def __init__(self, storage: Storage, wall_s: Callable[[], float]) -> None:
        """Continue the log in ``storage``; ``wall_s`` gives seconds since 1970, as far as the board knows."""
        self._wall_s = wall_s
        self._guard = threading.Lock()
        self._chains = {name: _Chain(storage, name) for name in _FILES}
        self._next = max(chain.next_index for chain in self._chains.values())
        self._alike: dict[tuple[str, str], _Alike] = {}

    def add(self, action: str, subject: str, result: str = "ok") -> None:
        """Append an act; durable on return. On a disk that fails the board goes on, and its journal says so."""
        with self._guard:
            self._write(ACTS if action in _ACTIONS else NOTES, action, subject, result)

    def refuse(self, action: str, subject: str, result: str) -> None:
        """Append what was refused, or count it; ``result`` begins with the reason's code."""
        with self._guard:
            now_s = self._wall_s()
            alike = self._alike.get((action, result.partition(":")[0]))
            if alike is None or not 0 <= now_s - alike.begun_s < _ALIKE_S:
                self._write_counted()
                alike = self._alike[action, result.partition(":")[0]] = _Alike(now_s)
            if alike.written < _ALIKE_LIMIT:
                alike.written += 1
                self._write(NOTES, action, subject, result)
            else:
                alike.counted, alike.subject, alike.result = alike.counted + 1, subject, result

    def entries(self, since: int = 0) -> tuple[AuditEntry, ...]:
        """Return the entries from number ``since`` on, as far as they are still stored; what was counted is written."""
        with self._guard:
            self._write_counted()
            found = [entry for chain in self._chains.values() for entry in chain.entries if entry.index >= since]
        return tuple(sorted(found, key=lambda entry: entry.index))

    def broken_links(self) -> tuple[int, ...]:
        """Return the numbers of the entries that do not follow from the one before them."""
        return broken_links(self.entries())

    def _write_counted(self) -> None:
        for (action, _), alike in self._alike.items():
            if alike.counted:
                result = alike.result[: _TEXT_LIMIT - 30]
                self._write(NOTES, action, alike.subject, f"{result} (the last of {alike.counted} more)")
                alike.counted = 0

    def _write(self, chain: str, action: str, subject: str, result: str) -> None:
        subject, result = clean_text(subject, _TEXT_LIMIT), clean_text(result, _TEXT_LIMIT)
        self._chains[chain].append(AuditEntry(self._next, round(self._wall_s(), 3), action, subject, result))
        self._next += 1


class _Chain:
    """One chain of lines, in two files.

    Attributes:
        entries: what is stored of it, oldest first.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self._storage, self._name, self._file = storage, name, _FILES[name]
        self._limit_bytes = _FILE_BYTES[name]
        self._older = _parse(self._read(self._file + _OLDER), name)
        raw = self._read(self._file)
        self._newer = _parse(raw, name)
        intact = b"".join(map(line_of, self._newer))
        if intact != raw:  # the power went in the middle of a line
            with contextlib.suppress(OSError):
                replace_file(storage, self._file, intact)
        self._bytes = len(intact)

    @property
    def entries(self) -> list[AuditEntry]:
        return [*self._older, *self._newer]

    @property
    def next_index(self) -> int:
        return max((entry.index for entry in self.entries[-1:]), default=-1) + 1

    def append(self, entry: AuditEntry) -> None:
        if self._bytes >= self._limit_bytes:
            self._turn()
        last = next(iter((self._newer or self._older)[-1:]), None)
        entry = replace(entry, link=link_after(self._name, line_of(last) if last else b""))
        line = line_of(entry)
        try:
            self._storage.append(self._file, line)
            self._storage.fsync(self._file)
            if not self._newer:
                self._storage.sync_folder(_FOLDER)
        except OSError as error:  # a disk that is full or broken must not stop a board that runs
            _log.warning("an entry of the audit log is not on the disk: %s", error)
        self._newer.append(entry)
        self._bytes += len(line)

    def _turn(self) -> None:
        try:
            self._storage.rename(self._file, self._file + _OLDER)
            self._storage.sync_folder(_FOLDER)
        except OSError as error:
            _log.warning("the audit log could not be turned over: %s", error)
        self._older, self._newer, self._bytes = self._newer, [], 0

    def _read(self, name: str) -> bytes:
        try:
            return self._storage.read(name, 2 * self._limit_bytes)
        except OSError:
            return b""


def _parse(raw: bytes, chain: str) -> list[AuditEntry]:
    entries = []
    for line in raw.splitlines(keepends=True):
        try:
            item = json.loads(line)
            action, subject, result, after = (
                clean_text(item[name]) for name in ("action", "subject", "result", "after")
            )
            entry = AuditEntry(int(item["index"]), float(item["time_s"]), action, subject, result, f"{chain} {after}")
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        if line.endswith(b"\n"):
            entries.append(entry)
    return entries
