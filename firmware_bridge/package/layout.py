"""The layout of a .ksm package: a fixed header, whose lengths locate everything else.

Owns: the header's 24 bytes, the caps, and the chunks of a payload. Reads no file and judges nothing beyond lengths.

    offset 0    8 bytes  magic
           8    4 bytes  format version, big-endian, 1
          12    4 bytes  length of the envelope
          16    4 bytes  length of the chunk table: 32 bytes a chunk
          20    4 bytes  length of the payload
          24    envelope, chunk table, payload
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from firmware_bridge.errors import RejectedError
from firmware_bridge.package.manifest import CHUNK_BYTES, PAYLOAD_LIMIT_BYTES
from firmware_bridge.package.reasons import RejectReason

__all__ = [
    "CONTENT_TYPE",
    "DIGEST_BYTES",
    "DOMAIN",
    "ENVELOPE_LIMIT_BYTES",
    "HEADER_BYTES",
    "MAGIC",
    "Header",
    "check_length",
    "chunk_count",
    "chunk_table",
    "head_length",
]

MAGIC = b"\x89KSM\r\n\x1a\n"
"""As PNG's: the first byte is not text, and a transfer that rewrites line ends breaks it visibly."""

ENVELOPE_LIMIT_BYTES = 16 * 1024
CONTENT_TYPE = "application/vnd.ks100.manifest+cbor"
DOMAIN = b"KS-100 package v1"
"""external_aad: a signature over a trust store, a log or anything else is never one over a package."""

CONTAINER_VERSION = 1
DIGEST_BYTES = 32
_LAYOUT = struct.Struct(">8sIIII")
HEADER_BYTES = _LAYOUT.size


@dataclass(frozen=True, slots=True)
class Header:
    """The lengths of a package, checked against their caps and one another.

    Attributes:
        envelope_bytes: length of the COSE envelope.
        table_bytes: length of the chunk table.
        payload_bytes: length of the payload.
    """

    envelope_bytes: int
    table_bytes: int
    payload_bytes: int

    @property
    def head_bytes(self) -> int:
        """Length of header, envelope and chunk table: what is offered to a board first."""
        return HEADER_BYTES + self.envelope_bytes + self.table_bytes

    @property
    def total_bytes(self) -> int:
        """Length of the whole package."""
        return self.head_bytes + self.payload_bytes

    @classmethod
    def parse(cls, first: bytes) -> Header:
        """Read the first 24 bytes; what follows them is not looked at.

        Raises:
            RejectedError: FRAME or LENGTH.
        """
        if len(first) < HEADER_BYTES:
            raise RejectedError(RejectReason.FRAME, f"{len(first)} bytes, a header has {HEADER_BYTES}")
        magic, version, envelope, table, payload = _LAYOUT.unpack_from(first)
        if magic != MAGIC:
            raise RejectedError(RejectReason.FRAME, "the magic number is not that of a .ksm package")
        if version != CONTAINER_VERSION:
            raise RejectedError(
                RejectReason.FRAME, f"format version {version}, this verifier knows {CONTAINER_VERSION}"
            )
        if not 1 <= envelope <= ENVELOPE_LIMIT_BYTES:
            raise RejectedError(
                RejectReason.LENGTH, f"envelope of {envelope} bytes, 1 to {ENVELOPE_LIMIT_BYTES} allowed"
            )
        if not 1 <= payload <= PAYLOAD_LIMIT_BYTES:
            raise RejectedError(RejectReason.LENGTH, f"payload of {payload} bytes, 1 to {PAYLOAD_LIMIT_BYTES} allowed")
        expected = DIGEST_BYTES * chunk_count(payload)
        if table != expected:
            raise RejectedError(RejectReason.LENGTH, f"chunk table of {table} bytes, the payload needs {expected}")
        return cls(envelope, table, payload)

    def to_bytes(self) -> bytes:
        """Return the 24 bytes."""
        return _LAYOUT.pack(MAGIC, CONTAINER_VERSION, self.envelope_bytes, self.table_bytes, self.payload_bytes)


def head_length(first: bytes) -> int:
    """Return the length of the head (header, envelope, chunk table) from a package's first 24 bytes.

    Raises:
        RejectedError: FRAME or LENGTH.
    """
    return Header.parse(first).head_bytes


def chunk_table(payload: bytes) -> bytes:
    """Return the SHA-256 of each chunk of a payload, one after the other."""
    view = memoryview(payload)
    starts = range(0, len(payload), CHUNK_BYTES)
    return b"".join(hashlib.sha256(view[start : start + CHUNK_BYTES]).digest() for start in starts)


def check_length(size: int, declared: int, what: str) -> None:
    """Refuse a part that is not exactly as long as declared.

    Raises:
        RejectedError: LENGTH if it is shorter, TRAILING if it is longer.
    """
    if size < declared:
        raise RejectedError(RejectReason.LENGTH, f"the {what} is cut: {size} bytes of {declared}")
    if size > declared:
        raise RejectedError(RejectReason.TRAILING, f"the {what} ends at {declared} bytes")


def chunk_count(payload_bytes: int) -> int:
    """Return the number of chunks of a payload."""
    return -(-payload_bytes // CHUNK_BYTES)
