"""Attacks on the trust store: who may say who may sign."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from firmware_bridge.package import cbor
from firmware_bridge.package.reasons import RejectReason as R
from firmware_bridge.package.trust_store import ProgramKey
from hil.conformance.rules import Case, Group, Rule, provides, reasons
from hil.conformance.signing_kit import STORE_VERSION, SigningKit

__all__ = ["RULES"]

_NEXT = STORE_VERSION + 1


def _too_few(shop: SigningKit) -> Iterator[Case]:
    first, second, _ = shop.roots
    yield Case("one-root", provides(shop.raw_store([first])))
    yield Case("no-root", provides(shop.raw_store([shop.stranger])))
    yield Case("program-key", provides(shop.raw_store([first, shop.good])))
    yield Case("two-strangers", provides(shop.raw_store([shop.stranger, shop.other])))
    yield Case("one-and-stranger", provides(shop.raw_store([second, shop.stranger])))


def _one_twice(shop: SigningKit) -> Iterator[Case]:
    first = shop.roots[0]
    yield Case("signature-twice", provides(_doubled(shop.raw_store([first]))))
    yield Case("key-listed-twice", provides(shop.raw_store(shop.roots[:2], roots=[first.public_key_spki] * 2)))


def _doubled(store: bytes) -> bytes:
    """Return a store whose only signature stands in it twice."""
    envelope = cbor.decode(store[2:])
    assert isinstance(envelope, list)
    signatures: Any = envelope[3]
    return store[:2] + cbor.encode([*envelope[:3], [*signatures, *signatures]])


def _self_signed(shop: SigningKit) -> Iterator[Case]:
    mine = SigningKit(shop.info, shop.now_s)
    yield Case("newer", provides(mine.store(_NEXT).raw))
    yield Case("much-newer", provides(mine.store(1 << 40).raw))
    yield Case("same-version", provides(mine.store(STORE_VERSION).raw))


def _rolled_back(shop: SigningKit) -> Iterator[Case]:
    for version in (1, 2, STORE_VERSION - 1):
        yield Case(f"version-{version}", provides(shop.store(version).raw))
    yield Case("same-version-other-bytes", provides(shop.store(STORE_VERSION, created_s=shop.now_s - 1).raw))


def _store_bits(shop: SigningKit) -> Iterator[Case]:
    store = shop.store(_NEXT).raw
    allowed = reasons(R.TRUST_SIGNATURES, R.CBOR, R.ENVELOPE, R.ALGORITHM, R.SCHEMA)
    for index in range(24):
        position = len(store) * index // 24
        flipped = store[:position] + bytes([store[position] ^ (1 << index % 8)]) + store[position + 1 :]
        yield Case(f"byte-{position}", provides(flipped), allowed)


def _store_form(shop: SigningKit) -> Iterator[Case]:
    roots, store = shop.roots[:2], shop.store(_NEXT).raw
    yield Case("empty", provides(b""), reasons(R.CBOR, R.ENVELOPE))
    yield Case("cut", provides(store[:-1]), reasons(R.CBOR))
    yield Case("trailing", provides(store + b"\0"), reasons(R.CBOR))
    yield Case("over-cap", provides(bytes(64 * 1024 + 1)), reasons(R.LENGTH))
    yield Case("a-package", provides(shop.package().head[24:]), reasons(R.ENVELOPE, R.CBOR))
    changes: dict[str, dict[str, Any]] = {
        "threshold-1": {"threshold": 1},
        "threshold-0": {"threshold": 0},
        "threshold-over-roots": {"threshold": 9},
        "one-root": {"roots": [roots[0].public_key_spki]},
        "no-program": {"program": ...},
        "unknown-field": {"extra": 1},
        "off-the-curve": {"roots": [_off_the_curve(r.public_key_spki) for r in shop.roots]},
        "version-0": {"version": 0},
        "negative-floor": {"floors": [[shop.program, -1]]},
    }
    for label, change in changes.items():
        yield Case(label, provides(shop.raw_store(roots, **change)), reasons(R.SCHEMA, R.TRUST_SIGNATURES))


def _off_the_curve(spki: bytes) -> bytes:
    return spki[:-1] + bytes([spki[-1] ^ 1])


def _shared_key(shop: SigningKit) -> Iterator[Case]:
    spki = shop.roots[2].public_key_spki
    keys = [{"spki": spki, "alg": -7, "program": shop.program, "boards": [], "from": None, "until": None,
             "revoked": ""}]  # fmt: skip
    yield Case("root-signs-packages", provides(shop.raw_store(shop.roots[:2], keys=keys)))


def _foreign_store(shop: SigningKit) -> Iterator[Case]:
    keys = [ProgramKey(shop.good.public_key_spki, shop.other_program)]
    yield Case("same-roots", provides(shop.store(_NEXT, program=shop.other_program, keys=keys, floors=[]).raw))


_SIGNATURES = reasons(R.TRUST_SIGNATURES)
RULES = (
    Rule(
        "store-too-few-roots",
        Group.TRUST,
        "enough distinct roots sign a store",
        "one stolen root replaces every key",
        _SIGNATURES,
        _too_few,
    ),
    Rule(
        "store-root-twice",
        Group.TRUST,
        "one root counts once",
        "a threshold that one key reaches alone",
        reasons(R.TRUST_SIGNATURES, R.ENVELOPE, R.SCHEMA),
        _one_twice,
        "CVE-2020-6174 (TUF: one key's signatures counted twice)",
    ),
    Rule(
        "store-self-signed",
        Group.TRUST,
        "the current roots decide about the next",
        "anybody's own store is whole",
        _SIGNATURES,
        _self_signed,
    ),
    Rule(
        "store-rolled-back",
        Group.TRUST,
        "versions grow",
        "a key that was revoked comes back",
        reasons(R.TRUST_VERSION),
        _rolled_back,
    ),
    Rule(
        "store-bits",
        Group.TRUST,
        "no bit of a store is outside its signatures",
        "a scope or a floor is changed",
        _SIGNATURES,
        _store_bits,
    ),
    Rule(
        "store-form",
        Group.TRUST,
        "a store is strict, bounded and complete",
        "a threshold of one, a point off the curve, a bomb",
        reasons(R.SCHEMA),
        _store_form,
        "CVE-2020-0601 (unchecked curve parameters)",
    ),
    Rule(
        "store-key-in-two-roles",
        Group.TRUST,
        "a root signs no packages",
        "one stolen key does both",
        reasons(R.SCHEMA),
        _shared_key,
    ),
    Rule(
        "store-of-another-program",
        Group.TRUST,
        "a board stays with its program",
        "a board changes hands in silence",
        reasons(R.PROGRAM),
        _foreign_store,
    ),
)
