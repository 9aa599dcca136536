"""Attacks on the signature, its arithmetic, and the key that it claims."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from firmware_bridge.package.container import HEADER_BYTES, Header
from firmware_bridge.package.ecdsa import Algorithm, to_der
from firmware_bridge.package.reasons import RejectReason as R
from hil.conformance.rules import Case, Group, Rule, offers, reasons
from hil.conformance.signing_kit import RawPackage, SigningKit

__all__ = ["RULES"]

_N = Algorithm.ES256.order
_ZERO = bytes(32)
_SWEEP = 64


def _flipped(package: RawPackage, position: int, bit: int) -> RawPackage:
    head = bytearray(package.head)
    head[position] ^= 1 << bit
    return replace(package, head=bytes(head))


def _bytes(value: int) -> bytes:
    return (value % (1 << 256)).to_bytes(32, "big")


def _arithmetic(shop: SigningKit) -> Iterator[Case]:
    values: dict[str, Callable[[bytes], bytes]] = {
        "r0-s0": lambda _: _ZERO + _ZERO,
        "r0": lambda s: _ZERO + s[32:],
        "s0": lambda s: s[:32] + _ZERO,
        "r1-s1": lambda _: _bytes(1) + _bytes(1),
        "r-is-n": lambda s: _bytes(_N) + s[32:],
        "s-is-n": lambda s: s[:32] + _bytes(_N),
        "r-is-n-s-is-n": lambda _: _bytes(_N) + _bytes(_N),
        "r-is-n-minus-1": lambda s: _bytes(_N - 1) + s[32:],
        "s-is-n-minus-1": lambda s: s[:32] + _bytes(_N - 1),
        "r-plus-n": lambda s: _bytes(int.from_bytes(s[:32], "big") + _N) + s[32:],
        "s-plus-n": lambda s: s[:32] + _bytes(int.from_bytes(s[32:], "big") + _N),
        "all-ones": lambda _: b"\xff" * 64,
        "swapped": lambda s: s[32:] + s[:32],
        "negative-r": lambda s: _bytes(_N - int.from_bytes(s[:32], "big")) + s[32:],
    }
    for label, change in values.items():
        yield Case(label, offers(shop.enveloped(signature=change)))


def _form(shop: SigningKit) -> Iterator[Case]:
    forms: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda _: b"",
        "short": lambda s: s[:-1],
        "long": lambda s: s + b"\0",
        "half": lambda s: s[:32],
        "twice": lambda s: s + s,
        "der": to_der,
        "padded": lambda s: b"\0" + s[:32] + b"\0" + s[32:],
        "hex": lambda s: s.hex().encode(),
        "es384-size": lambda s: s + bytes(32),
    }
    for label, change in forms.items():
        yield Case(label, offers(shop.enveloped(signature=change)))


def _other_message(shop: SigningKit) -> Iterator[Case]:
    good, other = shop.enveloped(), shop.enveloped(document=shop.document(version="1.0.1"))
    size = Header.parse(good.head).envelope_bytes
    end = HEADER_BYTES + size
    borrowed = good.head[: end - 64] + other.head[HEADER_BYTES + Header.parse(other.head).envelope_bytes - 64 :][:64]
    yield Case("another-manifest", offers(replace(good, head=borrowed + good.head[end:])))
    yield Case("trust-store-domain", offers(shop.enveloped(domain=b"KS-100 trust store v1")))
    yield Case("no-domain", offers(shop.enveloped(domain=b"")))
    yield Case("next-domain", offers(shop.enveloped(domain=b"KS-100 package v2")))


def _sweep(
    begin: Callable[[Header], int], end: Callable[[Header], int], count: int
) -> Callable[[SigningKit], Iterator[Case]]:
    def cases(shop: SigningKit) -> Iterator[Case]:
        package = shop.package()
        header = Header.parse(package.head)
        first, last = HEADER_BYTES + begin(header), HEADER_BYTES + end(header)
        for index in range(count):
            position = first + (last - first) * index // count
            yield Case(f"byte-{position}-bit-{index % 8}", offers(_flipped(package, position, index % 8)))

    return cases


def _manifest_sweep(shop: SigningKit) -> Iterator[Case]:
    package, manifest = shop.package(), shop.manifest_bytes()
    first = package.head.index(manifest)
    for index in range(_SWEEP):
        position = first + len(manifest) * index // _SWEEP
        yield Case(f"byte-{position - first}-bit-{index % 8}", offers(_flipped(package, position, index % 8)))


def _table_sweep(shop: SigningKit) -> Iterator[Case]:
    package = shop.package()
    header = Header.parse(package.head)
    first = HEADER_BYTES + header.envelope_bytes
    for index in range(16):
        position = first + header.table_bytes * index // 16
        yield Case(f"byte-{position - first}-bit-{index % 8}", offers(_flipped(package, position, index % 8)))
    swapped = package.head[:first] + package.head[first + 32 : first + 64] + package.head[first : first + 32]
    yield Case("two-swapped", offers(replace(package, head=swapped + package.head[first + 64 :])))
    other = shop.fresh_package()
    yield Case(
        "of-another-package", offers(replace(package, head=package.head[:first] + other.head[-header.table_bytes :]))
    )


def _algorithm(shop: SigningKit) -> Iterator[Case]:
    labels: dict[str, object] = {
        "none": None, "hs256": 5, "rs256": -257, "ps256": -37, "eddsa": -8, "es512": -36, "es256k": -47, "zero": 0,
        "text": "ES256", "huge": 1 << 40, "unassigned": -9999,
    }  # fmt: skip
    for label, value in labels.items():
        yield Case(label, offers(shop.enveloped(header=shop.header({1: value}))), reasons(R.ALGORITHM, R.ENVELOPE))
    yield Case("es384-on-p256", offers(shop.enveloped(header=shop.header({1: -35}))))
    yield Case("es256-on-p384", offers(shop.enveloped(header=shop.header({4: shop.good384.key_id}))))


def _unknown(shop: SigningKit) -> Iterator[Case]:
    yield Case("stranger", offers(shop.package(shop.stranger)))
    for index, kid in enumerate(
        (bytes(32), b"\xff" * 32, shop.good.key_id[::-1], shop.good.key_id[:31] + bytes([shop.good.key_id[31] ^ 1]))
    ):
        yield Case(f"invented-{index}", offers(shop.enveloped(header=shop.header({4: kid}))))
    for index, root in enumerate(shop.roots):
        if root.algorithm is Algorithm.ES256:
            yield Case(f"root-{index}", offers(shop.package(root)))


def _wrong_key(shop: SigningKit) -> Iterator[Case]:
    for label, key in {"other-program": shop.other, "narrow": shop.narrow, "expired": shop.expired}.items():
        yield Case(f"{label}-signed-by-good", offers(shop.enveloped(header=shop.header({4: key.key_id}))))
        yield Case(f"good-signed-by-{label}", offers(shop.enveloped(signer=key, header=shop.header())))


def _revoked(shop: SigningKit) -> Iterator[Case]:
    yield Case("now", offers(shop.package(shop.revoked)))
    yield Case("backdated", offers(shop.package(shop.revoked, created_s=1_400_000_000)))
    yield Case("waived", offers(shop.package(shop.revoked, payload=shop.fresh_payload())))


_S, _K = Group.SIGNATURE, Group.KEY
_SIGNATURE = reasons(R.SIGNATURE)
RULES = (
    Rule(
        "algorithm",
        _K,
        "the trust store determines the algorithm, not the package",
        "none, HMAC with a public key, a curve's label on another",
        reasons(R.ALGORITHM),
        _algorithm,
        "CVE-2015-9235 (algorithm confusion)",
    ),
    Rule("unknown-key", _K, "only keys of the trust store count", "anybody signs", reasons(R.UNKNOWN_KEY), _unknown),
    Rule(
        "revoked-key",
        _K,
        "a revoked key signs nothing, whatever its date",
        "a stolen laptop signs on",
        reasons(R.REVOKED_KEY),
        _revoked,
    ),
    Rule(
        "key-id-of-another",
        _K,
        "the claimed key must be the one that signed",
        "the id is believed and the key is not used",
        _SIGNATURE,
        _wrong_key,
    ),
    Rule(
        "signature-arithmetic",
        _S,
        "r and s lie between 1 and n - 1, and verify",
        "zeros verify under every key",
        _SIGNATURE,
        _arithmetic,
        "CVE-2022-21449 (psychic signatures)",
    ),
    Rule(
        "signature-form",
        _S,
        "r and s, fixed length, and nothing else",
        "lenient DER gives one signature many forms",
        _SIGNATURE,
        _form,
        "CVE-2020-13822, CVE-2024-42461 (elliptic)",
    ),
    Rule(
        "other-message",
        _S,
        "a signature is for one manifest in one role",
        "what was signed as something else is run",
        _SIGNATURE,
        _other_message,
    ),
    Rule(
        "signature-bits",
        _S,
        "no bit of the signature is ignored",
        "part of it is not compared",
        _SIGNATURE,
        _sweep(lambda h: h.envelope_bytes - 64, lambda h: h.envelope_bytes, _SWEEP),
    ),
    Rule(
        "manifest-bits",
        _S,
        "no bit of the manifest is outside the signature",
        "a field can be changed after signing",
        _SIGNATURE,
        _manifest_sweep,
    ),
    Rule(
        "table-bits",
        _S,
        "the chunk table is the signed one",
        "chunks of another payload are let in",
        reasons(R.CHUNK_TABLE),
        _table_sweep,
    ),
)
