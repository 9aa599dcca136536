"""Finding a PKCS#11 module and a token: by all attributes that were given (RFC 7512, section 2.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from firmware_bridge.errors import InputError

__all__ = ["find_module", "find_token"]

_MODULE_FOLDERS = (
    "/usr/lib/*/pkcs11", "/usr/lib/pkcs11", "/usr/lib64/pkcs11", "/usr/lib/softhsm", "/usr/lib/*/softhsm",
    "/usr/local/lib/softhsm", "/usr/lib/*", "/usr/lib", "/usr/lib64", "/usr/local/lib",
)  # fmt: skip


def find_module(name: str) -> Path:
    """Return the module that a URI's ``module-name`` means: without ``lib`` and ``.so``, where such modules lie.

    Raises:
        InputError: there is none.
    """
    if not re.fullmatch(r"[\w.+-]+", name):
        raise InputError(
            f"the key URI's module-name is a name without folders, not {name!r}; for a file use module-path"
        )
    for folder in _MODULE_FOLDERS:
        for file in (f"{name}.so", f"lib{name}.so", f"{name}-pkcs11.so"):
            for path in sorted(Path("/").glob(f"{folder[1:]}/{file}")):
                return path
    raise InputError(f"there is no PKCS#11 module named {name!r} in the usual folders; give module-path=FILE.so")


def find_token(library: Any, wanted: Mapping[str, str]) -> Any:
    """Return the one token of a module whose attributes are all as wanted.

    Args:
        library: the loaded module, of python-pkcs11.
        wanted: attributes, see `pkcs11_uri.TOKEN_ATTRIBUTES`.

    Raises:
        InputError: none matches, or more than one; the text lists what is there.
    """
    there = list(_initialised(library))
    found = [
        token for token in there if all(_ATTRIBUTES[name](library, token) == value for name, value in wanted.items())
    ]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(_described(library, token) for token in found or there) or "none"
    if found:
        raise InputError(f"{len(found)} tokens match, add serial= of one of them: {listed}")
    raise InputError(f"no token matches; there are: {listed}")


def _initialised(library: Any) -> Iterator[Any]:
    import pkcs11

    for slot in library.get_slots(token_present=True):
        token = slot.get_token()
        if pkcs11.TokenFlag.TOKEN_INITIALIZED in token.flags:
            yield token


def _described(library: Any, token: Any) -> str:
    names = ("token", "serial", "model", "manufacturer")
    return ", ".join(f"{name}={_ATTRIBUTES[name](library, token)!r}" for name in names)


def _plain(value: str | bytes) -> str:
    """Return a field of fixed width without the blanks that fill it."""
    return (value.decode(errors="replace") if isinstance(value, bytes) else value).rstrip(" \0")


_ATTRIBUTES: dict[str, Callable[[Any, Any], str]] = {
    "token": lambda _, token: _plain(token.label),
    "serial": lambda _, token: _plain(token.serial),
    "model": lambda _, token: _plain(token.model),
    "manufacturer": lambda _, token: _plain(token.manufacturer_id),
    "slot-id": lambda _, token: str(token.slot.slot_id),
    "slot-description": lambda _, token: _plain(token.slot.slot_description),
    "slot-manufacturer": lambda _, token: _plain(token.slot.manufacturer_id),
    "library-manufacturer": lambda library, _: _plain(library.manufacturer_id),
    "library-description": lambda library, _: _plain(library.library_description),
    "library-version": lambda library, _: ".".join(map(str, library.library_version)),
}
