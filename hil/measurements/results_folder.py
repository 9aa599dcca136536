"""One results folder belongs to one run: a lock that names its holder, until the run's last process ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hil.errors import ResultsError, SuiteError

__all__ = ["LOCK_FILE", "LOCK_VARIABLE", "hold_results"]

LOCK_FILE = "run.lock"
LOCK_VARIABLE = "KS_RESULTS_LOCK_FD"
"""Environment variable that names the descriptor of the lock which a parent process holds for its child."""

_HOLDER_BYTES = 400


@contextmanager
def hold_results(folder: Path, holder: str) -> Iterator[int]:
    """Make the folder and hold it for the block; gives the lock's descriptor, which a child may inherit.

    Args:
        folder: of the results.
        holder: who runs, for those who find it held.

    Raises:
        SuiteError: another run holds it.
        ResultsError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ResultsError(f"results cannot be written to {folder}: {error.strerror}") from error
    try:
        _lock(descriptor, folder, holder)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, holder: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        who = os.pread(descriptor, _HOLDER_BYTES, 0).decode(errors="replace").strip() or "another run"
        raise SuiteError(f"{folder} is in use by {who}; wait for it, or give another results folder") from error
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} of {holder} since {since}\n".encode(), 0)
    except OSError as error:
        raise ResultsError(f"results cannot be written to {folder}: {error.strerror}") from error
