"""Attacks on the container: what a parser must survive before any key is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from firmware_bridge.package.container import HEADER_BYTES, Header
from firmware_bridge.package.reasons import RejectReason as R
from hil.conformance.rules import Case, Group, Rule, offers, reasons
from hil.conformance.signing_kit import RawPackage, SigningKit

__all__ = ["RULES"]

_U32 = 2**32 - 1


def _heads(package: RawPackage, *heads: tuple[str, bytes]) -> Iterator[Case]:
    for label, head in heads:
        yield Case(label, offers(replace(package, head=head)))


def _with(head: bytes, offset: int, value: int) -> bytes:
    return head[:offset] + value.to_bytes(4, "big") + head[offset + 4 :]


def _foreign(shop: SigningKit) -> Iterator[Case]:
    good = shop.package()
    yield from _heads(
        good,
        ("empty", b""),
        ("zeros", bytes(len(good.head))),
        ("text", b"#!/bin/sh\nreboot\n" * 8),
        ("elf", b"\x7fELF\x02\x01\x01" + good.head),
        ("bare-model", shop.graph),
        ("zip", b"PK\x03\x04" + good.head),
        ("prefixed", b"junk" + good.head),
        ("one-byte-early", good.head[1:]),
    )


def _magic(shop: SigningKit) -> Iterator[Case]:
    good = shop.package()
    for position in range(8):
        flipped = bytearray(good.head)
        flipped[position] ^= 0x20
        yield Case(f"byte-{position}", offers(replace(good, head=bytes(flipped))))
    yield Case("line-ends", offers(replace(good, head=good.head.replace(b"\r\n", b"\n", 1))))


def _version(shop: SigningKit) -> Iterator[Case]:
    good = shop.package()
    yield from _heads(good, *((f"version-{v}", _with(good.head, 8, v)) for v in (0, 2, 3, 256, 1 << 24, _U32)))


def _short(shop: SigningKit) -> Iterator[Case]:
    good = shop.package()
    yield from _heads(good, *((f"first-{n}", good.head[:n]) for n in (1, 2, 7, 8, 11, 12, 16, 20, 23)))


def _cut(shop: SigningKit) -> Iterator[Case]:
    good = shop.package()
    size = len(good.head)
    for count in sorted(
        {HEADER_BYTES, HEADER_BYTES + 1, size // 4, size // 3, size // 2, size - 64, size - 32, size - 1}
    ):
        yield Case(f"first-{count}", offers(replace(good, head=good.head[:count])))
    for share in range(1, 24):
        count = HEADER_BYTES + (size - HEADER_BYTES) * share // 24
        yield Case(f"share-{share}-of-24", offers(replace(good, head=good.head[:count])))


def _lengths(shop: SigningKit) -> Iterator[Case]:
    good = shop.package()
    header = Header.parse(good.head)
    yield from _heads(
        good,
        ("envelope-0", _with(good.head, 12, 0)),
        ("envelope-over-cap", _with(good.head, 12, 16 * 1024 + 1)),
        ("envelope-4-gib", _with(good.head, 12, _U32)),
        ("table-0", _with(good.head, 16, 0)),
        ("table-one-more", _with(good.head, 16, header.table_bytes + 32)),
        ("table-odd", _with(good.head, 16, header.table_bytes + 1)),
        ("table-4-gib", _with(good.head, 16, _U32)),
        ("payload-0", _with(good.head, 20, 0)),
        ("payload-4-gib", _with(good.head, 20, _U32)),
        ("sum-wraps", _with(_with(good.head, 16, _U32 - 31), 20, _U32)),
    )


def _payload_length(shop: SigningKit) -> Iterator[Case]:
    good = shop.package()
    for less in (1, 2, 100, 4096):
        # The number of chunks is the same: only the signed length differs.
        yield Case(f"{less}-less", offers(replace(good, head=_with(good.head, 20, len(good.payload) - less))))


def _trailing(shop: SigningKit) -> Iterator[Case]:
    good = shop.package()
    yield from _heads(
        good,
        ("one-byte", good.head + b"\0"),
        ("newline", good.head + b"\n"),
        ("zip", good.head + b"PK\x05\x06" + bytes(18)),
        ("second-package", good.head + good.head),
        ("64-kib", good.head + bytes(64 << 10)),
    )


RULES = (
    Rule(
        "foreign-file",
        Group.CONTAINER,
        "is not a package",
        "a board that guesses at formats runs what it guesses",
        reasons(R.FRAME),
        _foreign,
    ),
    Rule(
        "magic",
        Group.CONTAINER,
        "each byte of the magic counts",
        "a transfer that rewrites line ends goes unnoticed",
        reasons(R.FRAME),
        _magic,
    ),
    Rule(
        "format-version",
        Group.CONTAINER,
        "another format is not read as this one",
        "fields of a later format are misread",
        reasons(R.FRAME),
        _version,
    ),
    Rule(
        "header-cut",
        Group.CONTAINER,
        "a truncated header is invalid",
        "reading past the end",
        reasons(R.FRAME, R.LENGTH),
        _short,
    ),
    Rule(
        "head-cut",
        Group.CONTAINER,
        "a head that ends early is refused",
        "a cable that fails leaves half a signature",
        reasons(R.LENGTH),
        _cut,
    ),
    Rule(
        "lengths",
        Group.CONTAINER,
        "no length is believed beyond its cap",
        "allocating what an attacker names, sums that wrap around",
        reasons(R.LENGTH, R.FRAME),
        _lengths,
        "CVE-2018-18440 (U-Boot)",
    ),
    Rule(
        "payload-length",
        Group.CONTAINER,
        "the header's length is the signed one",
        "a shorter payload passes under a longer one's signature",
        reasons(R.LENGTH),
        _payload_length,
    ),
    Rule(
        "trailing-bytes",
        Group.CONTAINER,
        "nothing follows the head",
        "unsigned bytes are appended and read by another parser",
        reasons(R.TRAILING, R.LENGTH),
        _trailing,
        "CVE-2013-4787 (Android master key: two readings of one archive)",
    ),
)
