"""What a case against the host is, and what every case asserts. Knows no attack."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hil.conformance.host.board import Lies
from hil.conformance.results import Status

__all__ = ["Ending", "HostCase", "HostRule", "judged"]

_MEMORY_MIB = 320.0  # a message at its limit three times over, beside what the command itself takes
_INTERNAL = 70
_NO_TEXT = re.compile(r"[^\n\t -~\u00a0-\U0010ffff]")  # control characters, C1 included
_INVISIBLE = re.compile("[\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_ON_A_TERMINAL = re.compile(r"\x1b\]|\x1b\[2J|\x1b\\|[\x00\x07\x08\x9b]")  # what no display of the host's ever writes


@dataclass(frozen=True, slots=True)
class HostCase:
    """One command against one lying board.

    Attributes:
        label: names it within its rule.
        command: arguments of ``ks100``; ``{board}`` is the board's address, other files are the workspace's.
        lies: what the board does.
        codes: the exit codes that are right.
        terminal: whether the output goes to a terminal.
        records: how many custody entries must be there afterwards, and whether every board must be in the run's record.
    """

    label: str
    command: tuple[str, ...]
    lies: Lies
    codes: tuple[int, ...] = (0,)
    terminal: bool = False
    records: int = 0


@dataclass(frozen=True, slots=True)
class HostRule:
    """A class of lies.

    Attributes:
        name: stable, unique.
        group: what of the board lies.
        promise: what the host must do.
        why: what goes wrong with a host that does not.
        cases: the cases.
    """

    name: str
    group: str
    promise: str
    why: str
    cases: tuple[HostCase, ...]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended.

    Attributes:
        code: its exit code, negative for a signal; None when it did not end and was killed.
        output: everything it wrote.
        memory_mib: its peak.
        custody: entries in the custody log.
        recorded: boards in the run's record.
        seconds: how long it took.
    """

    code: int | None
    output: str
    memory_mib: float
    custody: int
    recorded: int
    seconds: float


def judged(case: HostCase, end: Ending) -> tuple[Status, tuple[str, ...]]:
    """Return how a case ended, and the promises that did not hold, each named by its first word."""
    broken = []
    if end.code is None:
        return Status.NO_ANSWER, (f"hang: it did not end within {end.seconds:.0f} s",)
    if end.code == _INTERNAL or end.code < 0 or "Traceback (most recent call last)" in end.output:
        broken.append(f"crash: it ended with {end.code}")
    forbidden = (_ON_A_TERMINAL,) if case.terminal else (_NO_TEXT, _INVISIBLE)
    shown = [found[0] for pattern in (*forbidden, _INVISIBLE) if (found := pattern.search(end.output))]
    if shown:
        broken.append(f"escape: it shows {shown[0]!r}")
    if end.memory_mib > _MEMORY_MIB:
        broken.append(f"memory: it took {end.memory_mib:.0f} MiB")
    if end.custody < case.records:
        broken.append(f"records: the custody log has {end.custody} of {case.records} entries")
    if case.records and end.recorded < 2:
        broken.append(f"records: the run's record has {end.recorded} of 2 boards")
    if broken:
        return Status.BROKEN_PROMISE, tuple(broken)
    if end.code in case.codes:
        return Status.PASSED, ()
    return (Status.WRONGLY_ACCEPTED if end.code == 0 else Status.WRONG_REASON), ()
