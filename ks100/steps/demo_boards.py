"""The demo's work on its emulated boards: provision, push over both links, test rejections."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.host.transfer import TransferProgress
from firmware_bridge.package.container import PackageFile
from hil.boards import open_board
from hil.measurements.results import Rejection
from hil.virtual.emulated import EmulatedBoard
from ks100.steps.packaging import read_trust
from models.progress import Progress
from models.records import plain, structured, write_plain

__all__ = ["Push", "forge", "provision", "push", "read_pushes", "read_rejections"]


_REJECTIONS = "rejections.json"


@dataclass(frozen=True, slots=True)
class Push:
    """One push of a package.

    Attributes:
        link: ``ssh`` or ``serial``.
        board: the board's serial number.
        slot: the installed slot.
        digest: SHA-256 (hex) of the graph.
        payload_bytes: size of the graph.
        wire_bytes: bytes put on the link.
        seconds: duration.
        retries: resent frames.
    """

    link: str
    board: str
    slot: str
    digest: str
    payload_bytes: int
    wire_bytes: int
    seconds: float
    retries: int

    @property
    def text(self) -> str:
        """One line for display."""
        if not self.wire_bytes:
            return f"the board already had every byte, nothing was sent over {self.link}; slot {self.slot}"
        rate = self.payload_bytes / self.seconds / 1000 if self.seconds else 0.0
        return (
            f"{self.payload_bytes / 1024:.0f} KiB over {self.link} in {self.seconds:.1f} s ({rate:.0f} kB/s effective, "
            f"{self.wire_bytes / 1024:.0f} KiB on the wire), slot {self.slot}"
        )


def provision(board: EmulatedBoard, trust: Path) -> None:
    """Install the trust store unless the board already has exactly this one."""
    store = read_trust(trust)
    with open_board(board.ssh_url) as opened:
        if opened.trust() != store.raw:
            opened.provision(store.raw)


def push(board: EmulatedBoard, link: str, package: Path, record: Path, progress: Progress) -> Push:
    """Push a package, activate and confirm it; write the result to the file ``record``.

    Raises:
        RejectedError, BoardError, TransferError: as `firmware_bridge.host.board.Board.push`.
    """
    opened = PackageFile.open(package)
    wire, retries = 0, 0
    url = board.ssh_url if link == "ssh" else board.serial_url
    with open_board(url) as host:
        begin_s = time.monotonic()

        def report(p: TransferProgress) -> None:
            nonlocal wire, retries
            wire, retries = p.wire_bytes, p.retries
            left = "" if p.eta_s is None else f", {p.eta_s:.0f} s left"
            progress(
                p.bytes_done / max(1, p.bytes_total),
                f"{p.bytes_done / 1024:.0f}/{p.bytes_total / 1024:.0f} KiB at {p.rate_bytes_s / 1000:.1f} kB/s{left}",
            )

        installed = host.push(opened, report)
        seconds = time.monotonic() - begin_s
        host.activate(installed.slot)
        host.confirm()
        serial = host.welcome.serial
    done = Push(link, serial, installed.slot, installed.digest, opened.header.payload_bytes, wire, seconds, retries)
    write_plain(record, plain(done))
    return done


def forge(board: EmulatedBoard, package: Path, folder: Path) -> tuple[Rejection, ...]:
    """Push a package with one bit of its payload flipped, and one signed with another program's key.

    The flipped bit comes first: a board requests no bytes of a package that it already has.
    """
    from hil.checks.forgeries import FLIPPED_PAYLOAD, FORGERIES, attempt

    genuine = PackageFile.open(package)
    chosen = (FLIPPED_PAYLOAD, *(item for item in FORGERIES if item.case == "other-program"))
    with open_board(board.ssh_url) as host:
        found = tuple(attempt(host, forgery, forgery.make(genuine)) for forgery in chosen)
    write_plain(folder / _REJECTIONS, plain(found))
    return found


def read_rejections(folder: Path) -> tuple[Rejection, ...]:
    """Return the rejections recorded in ``folder``."""
    try:
        return structured(tuple[Rejection, ...], json.loads((folder / _REJECTIONS).read_text()))
    except OSError:
        return ()


def read_pushes(folder: Path) -> tuple[Push, ...]:
    """Return the pushes recorded in ``folder``."""
    return tuple(structured(Push, json.loads(path.read_text())) for path in sorted(folder.glob("push-*.json")))
