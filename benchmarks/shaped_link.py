"""Two network namespaces joined by a line of a given rate and delay: tunnels, and a process that carries packets.

Needs root and ``/dev/net/tun``, and no queueing module of the kernel. As ``python -m benchmarks.shaped_link A B`` it is
that process; it ends with its standard input.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import shutil
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

__all__ = ["ADDRESSES", "RATE_BYTES_S", "cannot_shape", "shaped_link", "within"]

RATE_BYTES_S = 100e6 / 8
_DELAY_S = 0.005  # each way
_QUEUE_PACKETS = 1000  # what waits for the line before packets are dropped, as in an interface of Linux
_NAMES = ("ks100-host", "ks100-board")
ADDRESSES = ("10.231.77.1", "10.231.77.2")
"""The host's end and the board's."""

_TUN = Path("/dev/net/tun")
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_CLONE_NEWNET = 0x40000000


def within(end: int) -> tuple[str, ...]:
    """Return the prefix that runs a command at an end: 0 the host's, 1 the board's."""
    return ("ip", "netns", "exec", _NAMES[end])


def cannot_shape() -> str | None:
    """Return why there can be no such line on this machine, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "no ip; apt-get install iproute2"
    if not _TUN.exists():
        return f"no {_TUN}"
    probe = subprocess.run(["ip", "netns", "add", "ks100-probe"], check=False, capture_output=True, text=True)
    if probe.returncode != 0:
        return f"no network namespaces: {probe.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", "ks100-probe"], check=True)
    return None


@contextmanager
def shaped_link() -> Iterator[None]:
    """Make both namespaces and the line between them, for the duration."""
    with ExitStack() as stack:
        for name in _NAMES:
            _run("ip", "netns", "add", name)
            stack.callback(_run, "ip", "netns", "delete", name)
        command = [sys.executable, "-m", "benchmarks.shaped_link", *_NAMES]
        carrier = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert carrier.stdin is not None
        assert carrier.stdout is not None
        stack.callback(carrier.stdin.close)
        carrier.stdout.readline()
        for index, name in enumerate(_NAMES):
            _run("ip", "-n", name, "addr", "add", f"{ADDRESSES[index]}/24", "dev", f"ks{index}")
            _run("ip", "-n", name, "link", "set", "lo", "up")
            _run("ip", "-n", name, "link", "set", f"ks{index}", "up", "txqueuelen", str(_QUEUE_PACKETS))
        yield


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


class _Way:
    """One direction."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self._sink = sink
        self._free_s = 0.0
        self._on_way: deque[tuple[float, bytes]] = deque()

    def take(self, now_s: float) -> None:
        """Take what has come in."""
        while True:
            try:
                packet = os.read(self.source, 65536)
            except BlockingIOError:
                return
            if (self._free_s - now_s) * RATE_BYTES_S < _QUEUE_PACKETS * 1500:
                self._free_s = max(now_s, self._free_s) + len(packet) / RATE_BYTES_S
                self._on_way.append((self._free_s + _DELAY_S, packet))

    def deliver(self, now_s: float) -> float | None:
        """Hand over what is due; returns when the next is."""
        while self._on_way and self._on_way[0][0] <= now_s:
            with suppress(OSError):  # the far end is not up yet: a cable that leads nowhere
                os.write(self._sink, self._on_way.popleft()[1])
        return self._on_way[0][0] if self._on_way else None


def _tunnel(namespace: str, device: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/run/netns/{namespace}").open("rb") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    descriptor = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH14x", device.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor


def _carry(first: str, second: str) -> None:
    here, there = _tunnel(first, "ks0"), _tunnel(second, "ks1")
    ways = {here: _Way(here, there), there: _Way(there, here)}
    print("ready", flush=True)
    while True:
        due = [way.deliver(time.monotonic()) for way in ways.values()]
        wait_s = min([0.2, *(at_s - time.monotonic() for at_s in due if at_s is not None)])
        ready, _, _ = select.select([0, here, there], [], [], max(0.0, wait_s))
        if 0 in ready:
            return
        for source in ready:
            ways[source].take(time.monotonic())


if __name__ == "__main__":
    _carry(*sys.argv[1:3])
