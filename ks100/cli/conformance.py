"""``ks100 conformance``: attack a board, or this host, in every known way, and check that it refuses what it must."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.board_choice import find_board, inventory_option
from ks100.cli.output import json_option, print_json
from ks100.cli.progress import progress_bar
from ks100.cli.tables import print_table
from ks100.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from hil.conformance.results import CaseResult, ConformanceResults

__all__ = ["command"]

_HOST = "host"
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(name="conformance")
@click.argument("board", default="emu:")
@inventory_option
@click.option("--only", multiple=True, metavar="NAME", help="A group, a class, or CLASS/CASE; repeatable.")
@click.option("--expected-failures", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Classes or CLASS/CASE that this board is known to fail, one a line.")  # fmt: skip
@click.option("--list", "listing", is_flag=True, help="List the classes without running them.")
@click.option("--save", type=_FILE, help="Write every case as JSON.")
@click.option("--junit", type=_FILE, help="Write JUnit XML.")
@click.option("--html", type=_FILE, help="Write an HTML page that explains each case.")
@json_option
def command(
    board: str, inventory: Path | None, only: tuple[str, ...], expected_failures: Path | None, listing: bool,
    save: Path | None, junit: Path | None, html: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Test BOARD with everything it must refuse, and with what it must accept; BOARD "host" tests this host's commands.

    BOARD is a URL or name; the default is a new emulated board. A board that is not emulated must be factory-new: the
    suite provisions its own trust store, and the board must be reset afterwards. "host" needs no board: a simulated one
    violates every part of the protocol, and no command may crash, hang, print its data other than as plain text, or
    lose the record of another board.

    Ctrl-C ends the run early; the reports then contain the results so far.

    Exit codes: 0 the board or host conforms, 1 it does not, 130 interrupted.
    """
    from hil.conformance.report import write_conformance_junit, write_html
    from hil.conformance.results import FILE

    if board == _HOST:
        results = _tried_host(only, expected_failures, listing=listing)
    else:
        results = _tried_board(board, inventory, only, expected_failures, listing=listing)
    if results is None:
        return ExitCode.PASS
    if save is not None:
        results.save(save)
    if junit is not None:
        write_conformance_junit(results, junit)
    if html is not None:
        write_html(results, html)
    if as_json:
        print_json(FILE.to_json(results))
    else:
        _print(results)
    if not results.complete:
        return ExitCode.INTERRUPTED
    return ExitCode.PASS if results.passed else ExitCode.LIMIT_FAILED


def _tried_host(only: tuple[str, ...], expected_failures: Path | None, *, listing: bool) -> ConformanceResults | None:
    from hil.conformance.host.runner import chosen_host_rules
    from ks100.cli.conformance_host import host_rows, try_this_host

    if expected_failures is not None:
        raise UsageError("this host has no expected failures; leave --expected-failures away")
    rules = chosen_host_rules(only)
    if listing:
        print_table(("group", "class", "the host's promise", ">cases"), host_rows(rules))
        return None
    return try_this_host(rules)


def _tried_board(
    board: str, inventory: Path | None, only: tuple[str, ...], expected_failures: Path | None, *, listing: bool
) -> ConformanceResults | None:
    from firmware_bridge.host.address import BoardAddress
    from hil.conformance.catalogue import chosen
    from hil.conformance.runner import run_conformance

    rules = chosen(only)
    url = find_board(board, inventory)
    known = () if expected_failures is None else _listed(expected_failures, {rule.name for rule in rules})
    if listing:
        rows = [(rule.group.value, rule.name, rule.promise, rule.origin) for rule in rules]
        print_table(("group", "class", "the board's promise", "seen as"), rows)
        return None
    with progress_bar("conformance") as progress:
        return run_conformance(BoardAddress.parse(url), rules, expected_failures=known, progress=progress)


def _listed(path: Path, rules: set[str]) -> frozenset[str]:
    """Return the names in a list of expected failures."""
    from firmware_bridge.input_files import read_text

    lines = (line.partition("#")[0].strip() for line in read_text(path).splitlines())
    names = frozenset(line for line in lines if line)
    for name in sorted(names):
        if name.partition("/")[0] not in rules:
            raise UsageError(f"{path}: there is no class {name.partition('/')[0]!r}; see: ks100 conformance --list")
    return names


def _print(results: ConformanceResults) -> None:
    rows = []
    for group, rules in groupby(results.rules, key=lambda rule: rule.group):
        cases = [case for rule in rules for case in results.of(rule.name)]
        against = sum(case.counts_against for case in cases)
        untried = sum(case.status.value == "not applicable" for case in cases)
        most = max((case.wire_bytes for case in cases), default=0)
        rows.append((group, str(len({case.rule for case in cases})), str(len(cases) - untried), str(untried or ""),
                     f"{most:,}", f"[red]{against} failed[/]" if against else "[green]conforms[/]"))  # fmt: skip
    print_table(("group", ">classes", ">cases", ">not applicable", ">max. bytes sent", "verdict"), rows)
    for case in results.cases:
        if case.counts_against:
            click.secho(_line(case), fg="red")
    verdict = "conforms" if results.passed else "does NOT conform"
    if not results.complete:
        verdict = f"was not completed ({results.planned - len(results.cases)} cases are left)"
    deaths = "" if results.board == _HOST else f", the agent died {results.agent_deaths} times"
    click.echo(
        f"{results.board} {results.serial} {verdict}: {results.tried} cases of {len(results.rules)} classes over "
        f"{results.link} in {results.seconds:.0f} s{deaths}"
    )


def _line(case: CaseResult) -> str:
    if not case.status.is_failure:
        return f"{case.name}: passed, and is listed as an expected failure"
    also = "".join(f"; {line}" for line in case.broken)
    return f"{case.name}: {case.status.value}: {case.observed}, expected {' or '.join(case.expected)}{also}"
