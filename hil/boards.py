"""From a board's address to an open board, whatever kind it is; virtual boards are started here.

emu:          a factory-new emulated board, for the duration
emu:DIR       the emulated board whose state is in DIR: the running one, or one that runs for the duration
              ?board=NAME or ?board=FILE.toml says of which kind a factory-new one is
qemu:         the same for the QEMU board, also with a folder
ssh:, serial: a board that is there
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.errors import BenchError, InputError, TransferError
from firmware_bridge.host.address import BoardAddress, EmulatedAddress, QemuAddress, VirtualAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.open import open_link
from hil.errors import SuiteError
from hil.virtual.emulated import EmulatedBoard
from hil.virtual.handle import PROFILE, VirtualBoard, check_kind
from hil.virtual.qemu.board import QemuBoard

__all__ = [
    "connect", "holder_name", "host_name", "open_board", "profile_of", "reachable", "running_address", "virtual_board",
]  # fmt: skip

# Where CI systems name a job: GitLab, Jenkins, GitHub Actions, Buildkite, Slurm.
_JOB_VARIABLES = ("CI_JOB_URL", "BUILD_URL", "GITHUB_RUN_ID", "BUILDKITE_BUILD_URL", "SLURM_JOB_ID")


@contextmanager
def open_board(
    url: str | BoardAddress, *, trust: bytes | None = None, host: str | None = None, create: bool = False
) -> Iterator[Board]:
    """Open the board at ``url`` for the duration of the block.

    Args:
        url: its address.
        trust: a signed trust store for a virtual board that has none; real boards are provisioned on purpose only.
        host: who is speaking; shown to others while this program holds the board.
        create: make the virtual board of a folder that holds none.

    Raises:
        InputError: the address is none.
        BenchError: no such board, or it does not start.
        TransferError: nobody answers there as a board does.
        RejectedError: the board refuses ``trust``.
    """
    address = BoardAddress.parse(url) if isinstance(url, str) else url
    with reachable(address, create=create) as real, connect(real, host=host) as board:
        if trust is not None and isinstance(address, VirtualAddress) and not board.trust():
            board.provision(trust)
        yield board


@contextmanager
def reachable(address: BoardAddress | str, *, create: bool = False) -> Iterator[BoardAddress]:
    """Give an address that `connect` can open as often as need be; a virtual board runs for the duration of the block.

    Args:
        address: of the board.
        create: make the virtual board of a folder that holds none; otherwise a mistyped folder is named as one.

    Raises:
        InputError, BenchError: as for `open_board`.
    """
    if isinstance(address, str):
        address = BoardAddress.parse(address)
    match address:
        case VirtualAddress():
            if address.path is not None and not create and not VirtualBoard.exists(address.path):
                raise BenchError(
                    f"there is no virtual board in {address.path}; make an emulated one with `ks100 emulate "
                    f"{address.path}`, or with `ks100 flash --create`"
                )
            with ExitStack() as stack:
                folder = address.path or stack.enter_context(_fresh_folder())
                board = stack.enter_context(virtual_board(address, folder))
                yield BoardAddress.parse(board.serial_url if address.is_serial else board.ssh_url)
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


def holder_name() -> str:
    """Return who holds a board for this program: user and machine, and the CI job if it is one."""
    job = next(filter(None, map(os.environ.get, _JOB_VARIABLES)), "")
    if job and job == os.environ.get("GITHUB_RUN_ID"):
        job = f"{os.environ.get('GITHUB_REPOSITORY', '')} run {job}".strip()
    return f"{host_name()}, job {job}" if job else host_name()


def profile_of(kind: str, url: str, given: str | None = None) -> BoardProfile:
    """Return what a board that calls itself ``kind`` has to satisfy.

    Args:
        kind: the kind of board, as it says.
        url: its address; a virtual board's folder holds the profile that it was made with.
        given: a profile's name or TOML file; by default the profile of this kind that ships.

    Raises:
        SuiteError: there is no such profile, or it is one of another kind.
        InputError: the profile is wrong.
    """
    address = BoardAddress.parse(url)
    if given is None and isinstance(address, VirtualAddress):
        kept = None if address.path is None else address.path / PROFILE
        given = str(kept) if kept is not None and kept.exists() else address.board
    if given is None and kind.endswith(".toml"):
        raise SuiteError(f"a board's kind is the name of a profile, and this board names a file: {kind}")
    try:
        profile = BoardProfile.load(given or kind)
    except InputError as error:
        if given is not None:
            raise
        raise SuiteError(f"no profile of the board's kind {kind!r} ships; give it with --profile FILE.toml") from error
    if profile.name != kind:
        raise SuiteError(f"the board is a {kind!r}, and the profile {given} is that of a {profile.name!r}")
    return profile


def running_address(address: VirtualAddress) -> BoardAddress | None:
    """Return how the virtual board at ``address`` is reached if it runs; starts none."""
    if address.path is None:
        return None
    kind = QemuBoard if isinstance(address, QemuAddress) else EmulatedBoard
    board = kind.find(address.path)
    return None if board is None else BoardAddress.parse(board.serial_url if address.is_serial else board.ssh_url)


def virtual_board(address: VirtualAddress, folder: Path) -> VirtualBoard:
    """Return the virtual board that runs in ``folder``, or start it; as a context manager, one that was started stops.

    Raises:
        BenchError: it does not start, or is of another kind than the address names.
    """
    kind = QemuBoard if isinstance(address, QemuAddress) else EmulatedBoard
    running = kind.find(folder)
    if running is not None:
        if address.board is not None:
            check_kind(folder, address.board)
        return running
    try:
        if isinstance(address, EmulatedAddress):
            return EmulatedBoard.start(folder, ssh=not address.is_serial, profile=address.board)
        return QemuBoard.start(folder, profile=address.board)
    except BenchError:
        running = kind.find(folder)  # another program was faster
        if running is None:
            raise
        return running


@contextmanager
def _fresh_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ks100-board-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
