"""Who signs: the interface of a signer, and private keys in encrypted PEM files.

Owns: that a private key is created 0600, encrypted, and never leaves this module. Knows no envelope. Keys in tokens
are in `firmware_bridge.package.pkcs11`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.errors import InputError
from firmware_bridge.input_files import FileKind, kind_of, opened, wrong_kind
from firmware_bridge.package.ecdsa import Algorithm, PublicKey, from_der

__all__ = ["PemSigner", "Signer"]


class Signer(Protocol):
    """Something that signs with one private key."""

    @property
    def key_id(self) -> bytes:
        """SHA-256 of the public key's SPKI."""
        ...

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that it signs with."""
        ...

    @property
    def public_key_spki(self) -> bytes:
        """The public key, DER SubjectPublicKeyInfo."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return r || s over ``message`` (not over its digest)."""
        ...


class PemSigner:
    """A private key from an encrypted PKCS#8 PEM file."""

    __slots__ = ("_key", "_public")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        """Wrap a private key.

        Raises:
            InputError: the key is not on P-256 or P-384.
        """
        self._key = key
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._public = PublicKey(spki)

    @classmethod
    def generate(cls, path: Path, passphrase: str, algorithm: Algorithm = Algorithm.ES256) -> PemSigner:
        """Create a key and write it encrypted to ``path``, mode 0600, beside its public key ``path.pub``.

        Raises:
            InputError: the file exists (a key is never overwritten), cannot be written, or the passphrase is empty.
        """
        signer = cls(ec.generate_private_key(algorithm.curve))
        signer.save(path, passphrase)
        return signer

    @classmethod
    def load(cls, path: Path, passphrase: str) -> PemSigner:
        """Read a key.

        Raises:
            InputError: no such file, others may read it, a wrong passphrase, not an encrypted P-256 or P-384 key.
        """
        pem = _read_private(path)
        if b"ENCRYPTED" not in pem:
            raise InputError(f"{path} is not an encrypted key; encrypt it with: openssl pkcs8 -topk8 -in {path}")
        try:
            key = serialization.load_pem_private_key(pem, passphrase.encode() or None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InputError(f"{path} does not open: wrong passphrase, or not a PKCS#8 PEM key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InputError(f"{path} contains a key that is not on P-256 or P-384; create one with ks100 keys")
        return cls(key)

    @property
    def key_id(self) -> bytes:
        """SHA-256 of the public key's SPKI."""
        return self._public.key_id

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that it signs with."""
        return self._public.algorithm

    @property
    def public_key_spki(self) -> bytes:
        """The public key, DER SubjectPublicKeyInfo."""
        return self._public.spki

    def sign(self, message: bytes) -> bytes:
        """Return r || s over ``message``."""
        der = self._key.sign(message, ec.ECDSA(self.algorithm.hash))
        return from_der(der, self.algorithm)

    def save(self, path: Path, passphrase: str) -> None:
        """Write the key encrypted to a new file; errors as for `generate`."""
        if not passphrase:
            raise InputError(f"a passphrase is needed for {path}: keys are only ever stored encrypted")
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase.encode()),
        )
        _write_new(path, pem, 0o600)
        _write_new(path.with_name(path.name + ".pub"), self._public.to_pem(), 0o644)


def _read_private(path: Path) -> bytes:
    with opened(path, FileKind.PRIVATE_KEY) as descriptor, open(descriptor, "rb", closefd=False) as file:
        pem = file.read() or b""
        if kind_of(pem) is not FileKind.OTHER and (wrong := wrong_kind(path, pem, FileKind.PRIVATE_KEY)) is not None:
            raise wrong
        # The open file is examined, not the path: the path may be another file a moment later.
        if os.fstat(descriptor).st_mode & 0o077:
            raise InputError(f"{path} may be read by others; restrict it with: chmod 600 {path}")
        return pem


def _write_new(path: Path, data: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # O_EXCL and the mode at creation: no moment in which others can read it, no key ever overwritten.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except FileExistsError as error:
        raise InputError(f"{path} exists; keys are never overwritten, choose another name") from error
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
