"""``ks100 boards audit --verify``: whether the lines of boards' audit logs still follow from each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ks100.cli.board_answers import Answer, end_code, error_lines
from ks100.cli.output import print_json
from ks100.cli.wrapping import wrapped
from ks100.errors import ExitCode, worst_code

if TYPE_CHECKING:
    from firmware_bridge.protocol.messages import AuditEntry

__all__ = ["verify_logs"]

_OLD = "the agent is older and does not link its entries; update it: ks100 agent install"


def verify_logs(answers: Sequence[Answer[tuple[AuditEntry, ...]]], heads: Sequence[str], *, as_json: bool) -> ExitCode:
    """Show for each board what is wrong with its log, or its heads; returns the exit code.

    Args:
        answers: each board's whole log.
        heads: ``NUMBER:DIGEST`` of lines that must be there.
        as_json: as one document.
    """
    from firmware_bridge.protocol.audit_chain import heads_of

    found = {a.name: _faults(a.value, heads) for a in answers if a.value is not None}
    if as_json:
        logs = {a.name: {head.chain: str(head) for head in heads_of(a.value or ())} for a in answers}
        print_json({"boards": [a.record(faults=found.get(a.name), heads=logs[a.name]) for a in answers]})
    for answer in answers if not as_json else ():
        if answer.value is None:
            continue
        for line in found[answer.name]:
            click.echo(wrapped(f"{answer.name}: {line}"))
        if not found[answer.name]:
            shown = ", ".join(f"{head.chain} {head}" for head in heads_of(answer.value))
            click.echo(wrapped(f"{answer.name}: {len(answer.value)} entries follow from each other; heads: {shown}"))
    if not as_json:
        for line in error_lines(answers):
            click.echo(wrapped(f"ks100: {line}"), err=True)
    failed = ExitCode.LIMIT_FAILED if any(found.values()) else ExitCode.PASS
    return worst_code([end_code(answers), failed])


def _faults(entries: Sequence[AuditEntry], heads: Sequence[str]) -> list[str]:
    from firmware_bridge.protocol.audit_chain import broken_links, digest_of, line_of

    if any(not entry.link for entry in entries):
        return [_OLD]
    faults = [
        f"entry {index} does not follow from the one before: a line was changed or removed"
        for index in broken_links(entries)
    ]
    known = {f"{entry.index}:{digest_of(line_of(entry))}" for entry in entries}
    return faults + [f"the log does not contain {head} any more" for head in heads if head not in known]
