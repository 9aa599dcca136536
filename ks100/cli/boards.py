"""``ks100 boards``: find, check and manage boards."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ks100.cli.board_answers import Answer, ask_each, end_code, error_lines
from ks100.cli.board_choice import BoardSelection, boards_options, choose_boards
from ks100.cli.boards_check import check
from ks100.cli.boards_list import list_boards
from ks100.cli.output import json_option, print_json
from ks100.cli.provision import command as provision
from ks100.cli.tables import print_table
from ks100.cli.wrapping import waived, wrapped
from ks100.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from firmware_bridge.host.board import Board
    from firmware_bridge.protocol.messages import AuditEntry, BoardInfo, SlotInfo

__all__ = ["command"]

_T = TypeVar("_T")


@click.group(name="boards")
def command() -> None:
    """Find, check and manage boards.

    A board is a URL: emu: (a new emulated one), emu:DIR, qemu:DIR, ssh://USER@HOST, serial:///dev/ks100/SERIAL; or a
    name in the inventory.

    A pushed package is in state installed; activate runs its trial, confirm makes it permanent and raises the rollback
    floor, rollback returns to the confirmed model in the other slot. An unconfirmed activation ends at the next reboot.
    """


command.add_command(list_boards)
command.add_command(check)
command.add_command(copy.copy(provision))  # with its own examples in the help


@command.command()
@boards_options
@json_option
def info(boards: tuple[str, ...], everything: bool, inventory: Path | None, as_json: bool) -> int:
    """Show kind, serial number, program, rollback floor and slots with digests of each BOARD."""
    answers = _asked(boards, everything, inventory, lambda board: (board.info(), board.welcome.version))
    if as_json:
        print_json({"boards": [a.record(**(_info_record(*a.value) if a.value else {})) for a in answers]})
        return end_code(answers)
    for answer in answers:
        if answer.value is not None:
            title = answer.name if len(answers) > 1 else ""
            print_table(("", ""), _info_rows(*answer.value), title=title)
    return _ended(answers)


@command.command()
@boards_options
@click.option("--since", type=click.IntRange(0), default=0, show_default=True, help="First entry.")
@click.option("--verify", is_flag=True, help="Check that every entry follows from the one before; show the heads.")
@click.option("--head", "heads", multiple=True, metavar="NUMBER:DIGEST",
              help="A head that --verify has shown before: the log must still contain it; repeat it.")  # fmt: skip
@json_option
def audit(
    boards: tuple[str, ...], everything: bool, inventory: Path | None, since: int, verify: bool,
    heads: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Show the audit log of each BOARD: all accepted and rejected packages, activations and loads.

    Exit codes: 1 an entry was changed or removed (--verify).
    """
    if verify or heads:
        from ks100.cli.boards_audit import verify_logs

        if since:
            raise UsageError("--verify checks the whole log; omit --since")
        return verify_logs(_asked(boards, everything, inventory, lambda board: board.audit()), heads, as_json=as_json)
    answers = _asked(boards, everything, inventory, lambda board: board.audit(since))
    if as_json:
        print_json({"boards": [a.record(entries=[_entry_record(e) for e in a.value or ()]) for a in answers]})
        return end_code(answers)
    for answer in answers:
        if answer.value is not None:
            print_table((">#", "board's time", "action", "subject", "result"), _audit_rows(answer.value),
                        title=answer.name if len(answers) > 1 else "")  # fmt: skip
    return _ended(answers)


@command.command()
@boards_options
@click.option(
    "--slot", type=click.Choice(["a", "b"]), help="Slot to activate; by default the one with the newest package."
)
@click.option("--confirm", "confirmed", is_flag=True, help="Also confirm it if its trial passes.")
@json_option
def activate(
    boards: tuple[str, ...], everything: bool, inventory: Path | None, slot: str | None, confirmed: bool, as_json: bool
) -> int:
    """Activate the pushed package of each BOARD, and run its trial.

    Without --confirm the package is on trial: the board returns to the confirmed model at the next reboot.
    """

    def act(board: Board) -> str:
        chosen = slot or _installed_slot(board.info())
        board.activate(chosen)
        if not confirmed:
            return f"slot {chosen} is activated, not confirmed: the next reboot reverts it"
        return f"slot {chosen} is confirmed; rollback floor {board.confirm().floor}"

    return _changed(boards, everything, inventory, act, as_json)


@command.command()
@boards_options
@json_option
def confirm(boards: tuple[str, ...], everything: bool, inventory: Path | None, as_json: bool) -> int:
    """Confirm the package on trial on each BOARD, and raise its rollback floor."""

    def act(board: Board) -> str:
        before = board.info()
        kept = board.confirm()
        new = "" if kept.floor == before.floor else f", it was {before.floor}"
        return f"slot {kept.slot} is confirmed; rollback floor {kept.floor}{new}"

    return _changed(boards, everything, inventory, act, as_json)


@command.command()
@boards_options
@json_option
def rollback(boards: tuple[str, ...], everything: bool, inventory: Path | None, as_json: bool) -> int:
    """Return to the confirmed model in the other slot of each BOARD, if the rollback floor permits."""

    def act(board: Board) -> str:
        slot = _fallback_slot(board.info())
        board.activate(slot.name)
        return f"runs {slot.model} {slot.version} from slot {slot.name} again"

    return _changed(boards, everything, inventory, act, as_json)


