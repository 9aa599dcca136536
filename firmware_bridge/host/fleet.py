"""Flashing many boards at once: one thread each, and one board's failure is no other's.

The caller's thread takes events and results, in that order for each board, as they come: whoever keeps a record keeps
it while the others still work. How a board is opened is passed in, so that virtual boards work the same way. Prints
nothing.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from firmware_bridge.errors import BenchError
from firmware_bridge.host.flashing import (
    FlashEvent,
    FlashOptions,
    FlashOutcome,
    FlashResult,
    FlashStep,
    FlashTarget,
    ModelIdentity,
    flash_board,
)
from firmware_bridge.host.identities import BoardIdentities
from firmware_bridge.host.transfer import ChunkSource

__all__ = [
    "FlashEvent",
    "FlashOptions",
    "FlashOutcome",
    "FlashResult",
    "FlashStep",
    "FlashTarget",
    "ModelIdentity",
    "flash",
]

_POLL_S = 0.2  # how late a signal to this thread is noticed


def flash(
    targets: Sequence[FlashTarget],
    package: ChunkSource,
    options: FlashOptions | None = None,
    *,
    events: Callable[[FlashEvent], None] | None = None,
    ended: Callable[[FlashResult], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[FlashResult, ...]:
    """Flash all targets in parallel.

    Args:
        targets: the boards.
        package: what to push; read by all of them.
        options: what is done with each.
        events: called in this thread with everything that happens.
        ended: called in this thread with the end of each board as soon as it is known, before its last event.
        cancel: polled; ends all pushes. A board that has not begun to activate keeps its model; one that has is
            finished first.
        clock: seconds, monotonic.

    Returns:
        One result for each target, in their order. Nothing is raised for a board's failure. What ``events`` or
        ``ended`` raise, and a KeyboardInterrupt, ends the call at once: boards in work are left to their threads,
        which end with the process.
    """
    happened: queue.SimpleQueue[FlashEvent | FlashResult] = queue.SimpleQueue()
    identities = BoardIdentities(len(targets))
    for target in targets:
        _start(happened, target, package, options or FlashOptions(), identities, cancel or (lambda: False), clock)
    results: dict[str, FlashResult] = {}
    show = events or (lambda _: None)
    while len(results) < len(targets):
        try:
            item = happened.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if isinstance(item, FlashEvent):
            show(item)
            continue
        results[item.board] = item
        if ended is not None:
            ended(item)
        show(FlashEvent(item.board, FlashStep.DONE if item.passed else FlashStep.FAILED, item.serial, error=item.error))
    return tuple(results[target.name] for target in targets)


def _start(
    happened: queue.SimpleQueue[FlashEvent | FlashResult],
    target: FlashTarget,
    package: ChunkSource,
    options: FlashOptions,
    identities: BoardIdentities,
    cancel: Callable[[], bool],
    clock: Callable[[], float],
) -> None:
    """Flash a board in a thread of its own, which hands over what happens; its result comes last."""

    def work() -> None:
        happened.put(flash_board(target, package, options, identities, happened.put, cancel, clock))

    try:
        # A daemon: a second Ctrl-C does not wait for a board that hangs.
        threading.Thread(target=work, name=f"flash {target.name}", daemon=True).start()
    except RuntimeError as error:
        identities.drop_target()
        failure = BenchError(f"this machine starts no more threads ({error}); flash fewer boards at once")
        happened.put(FlashResult(target.name, "", FlashOutcome.FAILED, None, "", "", 0.0, 0, failure))
