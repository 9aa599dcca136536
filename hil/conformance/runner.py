"""Trying rules on a board: prepare it, attack it, and after every attack look whether it still is what it was.

The board must be factory-new: it gets the suite's own trust store and model, and its state afterwards is worth
nothing. An emulated board is made for the run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_bridge.errors import BenchError, BridgeError, TransferError
from firmware_bridge.host.address import BoardAddress, EmulatedAddress, SerialAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.open import open_link
from firmware_bridge.links.link import Link
from firmware_bridge.protocol.messages import AuditEntry, SlotInfo
from hil.boards import reachable, virtual_board
from hil.conformance.results import CaseResult, ConformanceResults, RuleFacts, Status
from hil.conformance.rules import (
    ACCEPTED,
    BUSY,
    FAULT,
    ON_DISK,
    OVER_A_LINE,
    OVER_SSH,
    SURVIVED,
    Case,
    Rule,
    Target,
    observed,
)
from hil.conformance.signing_kit import SigningKit
from models.progress import Progress, silent

__all__ = ["Reach", "attack", "run_conformance"]

_HOST = "ks100 conformance"
_PATIENCE_S = 60.0
_NO_ANSWER = "no answer"
_POSITIVE = (ACCEPTED, SURVIVED, "fell back")


def run_conformance(
    address: BoardAddress,
    rules: Sequence[Rule],
    *,
    expected_failures: Collection[str] = (),
    progress: Progress = silent,
) -> ConformanceResults:
    """Try ``rules`` on the board at ``address``.

    Args:
        address: any board; one that is not emulated must be factory-new.
        rules: what to try.
        expected_failures: names of rules, or of cases as ``rule/label``, that this board is known to fail.
        progress: called for each case.

    Returns:
        What was found; after an interruption, until then.

    Raises:
        BenchError: there is no such board, or it has a trust store already.
        TransferError: the board does not answer any more, also after a while.
    """
    with _board_at(address) as (real, disk):
        on_a_line = isinstance(real, SerialAddress)
        reach = Reach(lambda: open_link(real), not on_a_line, disk, on_a_line)
        return attack(reach, rules, expected_failures=expected_failures, progress=progress)


@dataclass(frozen=True, slots=True)
class Reach:
    """How a board is reached.

    Attributes:
        open_link: opens a link to it.
        many_links: whether a second link can be open beside the first.
        disk: the folder that is the board's disk, None where it is out of reach.
        on_a_line: whether its links are serial lines.
    """

    open_link: Callable[[], Link]
    many_links: bool = True
    disk: Path | None = None
    on_a_line: bool = False


def attack(
    reach: Reach,
    rules: Sequence[Rule],
    *,
    expected_failures: Collection[str] = (),
    progress: Progress = silent,
) -> ConformanceResults:
    """Try ``rules`` on a board that is reached in any way; see `run_conformance`."""
    begun_s = time.monotonic()
    run = _Run(reach, frozenset(expected_failures))
    try:
        run.prepare()
        planned = [(rule, case) for rule in rules for case in rule.cases(run.target.kit)]
        with suppress(KeyboardInterrupt):  # the results so far are reported
            for index, (rule, case) in enumerate(planned):
                progress(index / len(planned), f"{index}/{len(planned)} {rule.name}/{case.label}")
                run.cases.append(run.try_case(rule, case))
            progress(1.0, "done")
        return run.results(rules, len(planned), time.monotonic() - begun_s)
    finally:
        run.close()


@contextmanager
def _board_at(address: BoardAddress) -> Iterator[tuple[BoardAddress, Path | None]]:
    """Give an address that can be opened as often as need be, and the board's disk where it is within reach."""
    if not isinstance(address, EmulatedAddress):
        with reachable(address) as real:
            yield real, None
        return
    with ExitStack() as stack:
        folder = address.path or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ks100-board-")))
        board = stack.enter_context(virtual_board(address, folder))
        yield BoardAddress.parse(board.serial_url if address.is_serial else board.ssh_url), board.state / "board"


