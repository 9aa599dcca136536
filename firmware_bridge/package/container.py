"""The .ksm container: fixed header, COSE envelope, chunk table, payload, and nothing after it.

Owns: the layout, and writing and reading files of it. Judges nothing beyond lengths: see
`firmware_bridge.package.trust`.

    offset 0    8 bytes  magic
           8    4 bytes  format version, big-endian, 1
          12    4 bytes  length of the envelope
          16    4 bytes  length of the chunk table: 32 bytes a chunk
          20    4 bytes  length of the payload
          24    envelope, chunk table, payload
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cose
from firmware_bridge.package import manifest as manifests
from firmware_bridge.package.ecdsa import Algorithm, PublicKey
from firmware_bridge.package.manifest import CHUNK_BYTES, PAYLOAD_LIMIT_BYTES, Manifest
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.signing import Signer

__all__ = [
    "CONTENT_TYPE",
    "DOMAIN",
    "ENVELOPE_LIMIT_BYTES",
    "HEADER_BYTES",
    "MAGIC",
    "Header",
    "PackageFile",
    "Unsigned",
    "build",
    "check_length",
    "chunk_table",
    "head_length",
    "prepare",
    "write",
    "write_atomically",
]

MAGIC = b"\x89KSM\r\n\x1a\n"
"""As PNG's: the first byte is not text, and a transfer that rewrites line ends breaks it visibly."""

HEADER_BYTES = 24
ENVELOPE_LIMIT_BYTES = 16 * 1024
CONTENT_TYPE = "application/vnd.ks100.manifest+cbor"
DOMAIN = b"KS-100 package v1"
"""external_aad: a signature over a trust store, a log or anything else is never one over a package."""

