"""Attacks on the encoding: CBOR, the envelope around the manifest, and the manifest's fields."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_bridge.package import cbor
from firmware_bridge.package.container import CONTENT_TYPE
from firmware_bridge.package.manifest import SCHEMA
from firmware_bridge.package.reasons import RejectReason as R
from hil.conformance.rules import Case, Group, Rule, offers, reasons
from hil.conformance.signing_kit import SigningKit

__all__ = ["RULES"]


def _strict(shop: SigningKit) -> Iterator[Case]:
    plain = shop.manifest_bytes()
    encodings = {
        "trailing-byte": plain + b"\0",
        "indefinite-map": b"\xbf" + plain[2:] + b"\xff",
        "indefinite-text": b"\xa1\x7f\x61a\xff\x00",
        "depth-bomb": b"\x81" * 4096 + b"\0",
        "string-of-8-eib": b"\x5b\x7f" + b"\xff" * 7,
        "array-of-4-gib": b"\x9a\xff\xff\xff\xff",
        "duplicate-key": b"\xa2\x62id\x00\x62id\x00",
        "unsorted-keys": b"\xa2\x62id\x00\x61a\x00",
        "bad-utf-8": b"\xa1\x61\xff\x00",
        "surrogate": b"\xa1\x63\xed\xa0\x80\x00",
        "long-integer": b"\xa1\x61a\x18\x01",
        "long-length": b"\xa1\x78\x01a\x00",
        "nan": b"\xa1\x61a\xf9\x7e\x00",
        "infinity": b"\xa1\x61a\xf9\x7c\x00",
        "tag": b"\xa1\x61a\xc0\x60",
        "bignum": b"\xa1\x61a\xc2\x41\x01",
        "undefined": b"\xa1\x61a\xf7",
        "simple-value": b"\xa1\x61a\xf8\x20",
        "reserved-length": b"\xa1\x61a\x1c",
        "break-outside": b"\xff",
        "cut": plain[:-1],
        "empty": b"",
    }
    for label, manifest in encodings.items():
        yield Case(label, offers(shop.enveloped(manifest=manifest)))


def _tags(shop: SigningKit) -> Iterator[Case]:
    tags = {"no-tag": b"", "mac": b"\xd1", "encrypt": b"\xd0", "sign-many": b"\xd8\x62", "long-tag": b"\xd8\x12"}
    for label, tag in tags.items():
        yield Case(label, offers(shop.enveloped(tag=tag)))


def _protected(shop: SigningKit) -> Iterator[Case]:
    header = shop.header()
    headers: dict[str, bytes] = {
        "empty": b"\xa0",
        "no-bytes": b"",
        "crit": shop.header({2: [99]}),
        "content-type": shop.header({3: "text/plain"}),
        "other-content": shop.header({3: CONTENT_TYPE + "x"}),
        "kid-short": shop.header({4: b"\1" * 8}),
        "kid-long": shop.header({4: b"\1" * 33}),
        "kid-text": shop.header({4: "key"}),
        "embedded-key": shop.header({-1: b"\4" * 65}),
        "x5chain": shop.header({33: b"\x30\x82"}),
        "iv": shop.header({5: bytes(12)}),
        "not-a-map": cbor.encode([1, -7]),
    }
    for label, data in headers.items():
        yield Case(label, offers(shop.enveloped(header=data)))
    yield Case("not-canonical", offers(shop.enveloped(header=b"\xb8\x03" + header[1:])), reasons(R.CBOR))


def _unprotected(shop: SigningKit) -> Iterator[Case]:
    for label, value in {"alg": {1: -7}, "kid": {4: shop.good.key_id}, "unknown": {99: 1}, "list": []}.items():
        yield Case(label, offers(shop.enveloped(unprotected=value)))


def _missing(shop: SigningKit) -> Iterator[Case]:
    for field in sorted(shop.document()):
        yield Case(field, offers(shop.enveloped(document=shop.document(**{field: ...}))))


def _names(shop: SigningKit) -> Iterator[Case]:
    names = {"path": "../../etc/passwd", "absolute": "/etc/passwd", "nul": "a\0b", "newline": "a\nb",
             "escape": "a\x1b[2Jb", "empty": "", "long": "m" * 300, "blank": " ", "dot-dot": "..",
             "right-to-left": "a\u202eb"}  # fmt: skip
    for label, name in names.items():
        yield Case(f"model-{label}", offers(shop.enveloped(document=shop.document(model=name))))
    for label in ("path", "newline", "empty", "long"):
        yield Case(f"program-{label}", offers(shop.enveloped(document=shop.document(program=names[label]))))


def _schema(shop: SigningKit) -> Iterator[Case]:
    changes: dict[str, dict[str, object]] = {
        "unknown-field": {"extra": 1},
        "security-negative": {"security": -1},
        "security-float": {"security": 3.5},
        "security-true": {"security": True},
        "security-text": {"security": "3"},
        "program-number": {"program": 7},
        "payload-0": {"bytes": 0},
        "payload-negative": {"bytes": -5},
        "short-digest": {"sha256": bytes(31)},
        "text-digest": {"sha256": "0" * 64},
        "future-schema": {"schema": SCHEMA + 1},
        "past-schema": {"schema": SCHEMA - 2},
        "format-text": {"format": "tflite"},
        "format-version-text": {"format": ["tflite", "3"]},
        "format-version-0": {"format": ["tflite", 0]},
        "schema-0": {"schema": 0},
        "boards-text": {"boards": "ks100"},
        "boards-empty": {"boards": []},
    }
    for label, change in changes.items():
        yield Case(label, offers(shop.enveloped(document=shop.document(**change))))
    for label, document in {"list": [1, 2], "text": "manifest", "number": 1, "null": False}.items():
        yield Case(f"a-{label}", offers(shop.enveloped(document=document)))


RULES = (
    Rule(
        "strict-cbor",
        Group.ENCODING,
        "only the one canonical encoding is read",
        "two parsers see two manifests under one signature; bombs",
        reasons(R.CBOR),
        _strict,
        "CVE-2020-28491 (Jackson), CVE-2024-26134 (cbor2)",
    ),
    Rule(
        "envelope-tag",
        Group.ENCODING,
        "the envelope is a COSE_Sign1 and nothing like it",
        "a MAC or a list of signatures is read as a signature",
        reasons(R.ENVELOPE, R.CBOR),
        _tags,
    ),
    Rule(
        "protected-header",
        Group.ENCODING,
        "the protected header is the one profile, with nothing optional",
        "keys or certificates that the attacker brings along",
        reasons(R.ENVELOPE, R.CBOR),
        _protected,
        "CVE-2018-0114 (a key inside the token is believed)",
    ),
    Rule(
        "unprotected-header",
        Group.ENCODING,
        "nothing that is not signed is read",
        "an algorithm or a key id beside the signature",
        reasons(R.ENVELOPE),
        _unprotected,
    ),
    Rule(
        "manifest-fields-missing",
        Group.ENCODING,
        "every field is there",
        "a default where a decision was needed",
        reasons(R.SCHEMA),
        _missing,
    ),
    Rule(
        "manifest-names",
        Group.ENCODING,
        "names are names",
        "a path, a control character or a bidi mark reaches a file system or a log",
        reasons(R.SCHEMA),
        _names,
        "CVE-2018-1002200 (path traversal from an archive)",
    ),
    Rule(
        "manifest-schema",
        Group.ENCODING,
        "every field is of its type, within its bounds, and known",
        "a negative version, a field that only one side reads",
        reasons(R.SCHEMA),
        _schema,
    ),
)