@command.command()
@boards_options
@json_option
def reboot(boards: tuple[str, ...], everything: bool, inventory: Path | None, as_json: bool) -> int:
    """Restart the agent of each BOARD."""

    def act(board: Board) -> str:
        board.reboot()
        return "restarting"

    return _changed(boards, everything, inventory, act, as_json)


def _asked(
    boards: tuple[str, ...], everything: bool, inventory: Path | None, ask: Callable[[Board], _T]
) -> tuple[Answer[_T], ...]:
    """Query all selected boards; the error of a single board is raised."""
    answers = ask_each(choose_boards(BoardSelection(boards, inventory, everything)), ask)
    if len(answers) == 1 and answers[0].error is not None:
        raise answers[0].error
    return answers


def _changed(
    boards: tuple[str, ...], everything: bool, inventory: Path | None, act: Callable[[Board], str], as_json: bool
) -> int:
    chosen = choose_boards(BoardSelection(boards, inventory, everything))
    for name, address in chosen.items():
        if address.is_ephemeral:
            raise UsageError(f"{name} is a new board each time; give emu:DIR or qemu:DIR, which persists")
    answers = _asked(boards, everything, inventory, act)
    if as_json:
        print_json({"boards": [a.record(done=a.value) for a in answers]})
        return end_code(answers)
    for answer in answers:
        if answer.value is not None:
            click.echo(f"{answer.name}: {answer.value}")
    return _ended(answers)


def _ended(answers: Sequence[Answer[_T]]) -> ExitCode:
    for line in error_lines(answers):
        click.echo(wrapped(f"ks100: {line}"), err=True)
    return end_code(answers)


def _installed_slot(info: BoardInfo) -> str:
    from firmware_bridge.errors import BoardError

    waiting = [slot for slot in info.slots if slot.state == "installed"]
    if not waiting:
        raise BoardError(f"{info.serial} has no pushed package to activate; push one, or give --slot")
    return max(waiting, key=lambda slot: slot.security_version).name


def _fallback_slot(info: BoardInfo) -> SlotInfo:
    from firmware_bridge.errors import BoardError

    others = [slot for slot in info.slots if slot.state == "confirmed" and slot.name != info.active]
    if not others:
        raise BoardError(f"{info.serial} has no other confirmed model to return to; ks100 boards info shows its slots")
    return others[0]


def _info_rows(found: BoardInfo, version: int) -> list[tuple[str, str]]:
    from rich.markup import escape

    rows = [
        ("board", f"{found.board} {found.serial}" + (" (EMULATED)" if found.emulated else "")),
        ("agent", f"{found.agent}, protocol {version}, package schema {found.package_schema}"),
        ("runtime", f"{found.runtime.name} {found.runtime.version}, {len(found.runtime.ops)} (op, type) pairs"),
        (
            "program",
            f"{found.program}, trust store version {found.trust_version}" if found.program else "not provisioned",
        ),
        ("rollback floor", str(found.floor)),
        ("capacity", f"{found.capacity_bytes / 2**20:.0f} MiB per model"),
        ("rails", ", ".join(found.rails) or "none"),
    ]
    for slot in found.slots:
        model = f", {slot.model} {slot.version}, security version {slot.security_version}" if slot.model else ""
        active = slot.name == found.active
        state = {"trial": "on trial, not confirmed", "installed": "pushed, not activated"}.get(slot.state, slot.state)
        rows.append((f"slot {slot.name}", f"{state}{model}" + (" (active)" if active else "")))
        if slot.digest:
            rows.append(("", f"graph {slot.digest}"))
        if slot.package_digest:
            rows.append(("", f"package {slot.package_digest}"))
        if slot.waiver:
            rows.append(("", f"[red]{escape(waived(slot.waiver))}[/]"))
    return rows


def _info_record(found: BoardInfo, version: int) -> dict[str, object]:
    return {
        "board": found.board, "serial": found.serial, "emulated": found.emulated, "agent": found.agent,
        "protocol": version, "package_schema": found.package_schema,
        "runtime": {"name": found.runtime.name, "version": found.runtime.version, "ops": list(found.runtime.ops)},
        "program": found.program or None, "trust_version": found.trust_version, "floor": found.floor,
        "capacity_bytes": found.capacity_bytes, "rails": list(found.rails), "active": found.active or None,
        "slots": [
            {"name": s.name, "state": s.state, "model": s.model or None, "version": s.version or None,
             "security_version": s.security_version, "sha256": s.digest or None,
             "package_sha256": s.package_digest or None, "waiver": s.waiver or None}
            for s in found.slots
        ],
    }  # fmt: skip


def _entry_record(entry: AuditEntry) -> dict[str, object]:
    return {"index": entry.index, "time_s": entry.time_s, "action": entry.action, "subject": entry.subject,
            "result": entry.result}  # fmt: skip


def _audit_rows(entries: Sequence[AuditEntry]) -> list[tuple[str, ...]]:
    from rich.markup import escape

    return [
        (str(e.index), time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(e.time_s)), escape(e.action),
         escape(e.subject), escape(e.result))
        for e in entries
    ]  # fmt: skip