_FORMAT = 1
_DIGEST_BYTES = 32
_LAYOUT = struct.Struct(">8sIIII")
assert _LAYOUT.size == HEADER_BYTES


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
        if version != _FORMAT:
            raise RejectedError(RejectReason.FRAME, f"format version {version}, this verifier knows {_FORMAT}")
        if not 1 <= envelope <= ENVELOPE_LIMIT_BYTES:
            raise RejectedError(
                RejectReason.LENGTH, f"envelope of {envelope} bytes, 1 to {ENVELOPE_LIMIT_BYTES} allowed"
            )
        if not 1 <= payload <= PAYLOAD_LIMIT_BYTES:
            raise RejectedError(RejectReason.LENGTH, f"payload of {payload} bytes, 1 to {PAYLOAD_LIMIT_BYTES} allowed")
        if table != _DIGEST_BYTES * _chunk_count(payload):
            expected = _DIGEST_BYTES * _chunk_count(payload)
            raise RejectedError(RejectReason.LENGTH, f"chunk table of {table} bytes, the payload needs {expected}")
        return cls(envelope, table, payload)

    def to_bytes(self) -> bytes:
        """Return the 24 bytes."""
        return _LAYOUT.pack(MAGIC, _FORMAT, self.envelope_bytes, self.table_bytes, self.payload_bytes)


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A package that waits for its signature, which may be made on another machine.

    Attributes:
        manifest: the manifest, complete.
        payload: the payload.
        message: the bytes to sign.
        algorithm: how to sign them.
    """

    manifest: Manifest
    payload: bytes
    message: bytes
    algorithm: Algorithm

    @property
    def digest(self) -> bytes:
        """The digest of ``message``, for signers that take digests."""
        return self.algorithm.digest(self.message)

    def attach(self, signature: bytes, public_key_spki: bytes) -> bytes:
        """Return the package.

        Args:
            signature: r || s over ``message``.
            public_key_spki: the signer's public key.

        Raises:
            InputError: the signature is not of these bytes by this key.
        """
        manifest_bytes = manifests.encode(self.manifest)
        envelope = cose.sign1(manifest_bytes, PublicKey(public_key_spki), signature, CONTENT_TYPE, DOMAIN)
        table = chunk_table(self.payload)
        if len(envelope) > ENVELOPE_LIMIT_BYTES:
            raise InputError(f"the manifest makes an envelope of {len(envelope)} bytes, {ENVELOPE_LIMIT_BYTES} allowed")
        return Header(len(envelope), len(table), len(self.payload)).to_bytes() + envelope + table + self.payload


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A package in memory, well-formed and NOT verified.

    Attributes:
        header: its lengths.
        head: header, envelope and chunk table.
        body: the payload; an object of its own, so that what is hashed can be run without a copy.
    """

    header: Header
    head: bytes
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> PackageFile:
        """Wrap the bytes of a package.

        Raises:
            RejectedError: FRAME, LENGTH or TRAILING.
        """
        header = Header.parse(data)
        check_length(len(data), header.total_bytes, "package")
        return cls(header, data[: header.head_bytes], data[header.head_bytes :])

    @classmethod
    def open(cls, path: Path) -> PackageFile:
        """Read a package from a file.

        Raises:
            InputError: the file cannot be read.
            RejectedError: FRAME, LENGTH or TRAILING; nothing beyond the declared length is ever read.
        """
        try:
            with path.open("rb") as file:
                first = file.read(HEADER_BYTES)
                header = Header.parse(first)
                head = first + file.read(header.head_bytes - HEADER_BYTES)
                # One byte more than declared, so that a longer file is noticed and a huge one is not read.
                body = file.read(header.payload_bytes + 1)
        except OSError as error:
            raise InputError(f"cannot read the package {path}: {error.strerror}") from error
        check_length(len(head) + len(body), header.total_bytes, "package")
        return cls(header, head, body)

    @property
    def data(self) -> bytes:
        """The whole package."""
        return self.head + self.body

    @property
    def manifest_unverified(self) -> Manifest:
        """The manifest, for showing; nobody vouches for it.

        Raises:
            RejectedError: CBOR, ENVELOPE, ALGORITHM or SCHEMA.
        """
        return manifests.decode(self.envelope_unverified.payload)

    @property
    def envelope_unverified(self) -> cose.Sign1:
        """The envelope, with the key id and algorithm that it claims; errors as for `manifest_unverified`."""
        envelope = self.head[HEADER_BYTES : HEADER_BYTES + self.header.envelope_bytes]
        return cose.Sign1.parse(envelope, CONTENT_TYPE, DOMAIN)

    @property
    def chunk_count(self) -> int:
        """Number of chunks."""
        return _chunk_count(self.header.payload_bytes)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole package, hex: its name in the custody log."""
        digest = hashlib.sha256(self.head)
        digest.update(self.body)
        return digest.hexdigest()

    def chunk(self, index: int) -> bytes:
        """Return one chunk of the payload.

        Raises:
            IndexError: there is no such chunk.
        """
        if not 0 <= index < self.chunk_count:
            raise IndexError(f"chunk {index} of {self.chunk_count}")
        return self.body[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]

    def payload(self) -> bytes:
        """Return the payload."""
        return self.body


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


def prepare(manifest: Manifest, payload: bytes, key_id: bytes, algorithm: Algorithm) -> Unsigned:
    """Complete a manifest for a payload, and return what is to be signed.

    Args:
        manifest: sizes and digests in it are replaced by those of ``payload``.
        payload: the graph.
        key_id: of the key that will sign.
        algorithm: of the key that will sign.

    Raises:
        InputError: the payload is empty or too large, or the manifest breaks the schema.
    """
    if not 1 <= len(payload) <= PAYLOAD_LIMIT_BYTES:
        raise InputError(f"the payload has {len(payload)} bytes, 1 to {PAYLOAD_LIMIT_BYTES} are possible")
    complete = replace(
        manifest,
        payload_bytes=len(payload),
        payload_sha256=hashlib.sha256(payload).digest(),
        chunk_bytes=CHUNK_BYTES,
        table_sha256=hashlib.sha256(chunk_table(payload)).digest(),
    )
    message = cose.to_be_signed1(manifests.encode(complete), algorithm, key_id, CONTENT_TYPE, DOMAIN)
    return Unsigned(complete, payload, message, algorithm)


def build(manifest: Manifest, payload: bytes, signer: Signer) -> bytes:
    """Return a signed package of ``payload``; arguments and errors as for `prepare` and `Unsigned.attach`."""
    unsigned = prepare(manifest, payload, signer.key_id, signer.algorithm)
    return unsigned.attach(signer.sign(unsigned.message), signer.public_key_spki)


def write(path: Path, manifest: Manifest, payload: bytes, signer: Signer) -> PackageFile:
    """Build a package and write it to ``path``: there is the old file or the whole new one, never a part.

    Raises:
        InputError: as for `build`, or the file cannot be written.
    """
    package = PackageFile.of(build(manifest, payload, signer))
    write_atomically(path, package.data)
    return package


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` through a temporary file in the same folder.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def check_length(size: int, declared: int, what: str) -> None:
    """Refuse a part that is not exactly as long as declared.

    Raises:
        RejectedError: LENGTH if it is shorter, TRAILING if it is longer.
    """
    if size < declared:
        raise RejectedError(RejectReason.LENGTH, f"the {what} is cut: {size} bytes of {declared}")
    if size > declared:
        raise RejectedError(RejectReason.TRAILING, f"the {what} ends at {declared} bytes")


def _chunk_count(payload_bytes: int) -> int:
    return -(-payload_bytes // CHUNK_BYTES)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
