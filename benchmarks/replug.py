"""A USB serial adapter that is pulled out in the middle of a push, and comes back as another terminal of its name."""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.paced_line import KeepingService, PlainPackage
from firmware_bridge.agent.server import serve
from firmware_bridge.host.address import SerialAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.fleet import FlashEvent, FlashTarget, flash
from firmware_bridge.host.open import open_link
from firmware_bridge.links.tty import tty_link
from hil.virtual.line import PacedLine

__all__ = ["replugged"]

_BAUD = 3_000_000
_CHUNKS = 12
_AWAY_S = (0.1, 1.0)


class _Adapter:
    """A line with a board at its far end, and a name for its near end that comes and goes with it."""

    def __init__(self, name: Path, service: KeepingService) -> None:
        self._name, self._service = name, service
        self._line: PacedLine | None = None

    def plug(self) -> None:
        """Give the name a terminal of its own, with the board behind it."""
        line = PacedLine(_BAUD)
        line.start()
        self._line, self._stop = line, threading.Event()
        link = tty_link(line.board_tty, _BAUD)
        self._board = threading.Thread(target=serve, args=(link, self._service), kwargs={"stop": self._stop})
        self._board.start()
        self._name.symlink_to(line.host_tty)

    def pull(self) -> None:
        """Take the name away, and the terminal: who has it open reads its end."""
        assert self._line is not None
        self._name.unlink()
        self._line.close()
        self._stop.set()
        self._board.join()


def replugged(seed: int) -> str:
    """Push over a line that is pulled out once; return what went wrong, ``""`` if only the rest was sent after it."""
    rng = random.Random(seed)  # noqa: S311  # chance, no secret
    package = PlainPackage(rng.randbytes(_CHUNKS * 16384))
    service = KeepingService()
    with tempfile.TemporaryDirectory() as folder:
        port = Path(folder) / "ttyKS100"
        adapter = _Adapter(port, service)
        adapter.plug()
        at_chunk, away_s = rng.randrange(1, _CHUNKS), rng.uniform(*_AWAY_S)
        plugging: list[threading.Timer] = []

        def on_event(event: FlashEvent) -> None:
            if not plugging and event.progress is not None and service.chunks_received >= at_chunk:
                adapter.pull()
                plugging.append(threading.Timer(away_s, adapter.plug))
                plugging[0].start()

        @contextmanager
        def opened() -> Iterator[Board]:
            with Board(open_link(SerialAddress(port, _BAUD)), "replug") as board:
                yield board

        [result] = flash([FlashTarget("a", opened, port)], package, events=on_event)
        for timer in plugging:
            timer.join()
        if port.is_symlink():
            adapter.pull()
    if result.error is not None:
        return str(result.error)
    if not plugging:
        return "the push was over before the line was pulled out"
    if service.chunks_received != package.chunk_count:
        return f"{service.chunks_received} chunks were received of {package.chunk_count}"
    return "" if service.installed == package.payload else "the board has something else"
