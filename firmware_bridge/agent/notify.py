"""Notifies systemd that the agent is ready and alive: sd_notify(3) without a library."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping

__all__ = ["Supervisor"]


class Supervisor:
    """The service manager that started this process, if one did."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC``."""
        self._path = environment.get("NOTIFY_SOCKET", "")
        microseconds = environment.get("WATCHDOG_USEC", "")
        self._watchdog_s = int(microseconds) / 1e6 if microseconds.isdecimal() else 0.0

    def ready(self) -> None:
        """Report that the service is up."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Report that the service is stopping."""
        self._send("STOPPING=1")

    def keep_alive(self, stop: threading.Event) -> None:
        """Report twice a watchdog period that the service lives, until ``stop`` is set; returns at once."""
        if self._watchdog_s:
            threading.Thread(target=self._ping, args=(stop,), name="watchdog", daemon=True).start()

    def _ping(self, stop: threading.Event) -> None:
        while not stop.wait(self._watchdog_s / 2):
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connected:
                connected.sendto(text.encode(), address)
        except OSError:
            return  # a missing service manager is no reason to stop
