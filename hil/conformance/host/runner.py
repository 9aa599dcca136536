"""Trying a program's commands against lying boards, several at once, and judging each end."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path

from hil.conformance.host import roles, texts
from hil.conformance.host.board import EvilBoard, Lies
from hil.conformance.host.cases import Ending, HostCase, HostRule, judged
from hil.conformance.host.command import HostProgram, run_command
from hil.conformance.host.workspace import Workspace
from hil.conformance.results import CaseResult, ConformanceResults, RuleFacts
from hil.errors import EvidenceError
from models.progress import Progress, silent

__all__ = ["HOST_RULES", "chosen_host_rules", "run_host_conformance"]

HOST_RULES: tuple[HostRule, ...] = (*texts.RULES, *roles.RULES)

_LIMIT_S = 240.0  # beyond the longest deadline of a command, twice where a broken link is tried again
_AT_ONCE = 2 * (os.cpu_count() or 1)
_SHOWN = 400


def chosen_host_rules(names: Sequence[str]) -> tuple[HostRule, ...]:
    """Return the rules of these names or groups, or with ``rule/label`` one case of a rule; all without names.

    Raises:
        EvidenceError: unknown rule, group or case.
    """
    if not names:
        return HOST_RULES
    found: list[HostRule] = []
    for name in names:
        whole, _, label = name.partition("/")
        matching = [rule for rule in HOST_RULES if whole in (rule.name, rule.group)]
        if label:
            matching = [replace(rule, cases=tuple(c for c in rule.cases if c.label == label)) for rule in matching]
        if not any(rule.cases for rule in matching):
            raise EvidenceError(f"there is no class, group or case {name!r} of the host's suite; see --list")
        found += [rule for rule in matching if rule.cases and rule not in found]
    return tuple(found)


def run_host_conformance(
    program: HostProgram, rules: Sequence[HostRule], *, progress: Progress = silent, limit_s: float = _LIMIT_S
) -> ConformanceResults:
    """Try ``rules`` on a program's commands.

    Args:
        program: the host.
        rules: what to try.
        progress: called for each case.
        limit_s: after how long a command counts as hung.

    Returns:
        What was found; after an interruption, until then.
    """
    begun_s = time.monotonic()
    planned = [(rule, case) for rule in rules for case in rule.cases]
    cases: list[CaseResult] = []
    context = program.context()
    with tempfile.TemporaryDirectory(prefix="ks100-host-") as name, ThreadPoolExecutor(_AT_ONCE) as pool:
        work = Workspace(Path(name))
        # What waits for a deadline begins first, and the others pass meanwhile.
        order = sorted(range(len(planned)), key=lambda at: planned[at][0].group != "silence")
        try:
            tried = {at: pool.submit(_tried, program, context, work, at, *planned[at], limit_s) for at in order}
            for at, (rule, case) in enumerate(planned):
                progress(at / len(planned), f"{at}/{len(planned)} {rule.name}/{case.label}")
                cases.append(tried[at].result())
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
    facts = tuple(RuleFacts(r.name, r.group, r.promise, r.why, "", ()) for r in rules)
    return ConformanceResults(
        board="host",
        serial=platform.node(),
        agent=program.version,
        link="pseudo-terminals",
        emulated=True,
        rules=facts,
        cases=tuple(cases),
        planned=len(planned),
        agent_deaths=0,
        started_s=round(time.time() - (time.monotonic() - begun_s), 3),
        seconds=time.monotonic() - begun_s,
    )


def _tried(
    program: HostProgram, context: ForkServerContext, work: Workspace, number: int, rule: HostRule, case: HostCase,
    limit_s: float,
) -> CaseResult:  # fmt: skip
    folder = work.of(number)
    with ExitStack() as stack:
        boards = {"board": stack.enter_context(EvilBoard(case.lies, work.digest)).url}
        if "{honest}" in case.command:
            boards["honest"] = stack.enter_context(EvilBoard(Lies(), work.digest, "GOOD-1")).url
        end = run_command(
            context, program.main, work.arguments(case.command, folder, boards), folder, work.environment(folder),
            terminal=case.terminal, limit_s=limit_s,
        )  # fmt: skip
    text = end.output.decode("utf-8", "replace").replace("\r\n", "\n")
    found = Ending(
        end.code, text, end.memory_mib, work.custody_entries(folder), work.recorded_boards(folder), end.seconds
    )
    status, broken = judged(case, found)
    last = ascii(text.strip()[-_SHOWN:])  # of an output that may be hostile
    code = "no end" if end.code is None else f"exit {end.code}"
    expected = tuple(f"exit {code}" for code in case.codes)
    return CaseResult(rule.name, case.label, expected, code, last, broken, status, False, 0, end.seconds)