class _Run:
    """One board under attack."""

    def __init__(self, reach: Reach, expected_failures: frozenset[str]) -> None:
        self._reach, self._expected_failures = reach, expected_failures
        self._audited = 0
        self._deaths = 0
        self.cases: list[CaseResult] = []
        self._board = Board(reach.open_link(), _HOST)
        self._info = self._board.info()

    def close(self) -> None:
        self._board.close()

    def prepare(self) -> None:
        """Give the board the suite's trust and a model, and remember what that model answers.

        Raises:
            BenchError: the board is provisioned already.
        """
        board, info = self._board, self._info
        if info.program:
            raise BenchError(
                f"board {info.serial} has the trust store of program {info.program!r}; the suite provisions its own: "
                "give a factory-new board, or emu: for an emulated one"
            )
        kit = SigningKit(info, int(time.time()))
        board.provision(kit.installed.raw)
        slot = board.push(kit.package()).slot
        board.activate(slot)
        board.confirm()
        self.target = Target(board, kit, self._reach.open_link, self._reach.disk, slot, self._reopen)
        self._inputs = {t.name: np.full(t.shape, 3, t.dtype) for t in kit.manifest.inputs}
        self._answer = self._board.infer(self._inputs).outputs
        self._active = self._active_slot()
        self._audit()
        self._deaths = 0  # how the board came up before is not the suite's

    def try_case(self, rule: Rule, case: Case) -> CaseResult:
        """Attack once, and look at everything that must hold afterwards."""
        expected = case.expected or rule.expected
        listed = bool({rule.name, f"{rule.name}/{case.label}"} & self._expected_failures)
        if not self._applies(rule):
            return CaseResult(rule.name, case.label, expected, "", "", (), Status.NOT_APPLICABLE, listed, 0, 0.0)
        begun_s, sent = time.monotonic(), self._board.statistics.wire_bytes_sent
        board = self._board
        try:
            got, detail = observed(case.act, self.target)
        except TransferError as error:
            got, detail = _NO_ANSWER, str(error)
            self._reopen()
        wire_bytes = self._board.statistics.wire_bytes_sent - (sent if self._board is board else 0)
        try:
            broken = self._broken_promises(rule, got)
        except BridgeError as error:
            broken = (f"the board does not serve any more: {error}",)
            self._reopen()
        status = _status(got, expected, broken)
        return CaseResult(
            rule.name, case.label, expected, got, detail, broken, status, listed, wire_bytes, time.monotonic() - begun_s
        )

    def _applies(self, rule: Rule) -> bool:
        if rule.needs is ON_DISK:
            return self._reach.disk is not None
        if rule.needs is OVER_A_LINE:
            return self._reach.on_a_line
        return rule.needs is not OVER_SSH or self._reach.many_links

    def _broken_promises(self, rule: Rule, got: str) -> tuple[str, ...]:
        broken = []
        if self._active_slot() != self._active:
            broken.append("the active slot is not what it was")
        outputs = self._board.infer(self._inputs).outputs
        if any(not np.array_equal(outputs[name], value) for name, value in self._answer.items()):
            broken.append("the active model answers otherwise")
        entries = self._audit()
        named = rule.silent or got in (*_POSITIVE, FAULT, BUSY, _NO_ANSWER)
        if not named and not any(got in entry.result for entry in entries):
            broken.append(f"the audit log does not name the refusal for {got}")
        if not rule.loads and any(entry.action in ("load", "activate") for entry in entries):
            broken.append("a slot was loaded")
        return tuple(broken)

    def _active_slot(self) -> SlotInfo | None:
        info = self._board.info()
        return next((slot for slot in info.slots if slot.name == info.active), None)

    def _audit(self) -> tuple[AuditEntry, ...]:
        """Return what the board has written since the last look, and count the unrequested starts."""
        entries = self._board.audit(self._audited)
        if entries:
            self._audited = entries[-1].index + 1
        actions = [entry.action for entry in entries]
        self._deaths += max(0, actions.count("boot") - actions.count("reboot"))
        return entries

    def _reopen(self) -> Board:
        """Open a new session; a board that restarts takes a while."""
        self._board.close()
        deadline_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._board = self.target.board = Board(self._reach.open_link(), _HOST)
                return self._board
            except (BenchError, TransferError):
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.1)

    def results(self, rules: Sequence[Rule], planned: int, seconds: float) -> ConformanceResults:
        info = self._info
        facts = tuple(RuleFacts(r.name, r.group.value, r.promise, r.why, r.origin, r.expected) for r in rules)
        return ConformanceResults(
            board=info.board,
            serial=info.serial,
            agent=info.agent,
            link=self._board.name.partition(":")[0],
            emulated=info.emulated,
            rules=facts,
            cases=tuple(self.cases),
            planned=planned,
            agent_deaths=self._deaths,
            started_s=round(time.time() - seconds, 3),
            seconds=seconds,
        )


def _status(got: str, expected: tuple[str, ...], broken: tuple[str, ...]) -> Status:
    if got == _NO_ANSWER:
        return Status.NO_ANSWER
    if got in expected:
        return Status.BROKEN_PROMISE if broken else Status.PASSED
    if got in _POSITIVE:
        return Status.WRONGLY_ACCEPTED
    return Status.WRONGLY_REJECTED if set(expected) <= set(_POSITIVE) else Status.WRONG_REASON
