"""The host keys that ``known_hosts`` files give for one host (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), for paramiko.

paramiko's own reader stops at lines about other hosts, and knows neither ``@revoked`` nor patterns. Lines that cannot
be read say nothing of any host; certificates (``@cert-authority``) need OpenSSH.
"""

from __future__ import annotations

import fnmatch
import hmac
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from firmware_bridge.errors import BenchError

__all__ = ["KnownKeys", "read_known_keys"]

_USUAL = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
_MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """What is known of one host.

    Attributes:
        host: under which name: the host, or ``[host]:port`` where the port is not 22.
        good: its keys.
        revoked: keys that it must not have.
    """

    host: str
    good: tuple[paramiko.PKey, ...] = ()
    revoked: tuple[paramiko.PKey, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of its keys, as in the file, each once."""
        return tuple(dict.fromkeys(key.get_name() for key in self.good))


def read_known_keys(file: Path | None, host: str, port: int) -> KnownKeys:
    """Return the keys of a host from ``file``, or without one from the user's and the system's.

    Raises:
        BenchError: a file cannot be read; one that is not there knows no host.
    """
    name = host if port == 22 else f"[{host}]:{port}"
    good, revoked = list[paramiko.PKey](), list[paramiko.PKey]()
    for path in _USUAL if file is None else (file,):
        for line in _lines(path.expanduser()):
            marker, names, kind, data = line
            if not _names_host(names, name) or marker == "@cert-authority":
                continue
            if (key := _key(kind, data)) is not None:
                (revoked if marker == "@revoked" else good).append(key)
    return KnownKeys(name, tuple(good), tuple(revoked))


def _lines(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Return marker or ``""``, host names, kind and key of each line that has them."""
    try:
        if path.exists() and path.is_file() and path.stat().st_size > _MAX_BYTES:
            raise BenchError(f"{path} is too large for a file of known host keys")
        text = path.read_bytes().decode("latin-1")  # comments may be in any encoding; names and keys are ASCII
    except FileNotFoundError:
        return
    except OSError as error:
        raise BenchError(f"cannot read the known host keys in {path}: {error.strerror}") from error
    for line in text.splitlines():
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) >= 3 and not fields[0].startswith("#"):
            yield marker, fields[0], fields[1], fields[2]


def _names_host(names: str, host: str) -> bool:
    """Return whether a line's first field means ``host``: patterns, ``!`` before one that must not match, or a hash."""
    if names.startswith("|1|"):
        return _hashed(names, host)
    found = False
    for pattern in names.lower().split(","):
        # Only * and ? are special in OpenSSH; the brackets of [host]:port are not.
        if fnmatch.fnmatchcase(host.lower(), pattern.removeprefix("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _hashed(field: str, host: str) -> bool:
    try:
        _, _, salt, digest = field.split("|")
        found = hmac.digest(b64decode(salt), host.encode(), "sha1")  # the format's own algorithm
        return hmac.compare_digest(found, b64decode(digest))
    except ValueError:
        return False


def _key(kind: str, data: str) -> paramiko.PKey | None:
    try:
        return paramiko.PKey.from_type_string(kind, b64decode(data))
    except Exception:  # noqa: BLE001 - whatever a vendor's parser makes of a line that is cut or of an old kind
        return None
