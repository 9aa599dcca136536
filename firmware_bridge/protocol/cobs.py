"""Consistent-overhead byte stuffing (COBS): the zero byte occurs only at the end of what was stuffed.

Knows nothing of what is stuffed. Round-trip law: ``decode(encode(body)[:-1]) == body``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BLOCK_BYTES", "decode", "encode"]

BLOCK_BYTES = 254
"""Longest run of non-zero bytes that one COBS code byte covers."""

_FEW_ZEROS, _FEW_ZEROS_EVERY = 64, 64  # beyond, and more than one in so many bytes, NumPy is quicker than cutting
_CODES = tuple(bytes((code,)) for code in range(256))
_ZERO_RUN = re.compile(rb"\x01+")

_Indices: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.intp]]"


def encode(body: bytes) -> bytes:
    """Return ``body`` in consistent-overhead byte stuffing, with the final zero byte (Cheshire and Baker, 1999)."""
    few = _FEW_ZEROS + len(body) // _FEW_ZEROS_EVERY
    return _stuff_cut(body) if body.count(0) <= few else _stuff_array(body)


def _stuff_cut(body: bytes) -> bytes:
    """Encode by cutting at the zeros: faster where they are few, as in deflated chunks, weights and answers.

    A board that only receives thus does without NumPy, and its 20 MiB.
    """
    parts: list[bytes] = []
    add = parts.append
    for run in body.split(b"\0"):
        size = len(run)
        if size >= BLOCK_BYTES:
            full = size // BLOCK_BYTES * BLOCK_BYTES
            for start in range(0, full, BLOCK_BYTES):
                add(b"\xff")
                add(run[start : start + BLOCK_BYTES])
            run, size = run[full:], size - full
        add(_CODES[size + 1])
        add(run)
    add(b"\0")
    return b"".join(parts)


def _stuff_array(body: bytes) -> bytes:
    """Encode all runs at once: faster where zeros are many, as in tensors."""
    import numpy as np

    content = np.frombuffer(body + b"\0", dtype=np.uint8)  # the phantom zero ends the last block
    starts, runs = _runs(content)
    if int(runs.max()) >= BLOCK_BYTES:
        full = runs // BLOCK_BYTES
        within = np.arange(int(full.sum())) - np.repeat(np.cumsum(full) - full, full)
        content = np.insert(content, np.repeat(starts, full) + (within + 1) * BLOCK_BYTES, 0)  # room for codes
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
        if code <= BLOCK_BYTES:
            parts.append(b"\0")
        at = stop
    if not parts:
        return None
    body = b"".join(parts)
    return body if code > BLOCK_BYTES else body[:-1]  # without the phantom zero
