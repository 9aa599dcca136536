"""The one interface of a byte pipe; every implementation passes ``tests/links/conformance``."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Link"]


class Link(Protocol):
    """A bidirectional byte pipe. Bytes may be lost or altered on it (serial); their order is kept."""

    @property
    def name(self) -> str:
        """What a person would call it, e.g. ``serial:///dev/ttyUSB0`` or ``ssh://lab@board17``."""
        ...

    @property
    def reliable(self) -> bool:
        """Whether the pipe itself repairs losses (SSH, memory) or not (serial)."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, at least one byte, or ``b""`` after ``timeout_s`` seconds of silence.

        Raises:
            TransferError: the pipe is closed or broken.
        """
        ...

    def write(self, data: bytes) -> None:
        """Send all of ``data``; blocks while the pipe is full.

        Raises:
            TransferError: the pipe is closed or broken.
        """
        ...

    def close(self) -> None:
        """Close the pipe; closing twice is allowed."""
        ...
