"""From a board's address to an open board, whatever kind it is; virtual boards are started here.

emu:          a factory-new emulated board, for the duration
emu:DIR       the emulated board whose state is in DIR: the running one, or one that runs for the duration
qemu:         the same for the QEMU board, also with a folder
ssh:, serial: a board that is there
"""

from __future__ import annotations

import getpass
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from firmware_bridge.errors import BenchError, TransferError
from firmware_bridge.host.address import BoardAddress, EmulatedAddress, LinkKind, QemuAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.open import open_link
from hil.virtual.emulated import EmulatedBoard
from hil.virtual.handle import VirtualBoard
from hil.virtual.qemu.board import QemuBoard

__all__ = ["connect", "host_name", "open_board", "reachable"]


@contextmanager
def open_board(url: str | BoardAddress, *, trust: bytes | None = None, host: str | None = None) -> Iterator[Board]:
    """Open the board at ``url`` for the duration of the block.

    Args:
        url: its address.
        trust: a signed trust store for a virtual board that has none; real boards are provisioned on purpose only.
        host: who is speaking; shown to others while this program holds the board.

    Raises:
        InputError: the address is none.
        BenchError: no such board, or it does not start.
        TransferError: nobody answers there as a board does.
        RejectedError: the board refuses ``trust``.
    """
    address = BoardAddress.parse(url) if isinstance(url, str) else url
    with reachable(address) as real, connect(real, host=host) as board:
        if trust is not None and isinstance(address, (EmulatedAddress, QemuAddress)) and not board.trust():
            board.provision(trust)
        yield board


@contextmanager
def reachable(address: BoardAddress | str) -> Iterator[BoardAddress]:
    """Give an address that `connect` can open as often as need be; a virtual board runs for the duration of the block.

    Raises:
        InputError, BenchError: as for `open_board`.
    """
    if isinstance(address, str):
        address = BoardAddress.parse(address)
    match address:
        case EmulatedAddress(path=None):
            with _fresh_folder() as folder, _start(folder, address.link) as board:
                yield _endpoint(board, address.link)
        case EmulatedAddress():
            assert address.path is not None
            with _running_or_started(address.path, address.link) as board:
                yield _endpoint(board, address.link)
        case QemuAddress():
            with ExitStack() as stack:
                folder = address.path or stack.enter_context(_fresh_folder())
                machine = QemuBoard.find(folder) or stack.enter_context(QemuBoard.start(folder))
                yield _endpoint(machine, address.link)
        case _:
            yield address


def connect(address: BoardAddress, *, host: str | None = None, patience_s: float = 0.0) -> Board:
    """Open a session with a board that is there.

    Args:
        address: an address that is not a virtual board's.
        host: who is speaking.
        patience_s: how long to try again, e.g. after a reboot.

    Raises:
        BenchError, TransferError: nobody answers.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return Board(open_link(address), host or host_name())
        except (BenchError, TransferError):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.1)


def host_name() -> str:
    """Return who this program speaks for: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _running_or_started(folder: Path, link: LinkKind) -> EmulatedBoard:
    running = EmulatedBoard.find(folder)
    if running is not None:
        return running
    try:
        return _start(folder, link)
    except BenchError:
        running = EmulatedBoard.find(folder)  # another program was faster
        if running is None:
            raise
        return running


def _start(folder: Path, link: LinkKind) -> EmulatedBoard:
    return EmulatedBoard.start(folder, ssh=link is LinkKind.SSH)


def _endpoint(board: VirtualBoard, link: LinkKind) -> BoardAddress:
    return BoardAddress.parse(board.ssh_url if link is LinkKind.SSH else board.serial_url)


@contextmanager
def _fresh_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ks100-board-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
