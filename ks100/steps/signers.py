"""Opening signing keys: an encrypted PEM file, or a key in a PKCS#11 token by its URI (RFC 7512)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

from firmware_bridge.input_files import FileKind, read_bytes, wrong_kind
from firmware_bridge.package.ecdsa import PublicKey
from firmware_bridge.package.pkcs11_uri import KeyUri
from firmware_bridge.package.signing import PemSigner, Signer
from ks100.errors import UsageError
from ks100.steps.keyring import read_passphrase

__all__ = ["ask_agent", "open_signer", "read_public_key"]

_AGENT_TIMEOUT_S = 120


@contextmanager
def open_signer(key: str, passphrase: Callable[[], str]) -> Iterator[Signer]:
    """Open a key for signing.

    Args:
        key: path of a PEM file, or ``pkcs11:token=T;object=LABEL;id=%01?module-path=/usr/lib/...so``.
        passphrase: called once for the passphrase of the file or the PIN of the token.

    Raises:
        InputError: the URI is invalid, or the key cannot be opened.
    """
    if not KeyUri.is_one(key):
        yield PemSigner.load(Path(key), passphrase())
        return
    from firmware_bridge.package.pkcs11 import Pkcs11Signer
    from firmware_bridge.package.pkcs11_token import find_module

    uri = KeyUri.parse(key)
    module = uri.module or find_module(uri.module_name or "")
    pin = passphrase() if uri.pin_file is None else read_passphrase(uri.pin_file)
    with Pkcs11Signer.open(module, uri.token, pin, uri.label, uri.key_id) as signer:
        yield signer


def read_public_key(path: Path) -> PublicKey:
    """Read a public key in PEM.

    Raises:
        InputError: the file cannot be read, is of another kind, or has no permitted key.
    """
    pem = read_bytes(path, FileKind.PUBLIC_KEY)
    if (wrong := wrong_kind(path, pem, FileKind.PUBLIC_KEY)) is not None:
        raise wrong
    return PublicKey.from_pem(pem)


def ask_agent(what: str) -> str:
    """Return a passphrase from gpg-agent, which caches it and prompts by its pinentry.

    Args:
        what: name of the key, cached as ``ks100:NAME``; for a file, its name.

    Raises:
        UsageError: there is no agent, or it has no passphrase and cannot prompt.
    """
    if shutil.which("gpg-connect-agent") is None:
        raise UsageError("gpg-connect-agent is not installed; install gpg-agent, or give --passphrase-file FILE")
    name = "".join(c if c.isalnum() or c in "._-" else "_" for c in what)[-40:]
    command = f"GET_PASSPHRASE --data ks100:{name} X Passphrase Open+the+signing+key+{name}\n"
    try:
        run = subprocess.run(
            ["gpg-connect-agent"], input=command.encode(), capture_output=True, timeout=_AGENT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"gpg-agent did not answer within {_AGENT_TIMEOUT_S} s; is its pinentry hidden?") from error
    for line in run.stdout.split(b"\n"):
        if line.startswith(b"D "):
            return unquote_to_bytes(line[2:]).decode()
    said = (run.stdout + run.stderr).decode(errors="replace").strip().split("\n")[-1]
    raise UsageError(f"gpg-agent gave no passphrase for ks100:{name}: {said}")
