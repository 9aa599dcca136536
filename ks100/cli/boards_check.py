"""``ks100 boards check``: diagnose whether each board can be used."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.board_answers import ask_each
from ks100.cli.board_choice import BoardSelection, boards_options, choose_boards, found_here
from ks100.cli.output import json_option, print_json
from ks100.cli.wrapping import wrapped
from ks100.errors import ExitCode

if TYPE_CHECKING:
    from firmware_bridge.host.address import BoardAddress

__all__ = ["check"]


@dataclass(slots=True)
class _Report:
    """Findings on one board: problems that prevent its use, and remarks."""

    name: str
    address: BoardAddress
    summary: str = ""
    blocking: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@click.command(name="check")
@boards_options
@json_option
def check(boards: tuple[str, ...], everything: bool, inventory: Path | None, as_json: bool) -> int:
    """Check whether each BOARD can be used, and show problems with their remedies.

    By default checks all boards connected to or running on this machine, including unprogrammed USB bridges:
    permissions, group, programs that use the port, ModemManager and brltty, FTDI latency timer, login, agent and
    program.
    """
    from concurrent.futures import ThreadPoolExecutor

    if boards or everything:
        chosen = choose_boards(BoardSelection(boards, inventory, everything))
    else:
        chosen = dict(found_here(set())) | _unprogrammed()
    if not chosen:
        click.echo("no USB serial port and no running virtual board; is the board connected and powered?")
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
    """Return the USB serial ports without a board's product name."""
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
        report.remarks.append("it has no trust store and accepts no package: ks100 provision")
    if any(slot.name == info.active and slot.state == "trial" for slot in info.slots):
        report.remarks.append("its model is on trial and reverts at the next reboot: ks100 boards confirm")
