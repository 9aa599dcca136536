"""The one interface of a byte pipe; every implementation passes `firmware_bridge.links.conformance`."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["Link", "RatedLink", "bauds_of"]


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
            BenchError: it turned out to lead nowhere: nothing has ever come, and trying again would not help.
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


@runtime_checkable
class RatedLink(Link, Protocol):
    """A link with a rate that both ends must set alike: a serial line."""

    @property
    def bauds(self) -> tuple[int, ...]:
        """What it can be set to; the first is what it was opened at."""
        ...

    def set_baud(self, baud: int) -> None:
        """Set the rate to one of `bauds`, once all that was written has left; what was not read may be dropped.

        A port that cannot do it stays as it is: a session finds out by itself whether a line carries.

        Raises:
            TransferError: the link is closed, or cannot go back to the rate that it was opened at.
        """
        ...


def bauds_of(link: Link) -> tuple[int, ...]:
    """Return what ``link`` can be set to, empty for one without a rate."""
    return link.bauds if isinstance(link, RatedLink) else ()
