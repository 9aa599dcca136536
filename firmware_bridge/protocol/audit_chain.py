"""How an audit entry is chained to the one before it: the same on the board's disk and in a host's check.

A line is the entry as JSON in one encoding, with the first digits of the SHA-256 of the line before in its chain. A
board has two chains, since what it refused must never push out what was done to it. Law: changing, adding or removing
a line breaks the link of the line after it; the last line of a chain is what a host must remember (`Head`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from firmware_bridge.protocol.messages import AuditEntry

__all__ = ["ACTS", "NOTES", "Head", "broken_links", "digest_of", "heads_of", "line_of", "link_after"]

ACTS = "acts"
"""The chain of what changed the board."""
NOTES = "notes"
"""The chain of all else: refusals, offers, loads, starts."""

_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Head:
    """The last line of a chain: the entry's number, and its line's digest."""

    chain: str
    index: int
    digest: str

    def __str__(self) -> str:
        return f"{self.index}:{self.digest}"


def line_of(entry: AuditEntry) -> bytes:
    """Return the line of an entry whose ``link`` is set."""
    item = {
        "index": entry.index,
        "time_s": entry.time_s,
        "action": entry.action,
        "subject": entry.subject,
        "result": entry.result,
        "after": entry.link.partition(" ")[2],
    }
    return json.dumps(item, ensure_ascii=True).encode() + b"\n"


def digest_of(line: bytes) -> str:
    """Return the digits by which the line after this one names it."""
    return hashlib.sha256(line).hexdigest()[:_DIGITS]


def link_after(chain: str, line: bytes) -> str:
    """Return the ``link`` of the entry that follows ``line`` in ``chain``; ``b""`` is before the first."""
    return f"{chain} {digest_of(line)}"


def broken_links(entries: Iterable[AuditEntry]) -> tuple[int, ...]:
    """Return the numbers of the entries that do not follow from the one before them in their chain."""
    last: dict[str, AuditEntry] = {}
    broken = []
    for entry in entries:
        chain = entry.link.partition(" ")[0]
        before = last.get(chain)
        if before is not None and entry.link != link_after(chain, line_of(before)):
            broken.append(entry.index)
        last[chain] = entry
    return tuple(broken)


def heads_of(entries: Iterable[AuditEntry]) -> tuple[Head, ...]:
    """Return the last line of each chain."""
    last = {entry.link.partition(" ")[0]: entry for entry in entries}
    return tuple(Head(chain, entry.index, digest_of(line_of(entry))) for chain, entry in sorted(last.items()))
