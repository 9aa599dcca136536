"""A folder of keys: two roots, one program key, one key of the custody log, all encrypted, all 0600.

In production, roots are kept offline and the program key in a token, under the same names.
"""

from __future__ import annotations

import codecs
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import InputError
from firmware_bridge.input_files import FileKind, read_bytes
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import ProgramKey, TrustStore, build_store

__all__ = ["LOG", "PROGRAM", "ROOTS", "Keyring", "read_passphrase"]

ROOTS = ("root-1", "root-2")
PROGRAM = "program"
LOG = "log"
_PASSPHRASE = "passphrase"  # noqa: S105 - a file name
_PASSPHRASE_BYTES = 24


@dataclass(frozen=True)
class Keyring:
    """The keys in one folder.

    Attributes:
        folder: the folder.
    """

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Keyring:
        """Create all missing keys, encrypted with a generated passphrase.

        Raises:
            InputError: a file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ring = cls(folder)
        if not (folder / _PASSPHRASE).exists():
            _write_secret(folder / _PASSPHRASE, secrets.token_urlsafe(_PASSPHRASE_BYTES))
        for name in (*ROOTS, PROGRAM, LOG):
            if not ring.path(name).exists():
                PemSigner.generate(ring.path(name), ring.passphrase())
        return ring

    def path(self, name: str) -> Path:
        """Return the file of the key ``name``."""
        return self.folder / f"{name}.pem"

    def passphrase(self) -> str:
        """Return the passphrase."""
        return read_passphrase(self.folder / _PASSPHRASE)

    def signer(self, name: str) -> PemSigner:
        """Open a key.

        Raises:
            InputError: it is missing or cannot be opened.
        """
        return PemSigner.load(self.path(name), self.passphrase())

    def trust_store(self, program: str, version: int = 1) -> TrustStore:
        """Create the trust store of these keys, signed by both roots."""
        roots = [self.signer(name) for name in ROOTS]
        return build_store(
            program=program,
            version=version,
            roots=[root.public_key_spki for root in roots],
            threshold=len(roots),
            keys=[ProgramKey(self.signer(PROGRAM).public_key_spki, program)],
            signers=roots,
            created_s=int(time.time()),
        )


def read_passphrase(path: Path) -> str:
    """Return the first line of a passphrase file, in UTF-8 or the encoding of its byte order mark.

    Raises:
        InputError: it cannot be read, is readable by others, or is empty.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise InputError(f"{path} is readable by others; restrict it with: chmod 600 {path}")
        data = read_bytes(path, FileKind.PASSPHRASE)
        # Editors may add a byte order mark, which is not part of the passphrase.
        encoding = "utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        line = re.split("\r\n|\r|\n", data.decode(encoding), maxsplit=1)[0]
    except OSError as error:
        raise InputError(f"cannot read the passphrase file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:  # not chained: its text would show bytes of the secret
        raise InputError(f"the passphrase file {path} is not UTF-8; save it as plain text") from error
    if not line:
        raise InputError(f"the passphrase file {path} is empty")
    return line


def _write_secret(path: Path, text: str) -> None:
    import os

    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(text + "\n")
    except OSError as error:
        raise InputError(f"cannot create {path}: {error.strerror}") from error
