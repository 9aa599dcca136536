"""The real agent's service in this process, behind memory links, its disk in a folder: every attack, no waiting."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from firmware_bridge.agent.identity import BoardIdentity
from firmware_bridge.agent.inference.engine import RuntimeEngine
from firmware_bridge.agent.inference.rails import HwmonRails
from firmware_bridge.agent.server import SessionEnd, serve
from firmware_bridge.agent.service import BoardParts, BoardService
from firmware_bridge.agent.session_rules import SessionLock
from firmware_bridge.agent.state.storage import LocalStorage
from firmware_bridge.device.runtime import default_runtime
from firmware_bridge.links.link import Link
from firmware_bridge.links.memory import memory_pair
from firmware_bridge.protocol import messages as m
from hil.conformance.runner import Reach
from hil.virtual.clock import ModelledClock

__all__ = ["MemoryBoard"]


class MemoryBoard:
    """A board that can be opened as often as need be, and that starts anew after a reboot."""

    def __init__(self, folder: Path) -> None:
        self._disk, self._sensors = folder / "disk", folder / "hwmon"
        self._sensors.mkdir(parents=True)
        self._up = threading.Event()
        self._stop, self._threads = threading.Event(), list[threading.Thread]()
        self._start()

    @property
    def reach(self) -> Reach:
        return Reach(self.open_link, disk=self._disk)

    def open_link(self) -> Link:
        assert self._up.wait(10.0)
        here, there = memory_pair()
        thread = threading.Thread(target=self._serve, args=(there,))
        self._threads.append(thread)
        thread.start()
        return here

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10.0)

    def _serve(self, link: Link) -> None:
        if serve(link, self.service, lock=self._lock, stop=self._stop) is SessionEnd.REBOOT:
            self._storage.close()
            self._start()

    def _start(self) -> None:
        self._lock, self._storage = SessionLock(idle_s=1.0), LocalStorage(self._disk)
        parts = BoardParts(
            identity=BoardIdentity("ks100", "MEM-1", emulated=True),
            capacity_bytes=32 << 20,
            storage=self._storage,
            engine=RuntimeEngine(default_runtime("litert")),
            clock=ModelledClock(),
            rails=HwmonRails(self._sensors),
            wall_s=time.time,
            time_is_trusted=True,
        )
        self.service = _Service(parts, self._up)
        self.service.start()
        self._up.set()


class _Service(BoardService):
    """Lets nobody in from the moment that a restart is asked for until it has happened."""

    def __init__(self, parts: BoardParts, up: threading.Event) -> None:
        super().__init__(parts)
        self._up = up

    def reboot(self) -> m.Done:
        self._up.clear()
        return super().reboot()
