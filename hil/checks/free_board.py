"""Exclusive use of a board: opens and claims it, or waits while another job uses it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from firmware_bridge.errors import BoardBusyError, BoardError, BridgeError, InUseError
from firmware_bridge.host.board import Board
from hil.boards import holder_name, open_board

__all__ = ["claim", "open_free_board"]

_POLL_S = 2.0
_NO_KERNELS = "none"


@contextmanager
def open_free_board(
    url: str, *, trust: bytes | None = None, wait_s: float = 0.0, say: Callable[[str], None] = lambda _: None
) -> Iterator[Board]:
    """Open the board at ``url`` for the duration of the block, with its lock taken.

    Args:
        url: its address.
        trust: a signed trust store for a virtual board that has none.
        wait_s: how long to wait while another session has it.
        say: called with the current user of the board, once for each.

    Raises:
        BoardBusyError, InUseError: it is still in use after ``wait_s``; the text names the holder and its job.
        InputError, BenchError, TransferError, RejectedError: as `hil.boards.open_board`.
    """
    deadline_s, holder = time.monotonic() + wait_s, ""
    while True:
        with ExitStack() as stack:
            try:
                board = stack.enter_context(open_board(url, trust=trust, host=holder_name()))
                claim(board)
            except (BoardBusyError, InUseError) as busy:
                if time.monotonic() >= deadline_s:
                    raise
                if _holder(busy) != holder:
                    holder = _holder(busy)
                    say(f"waiting for {url}, at most {wait_s:.0f} s: {busy}")
            else:
                yield board
                return
        time.sleep(_POLL_S)


def _holder(busy: BridgeError) -> str:
    return busy.holder if isinstance(busy, BoardBusyError) else str(busy)


def claim(board: Board) -> None:
    """Take the board's lock, or keep it: a holder that asks for nothing loses it to the next one after 20 s.

    The lock comes with a request that is more than a question; this one does nothing.

    Raises:
        BoardBusyError: another session has it.
    """
    try:
        board.infer({}, _NO_KERNELS)
    except BoardBusyError:
        raise
    except BoardError:
        return
