"""A link over file descriptors of the operating system: pipes, sockets and terminals end up here.

Owns reading, writing and closing of descriptors; how they were opened is the business of `stdio`, `socket`, `tty`.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading

from firmware_bridge.errors import BridgeError, TransferError

__all__ = ["DescriptorLink"]

_READ_BYTES = 112 * 1024  # from 128 KiB on, malloc takes fresh pages of the system for each read
_WRITE_POLL_S = 0.5  # how late a blocked writer notices that its link was closed


class DescriptorLink:
    """A link over one descriptor for reading and one for writing; they may be the same."""

    def __init__(self, reading: int, writing: int, *, name: str, reliable: bool) -> None:
        """Take over two open descriptors.

        Args:
            reading: descriptor to read from.
            writing: descriptor to write to; both become non-blocking.
            name: what a person would call it.
            reliable: whether the pipe repairs losses itself.
        """
        self._reading = reading
        self._writing = writing
        self._name = name
        self._reliable = reliable
        self._closed = threading.Event()
        self._in_read = threading.Lock()  # a descriptor is closed only when unused: its number may be reused
        self._in_write = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        for descriptor in {reading, writing}:
            os.set_blocking(descriptor, False)

    @property
    def name(self) -> str:
        """What a person would call it."""
        return self._name

    @property
    def reliable(self) -> bool:
        """Whether the pipe repairs losses itself."""
        return self._reliable

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, or ``b""`` after ``timeout_s`` seconds; raises TransferError when closed."""
        with self._in_read:
            # Polled first: a terminal without anything to read gives what a closed pipe gives.
            if not self._wait(self._reading, select.POLLIN, timeout_s):
                return b""
            try:
                data = os.read(self._reading, _READ_BYTES)
            except BlockingIOError:
                return b""
            except OSError as error:
                raise TransferError(f"{self._name} broke while reading: {error.strerror}") from error
        if not data:
            raise self._end_of_file()
        return data

    def write(self, data: bytes) -> None:
        """Send all of ``data``; blocks while the pipe is full; raises TransferError when closed."""
        left = memoryview(data)
        with self._in_write:
            while left:
                self._check()
                try:
                    left = left[os.write(self._writing, left) :]
                except BlockingIOError:
                    self._wait(self._writing, select.POLLOUT, _WRITE_POLL_S)
                except BrokenPipeError as error:
                    raise self._end_of_file() from error
                except OSError as error:
                    raise TransferError(f"{self._name} broke while writing: {error.strerror}") from error

    def _wait(self, descriptor: int, event: int, timeout_s: float) -> bool:
        self._check()
        poll = select.poll()
        poll.register(descriptor, event)
        poll.register(self._wake_read, select.POLLIN)
        ready = dict(poll.poll(max(0.0, timeout_s) * 1000))
        self._check()
        if ready.get(descriptor, 0) & select.POLLNVAL:
            raise TransferError(f"{self._name} is closed")
        return descriptor in ready

    def _check(self) -> None:
        if self._closed.is_set():
            raise TransferError(f"{self._name} is closed")

    def close(self) -> None:
        """Close the descriptors; closing twice is allowed."""
        if self._closed.is_set():
            return
        self._closed.set()
        os.write(self._wake_write, b"\0")
        with self._in_read, self._in_write:
            self._release()

    def _end_of_file(self) -> BridgeError:
        """Return what it means that the other end is closed; a subclass that knows more overrides it."""
        return TransferError(f"{self._name} was closed by the other end")

    def _release(self) -> None:
        """Give the descriptors back; a subclass that owns an object around them overrides it."""
        for descriptor in {self._reading, self._writing}:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        for descriptor in (self._wake_read, self._wake_write):
            os.close(descriptor)
