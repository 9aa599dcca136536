"""The name of a key in a token: a PKCS#11 URI (RFC 7512), every attribute of which has to match.

Only parses; `firmware_bridge.package.pkcs11` finds the token and the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from firmware_bridge.errors import InputError

__all__ = ["TOKEN_ATTRIBUTES", "KeyUri"]

_SCHEME = "pkcs11:"
_FORM = f"{_SCHEME}token=T;object=LABEL;id=%01?module-path=FILE.so"
TOKEN_ATTRIBUTES = frozenset({
    "token", "serial", "model", "manufacturer", "slot-id", "slot-description", "slot-manufacturer",
    "library-manufacturer", "library-description", "library-version",
})  # fmt: skip
"""The attributes that select a token; the others select a key in it, or how to access it."""
_PATH = TOKEN_ATTRIBUTES | {"object", "id", "type"}
_NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class KeyUri:
    """A parsed URI; None where it leaves something open.

    Attributes:
        token: attributes of the token (`TOKEN_ATTRIBUTES`), decoded.
        label: CKA_LABEL of the key.
        key_id: CKA_ID of the key.
        module: path of the token's PKCS#11 module.
        module_name: its name without path and suffix.
        pin_file: the file with the PIN (``pin-source=file:...``).
    """

    token: Mapping[str, str]
    label: str | None = None
    key_id: bytes | None = None
    module: Path | None = None
    module_name: str | None = None
    pin_file: Path | None = None

    @staticmethod
    def is_one(text: str) -> bool:
        """Whether ``text`` is meant as a PKCS#11 URI."""
        return text[: len(_SCHEME)].lower() == _SCHEME

    @classmethod
    def parse(cls, text: str) -> KeyUri:
        """Return what ``text`` names.

        Raises:
            InputError: not a key URI, with an attribute twice or unknown, or without a definite key.
        """
        path_text, _, query_text = text[len(_SCHEME) :].partition("?")
        path = _attributes(path_text, ";")
        query = _attributes(query_text, "&")
        for name in sorted(path.keys() - _PATH):
            raise InputError(f"the key URI has an unknown attribute {name!r}, which no token can match (RFC 7512)")
        if path.get("type", "private") != "private":
            raise InputError(f"the key URI names an object of type {path['type']!r}; a signer needs type=private")
        if "pin-value" in query:
            raise InputError("a key URI must not contain a PIN, since others can read it; use --passphrase-file")
        for name in ("slot-id", "library-version"):
            if name in path and not _NUMBER.fullmatch(path[name]):
                raise InputError(f"the key URI's {name} must be a number, not {path[name]!r}")
        token = {name: _text(name, value) for name, value in path.items() if name in TOKEN_ATTRIBUTES}
        missing = [what for what, names in _NEEDED.items() if not names & (path.keys() | query.keys())]
        if missing:
            raise InputError(f"the key URI lacks {', '.join(missing)}; write {_FORM}")
        module = query.get("module-path")
        return cls(
            token,
            _text("object", path["object"]) if "object" in path else None,
            unquote_to_bytes(path["id"]) if "id" in path else None,
            None if module is None else Path(_text("module-path", module)),
            _text("module-name", query["module-name"]) if "module-name" in query else None,
            _pin_file(query.get("pin-source")),
        )


_NEEDED = {
    "a token (token= or serial=)": {"token", "serial", "slot-id", "slot-description"},
    "a key (object= or id=)": {"object", "id"},
    "a module (module-path= or module-name=)": {"module-path", "module-name"},
}


def _attributes(text: str, separator: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, text.split(separator)):
        name, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"the key URI has {item!r} where NAME=VALUE is expected; write {_FORM}")
        if name in found:
            raise InputError(f"the key URI has {name!r} twice")
        found[name] = value
    return found


def _text(name: str, value: str) -> str:
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError as error:
        raise InputError(f"the key URI's {name} is not UTF-8") from error


def _pin_file(source: str | None) -> Path | None:
    if source is None:
        return None
    text = _text("pin-source", source)
    if text.startswith("|") or (":" in text.partition("/")[0] and not text.startswith("file:")):
        raise InputError(f"the key URI's pin-source is file:/PATH; {text!r} is not supported")
    return Path(re.sub(r"^//[^/]*(?=/)", "", text.removeprefix("file:")))
