"""Unix sockets whose path may be longer than the 107 bytes that an address holds (unix(7)).

Only the standard library, and not pathlib, which takes longer to load than the rest: `firmware_bridge.agent.attach`
has to start fast.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

__all__ = ["connect_unix", "listen_unix"]


def listen_unix(path: str, backlog: int = 16) -> socket.socket:
    """Return a socket that listens at ``path``, for this user alone; a dead one that is left there is replaced.

    Raises:
        OSError: it cannot be bound.
    """
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
        before = os.umask(0o177)
        try:
            with _short(path) as address:
                listener.bind(address)
        finally:
            os.umask(before)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def connect_unix(path: str) -> socket.socket:
    """Return a socket that is connected to ``path``.

    Raises:
        OSError: no listener.
    """
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as address:
            connected.connect(address)
    except BaseException:
        connected.close()
        raise
    return connected


@contextlib.contextmanager
def _short(path: str) -> Iterator[str]:
    """Give a name for ``path`` that is short: through the descriptor of its folder."""
    folder, name = os.path.split(path)
    descriptor = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{name}"
    finally:
        os.close(descriptor)
