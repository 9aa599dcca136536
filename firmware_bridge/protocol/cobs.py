"""Finding frames in a stream of bytes: consistent-overhead byte stuffing (COBS), and a reader that skips garbage.

The zero byte occurs only at the end of a frame, so a reader finds the next frame after anything else: a boot log, a
login prompt, a damaged frame. Knows nothing of what is in a frame.

Round-trip law: ``FrameReader(cap).feed(encode(body)) == [body]`` for every body of at most ``cap`` bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FrameReader", "decode", "encode"]

_BLOCK = 254  # longest run of non-zero bytes that one COBS code byte covers
_FEW_ZEROS, _FEW_ZEROS_EVERY = 64, 64  # beyond, and more than one in so many bytes, NumPy is quicker than cutting
_CODES = tuple(bytes((code,)) for code in range(256))
_SAMPLE_BYTES = 120  # garbage kept for an error text: about one line of a boot log
_ZERO_RUN = re.compile(rb"\x01+")

_Indices: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.intp]]"


def encode(body: bytes) -> bytes:
    """Return ``body`` in consistent-overhead byte stuffing, with the final zero byte (Cheshire and Baker, 1999)."""
    few = _FEW_ZEROS + len(body) // _FEW_ZEROS_EVERY
    return _stuff_cut(body) if body.count(0) <= few else _stuff_array(body)


def _stuff_cut(body: bytes) -> bytes:
    """Stuff by cutting at the zeros: the quicker way where they are few, as in deflated chunks, weights and answers.

    A board that only receives thus does without NumPy, and its 20 MiB.
    """
    parts: list[bytes] = []
    add = parts.append
    for run in body.split(b"\0"):
        size = len(run)
        if size >= _BLOCK:
            full = size // _BLOCK * _BLOCK
            for start in range(0, full, _BLOCK):
                add(b"\xff")
                add(run[start : start + _BLOCK])
            run, size = run[full:], size - full
        add(_CODES[size + 1])
        add(run)
    add(b"\0")
    return b"".join(parts)


def _stuff_array(body: bytes) -> bytes:
    """Stuff all runs at once: the quicker way where zeros are many, as in tensors."""
    import numpy as np

    content = np.frombuffer(body + b"\0", dtype=np.uint8)  # the phantom zero ends the last block
    starts, runs = _runs(content)
    if int(runs.max()) >= _BLOCK:
        full = runs // _BLOCK
        within = np.arange(int(full.sum())) - np.repeat(np.cumsum(full) - full, full)
        content = np.insert(content, np.repeat(starts, full) + (within + 1) * _BLOCK, 0)  # room for further code bytes
        starts, runs = _runs(content)
    # A block's code byte takes the place of the zero before it; the phantom zero becomes the delimiter.
    out = np.empty(len(content) + 1, dtype=np.uint8)
    out[1:] = content
    out[starts] = runs + 1
    return out.tobytes()


def _runs(content: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> tuple[_Indices, _Indices]:
    """Return where each run of non-zero bytes starts and how long it is; each ends at a zero."""
    import numpy as np

    zeros = np.flatnonzero(content == 0)
    starts = np.empty_like(zeros)
    starts[0], starts[1:] = 0, zeros[:-1] + 1
    return starts, zeros - starts


def decode(stuffed: bytes) -> bytes | None:
    """Return the body of ``stuffed`` (without its final zero byte), or None when it is not a stuffed body."""
    parts: list[bytes] = []
    at, end, code = 0, len(stuffed), 0
    while at < end:
        code = stuffed[at]
        if code == 1:  # zeros in a row, common in tensors, are taken at once
            run = _ZERO_RUN.match(stuffed, at)
            assert run is not None
            parts.append(bytes(run.end() - at))
            at = run.end()
            continue
        stop = at + code
        if code == 0 or stop > end:
            return None
        parts.append(stuffed[at + 1 : stop])
        if code <= _BLOCK:
            parts.append(b"\0")
        at = stop
    if not parts:
        return None
    body = b"".join(parts)
    return body if code > _BLOCK else body[:-1]  # without the phantom zero


class FrameReader:
    """Finds frames in a stream of bytes that may hold anything else as well.

    Attributes:
        garbage_bytes: bytes that belonged to no well-formed frame.
        sample: the last of them, for an error text.
    """

    def __init__(self, cap_bytes: int) -> None:
        """Create a reader.

        Args:
            cap_bytes: longest body; what grows beyond it is garbage and is not kept.
        """
        # COBS adds one byte for each block of 254, and one.
        self._cap_bytes = cap_bytes + cap_bytes // _BLOCK + 2
        self._partial = bytearray()
        self._overlong = False
        self.garbage_bytes = 0
        self.sample = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take what has arrived and return the bodies of the frames that it completes."""
        bodies: list[bytes] = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            stuffed = bytes(self._partial) + piece if self._partial else piece
            self._partial.clear()
            overlong, self._overlong = self._overlong or len(stuffed) > self._cap_bytes, False
            if not stuffed:
                continue
            body = None if overlong else decode(stuffed)
            if body is None:
                self.discard(stuffed)
            else:
                bodies.append(body)
        self._partial += rest
        if len(self._partial) > self._cap_bytes:
            self.discard(bytes(self._partial))
            self._partial.clear()
            self._overlong = True
        return bodies

    @property
    def waiting(self) -> bytes:
        """What has arrived of a frame that is not complete (or of a prompt that never will be)."""
        return bytes(self._partial[-_SAMPLE_BYTES:])

    def discard(self, data: bytes) -> None:
        """Count ``data`` as garbage."""
        self.garbage_bytes += len(data)
        self.sample = (self.sample + data)[-_SAMPLE_BYTES:]
