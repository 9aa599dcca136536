"""``ks100 boards check``: why each board can or cannot be used, in a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.board_answers import ask_each
from ks100.cli.board_choice import BoardSelection, boards_options, choose_boards, found_here
from ks100.cli.output import json_option, print_json
from ks100.cli.words import wrapped
from ks100.errors import ExitCode

if TYPE_CHECKING:
    from firmware_bridge.host.address import BoardAddress

__all__ = ["check"]


@dataclass(slots=True)
class _Report:
    """What was found of one board: what forbids its use, and what is worth knowing."""

    name: str
    address: BoardAddress
    summary: str = ""
    blocking: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@click.command(name="check")
@boards_options
@json_option
def check(boards: tuple[str, ...], everything: bool, inventory: Path | None, as_json: bool) -> int:
    """Say of each BOARD whether it can be used, and if not why and what helps.

    Without BOARD, of everything that is plugged in or runs here, USB bridges that nobody has programmed included.
    Permissions, group, who has the port open, ModemManager and brltty, FTDI's latency timer, login, agent and program.
    """
    from concurrent.futures import ThreadPoolExecutor

    if boards or everything:
        chosen = choose_boards(BoardSelection(boards, inventory, everything))
    else:
        chosen = dict(found_here(set())) | _unprogrammed()
    if not chosen:
        click.echo(
            "no serial port with a USB bridge, and no virtual board that runs; is the board plugged in and powered?"
        )
        return ExitCode.BOARD_FAULT
    with ThreadPoolExecutor(min(32, len(chosen))) as pool:
        reports = list(pool.map(lambda item: _report(*item), chosen.items()))
    if as_json:
        print_json({"boards": [
            {"name": r.name, "address": r.address.url, "usable": not r.blocking, "problems": r.blocking,
             "remarks": r.remarks, "board": r.summary or None}
            for r in reports
        ]})  # fmt: skip
    else:
        for report in reports:
            verdict = "; ".join(report.blocking) or f"ok: {report.summary}"
            click.echo(wrapped(f"{report.name}: {verdict}" + "".join(f"; {text}" for text in report.remarks)))
    return ExitCode.BOARD_FAULT if any(report.blocking for report in reports) else ExitCode.PASS


def _unprogrammed() -> dict[str, BoardAddress]:
    """Return the USB serial ports that do not call themselves a board."""
    from firmware_bridge.host.address import SerialAddress
    from firmware_bridge.host.discovery import is_boards_product, usb_ports

    return {device: SerialAddress(Path(device)) for device, product in usb_ports() if not is_boards_product(product)}


def _report(name: str, address: BoardAddress) -> _Report:
    from firmware_bridge.host.address import SerialAddress
    from firmware_bridge.host.discovery import usb_ports
    from firmware_bridge.host.port_access import inspect_port

    report = _Report(name, address)
    if isinstance(address, SerialAddress):
        product = dict(usb_ports()).get(str(address.path.resolve())) or ""
        for finding in inspect_port(address.path, product):
            (report.blocking if finding.blocks else report.remarks).append(finding.text)
    if not report.blocking:
        _ask(report)
    return report


def _ask(report: _Report) -> None:
    (answer,) = ask_each({report.name: report.address}, lambda board: board.info())
    if answer.error is not None:
        report.blocking.append(" ".join(str(answer.error).split()))
        return
    info = answer.value
    assert info is not None
    report.summary = f"{info.board} {info.serial}, " + (
        f"program {info.program}" if info.program else "not provisioned"
    )
    if not info.program:
        report.remarks.append("it takes no package before it has a trust store: ks100 provision")
    if any(slot.name == info.active and slot.state == "trial" for slot in info.slots):
        report.remarks.append("its model is on trial, and falls back at the next reboot: ks100 boards confirm")
