"""The .ksm container: writing and reading files of fixed header, COSE envelope, chunk table and payload.

Owns: packages as files and as bytes in memory. The lengths are `firmware_bridge.package.layout`'s; whether a package
is accepted is `firmware_bridge.package.trust`'s.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_bridge.errors import InputError
from firmware_bridge.files import write_atomically
from firmware_bridge.input_files import FileKind, opened, wrong_kind
from firmware_bridge.package import cose
from firmware_bridge.package import manifest as manifests
from firmware_bridge.package.ecdsa import Algorithm, PublicKey
from firmware_bridge.package.layout import (
    CONTENT_TYPE,
    DOMAIN,
    ENVELOPE_LIMIT_BYTES,
    HEADER_BYTES,
    MAGIC,
    Header,
    check_length,
    chunk_count,
    chunk_table,
    head_length,
)
from firmware_bridge.package.manifest import CHUNK_BYTES, PAYLOAD_LIMIT_BYTES, Manifest
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
]


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


_KIND_BYTES = 512  # enough to say what another file is


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
            InputError: the file cannot be read, or is plainly of another kind.
            RejectedError: FRAME, LENGTH or TRAILING; nothing beyond the declared length is ever read.
        """
        with opened(path, FileKind.PACKAGE) as descriptor, open(descriptor, "rb", closefd=False) as file:
            beginning = file.peek(_KIND_BYTES)
            if beginning and (wrong := wrong_kind(path, beginning, FileKind.PACKAGE)) is not None:
                raise wrong
            first = file.read(HEADER_BYTES) or b""
            header = Header.parse(first)
            head = first + file.read(header.head_bytes - HEADER_BYTES)
            # One byte more than declared, so that a longer file is noticed and a huge one is not read.
            body = file.read(header.payload_bytes + 1)
        check_length(len(head) + len(body), header.total_bytes, "package")
        return cls(header, head, body)

    @property
    def data(self) -> bytes:
        """The whole package."""
        return self.head + self.body

    @property
    def manifest_unverified(self) -> Manifest:
        """The manifest, for display; it is not verified.

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
        return chunk_count(self.header.payload_bytes)

    @property
    def digest(self) -> str:
        """SHA-256 of the whole package, hex: its name in the custody log."""
        digest = hashlib.sha256(self.head)
        digest.update(self.body)
        return digest.hexdigest()

    def chunk(self, index: int) -> bytes:
        """Return one chunk of the payload.

        Raises:
            IndexError: no such chunk.
        """
        if not 0 <= index < self.chunk_count:
            raise IndexError(f"chunk {index} of {self.chunk_count}")
        return self.body[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]

    def payload(self) -> bytes:
        """Return the payload."""
        return self.body


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
