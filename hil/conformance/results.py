"""What the suite found on one board, as one value that reports are made of.

Round-trip law: ``load(p) == r`` after ``r.save(p)``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from hil.errors import EvidenceError
from models.records import RecordFile, derived

__all__ = ["CaseResult", "ConformanceResults", "RuleFacts", "Status"]


class Status(Enum):
    """How one case ended."""

    PASSED = "passed"
    WRONGLY_ACCEPTED = "wrongly accepted"
    WRONGLY_REJECTED = "wrongly rejected"
    WRONG_REASON = "wrong reason"
    BROKEN_PROMISE = "broken promise"
    """The answer is right, and something else is not: the active model, the audit log."""
    NO_ANSWER = "no answer"
    NOT_APPLICABLE = "not applicable"

    @property
    def is_failure(self) -> bool:
        """Whether the board did not do what it must."""
        return self not in (Status.PASSED, Status.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """A rule in reports."""

    name: str
    group: str
    promise: str
    why: str
    origin: str
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case.

    Attributes:
        rule: its rule's name.
        label: its name within the rule.
        expected: the codes that are right.
        observed: what the board made of it.
        detail: the board's words.
        broken: promises that did not hold beside the answer, one line each.
        status: how it ended.
        expected_failure: whether it was listed as one.
        wire_bytes: bytes that the host had sent when the answer came.
        seconds: wall time, its checks included.
    """

    rule: str
    label: str
    expected: tuple[str, ...]
    observed: str
    detail: str
    broken: tuple[str, ...]
    status: Status
    expected_failure: bool
    wire_bytes: int
    seconds: float

    @property
    def name(self) -> str:
        """Names it in lists and reports."""
        return f"{self.rule}/{self.label}"

    @property
    def counts_against(self) -> bool:
        """Whether it makes the run fail: an unexpected failure, or a pass that was listed as a failure."""
        if self.status is Status.NOT_APPLICABLE:
            return False
        return self.status.is_failure != self.expected_failure


@dataclass(frozen=True, slots=True)
class ConformanceResults:
    """One run.

    Attributes:
        board: kind of board.
        serial: its serial number.
        agent: version of its agent.
        link: how it was reached.
        emulated: whether it is an emulated board.
        rules: what was tried.
        cases: each case, in order.
        planned: the number of cases of a complete run.
        agent_deaths: the number of unrequested restarts of the agent.
        started_s: when it began, seconds since 1970.
        seconds: wall time.
    """

    board: str
    serial: str
    agent: str
    link: str
    emulated: bool
    rules: tuple[RuleFacts, ...]
    cases: tuple[CaseResult, ...]
    planned: int
    agent_deaths: int
    started_s: float
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether all was tried, and nothing counts against the board."""
        return self.complete and not self.agent_deaths and not any(case.counts_against for case in self.cases)

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return len(self.cases) == self.planned

    @property
    def counts(self) -> Counter[Status]:
        """How many cases ended how."""
        return Counter(case.status for case in self.cases)

    @property
    def tried(self) -> int:
        """How many cases apply to this board."""
        return len(self.cases) - self.counts[Status.NOT_APPLICABLE]

    def of(self, rule: str) -> tuple[CaseResult, ...]:
        """Return the cases of one rule."""
        return tuple(case for case in self.cases if case.rule == rule)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        FILE.save(self, path)

    @classmethod
    def load(cls, path: Path) -> ConformanceResults:
        """Read what `save` wrote.

        Raises:
            EvidenceError: not such a result.
        """
        return FILE.load(path)


FILE = RecordFile(ConformanceResults, "the result of a conformance run", 2, "run again", EvidenceError)
derived(ConformanceResults, "passed")
