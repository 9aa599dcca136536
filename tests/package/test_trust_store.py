"""Which trust stores a board takes: the names are attacks, and the promises they must not break."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cbor, cose
from firmware_bridge.package import trust_store as stores
from firmware_bridge.package.reasons import RejectReason as R
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust import accept_store
from firmware_bridge.package.trust_store import ProgramKey, TrustStore


def new_key() -> PemSigner:
    return PemSigner(ec.generate_private_key(ec.SECP256R1()))


def refused(current, data) -> R:
    with pytest.raises(RejectedError) as error:
        accept_store(current, data)
    return error.value.reason


def document(store: TrustStore) -> dict:
    return cbor.decode(cose.SignMany.parse(store.raw, stores.CONTENT_TYPE, stores.DOMAIN).payload)


def signed(document, signers) -> bytes:
    return cose.sign_many(cbor.encode(document), signers, stores.CONTENT_TYPE, stores.DOMAIN)


def test_a_factory_new_board_takes_a_store_that_enough_of_its_own_roots_signed(store):
    assert accept_store(None, store.raw) == store


def test_the_same_store_again_is_taken_without_effect(store):
    assert accept_store(store, store.raw) is not None


def test_an_update_needs_the_current_roots_and_a_higher_version(shop, store):
    newer = shop.store(2)
    assert accept_store(store, newer.raw).version == 2
    assert refused(newer, store.raw) is R.TRUST_VERSION
    same_version = shop.store(1, created_s=5)
    assert refused(store, same_version.raw) is R.TRUST_VERSION


def test_a_store_signed_only_by_roots_of_its_own_does_not_replace_another(shop, store):
    strangers = [new_key(), new_key()]
    hostile = shop.store(9, roots=[s.public_key_spki for s in strangers], signers=strangers)
    assert accept_store(None, hostile.raw).version == 9
    assert refused(store, hostile.raw) is R.TRUST_SIGNATURES


def test_one_stolen_root_is_not_enough(shop, store):
    stranger = new_key()
    hostile = shop.store(
        9, roots=[stranger.public_key_spki, shop.roots[0].public_key_spki], signers=[stranger, shop.roots[0]]
    )
    assert refused(store, hostile.raw) is R.TRUST_SIGNATURES


def test_roots_rotate_when_old_and_new_roots_sign(shop, store):
    fresh = [new_key(), new_key()]
    spki = [s.public_key_spki for s in fresh]
    rotated = shop.store(2, roots=spki, signers=[*fresh, *shop.roots[:2]])
    current = accept_store(store, rotated.raw)
    assert refused(current, shop.store(3).raw) is R.TRUST_SIGNATURES
    assert accept_store(current, shop.store(3, roots=spki, signers=fresh).raw).version == 3


def test_one_root_that_signs_twice_counts_once(shop, store):
    body, empty, payload, signatures = cbor.decode(store.raw[2:])
    twice = b"\xd8\x62" + cbor.encode([body, empty, payload, [signatures[0], signatures[0]]])
    assert refused(None, twice) is R.ENVELOPE
    once = b"\xd8\x62" + cbor.encode([body, empty, payload, signatures[:1]])
    assert refused(None, once) is R.TRUST_SIGNATURES


def test_one_root_that_is_listed_twice_is_refused(shop, store):
    changed = document(store)
    changed["roots"] = [changed["roots"][0]] * 2
    assert refused(None, signed(changed, shop.roots[:2])) is R.SCHEMA


def test_one_root_in_two_encodings_is_refused(shop, store):
    """The compressed point would give the same key a second id, and so a second vote."""
    key = shop.roots[0]
    spki = bytearray(key.public_key_spki)
    point = spki[-65:]
    compressed = bytes([2 + (point[-1] & 1)]) + bytes(point[1:33])
    short = b"\x30\x39" + bytes(spki[2:23]) + b"\x03\x22\x00" + compressed
    changed = document(store)
    changed["roots"] = sorted([key.public_key_spki, short])
    assert refused(None, signed(changed, shop.roots[:2])) is R.SCHEMA


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 1},
        {"threshold": 4},
        {"version": 0},
        {"schema": 2},
        {"program": "a/b"},
        {"keys": [7]},
        {"roots": [b"\x30\x00", b"\x30\x01"]},
        {"floors": [["falcon", -1]]},
        {"floors": [["falcon", 1], ["falcon", 2]]},
        {"surprise": 1},
    ],
    ids=str,
)
def test_a_store_that_breaks_the_schema_is_refused_though_it_is_signed(shop, store, changes):
    assert refused(None, signed({**document(store), **changes}, shop.roots[:2])) is R.SCHEMA


def test_a_root_key_cannot_be_a_program_key(shop):
    with pytest.raises(InputError, match="also a program key"):
        shop.store(keys=[ProgramKey(shop.roots[0].public_key_spki, "falcon")])


def test_a_key_off_the_curve_is_refused(shop, store):
    changed = document(store)
    spki = bytearray(changed["roots"][0])
    spki[-1] ^= 1
    changed["roots"] = [bytes(spki), changed["roots"][1]]
    assert refused(None, signed(changed, shop.roots[:2])) is R.SCHEMA


def test_a_board_keeps_its_program(shop, store):
    assert refused(store, shop.store(2, program="heron").raw) is R.PROGRAM


def test_a_store_is_not_a_package_and_a_package_not_a_store(shop, package, store):
    assert refused(None, package) is R.ENVELOPE
    other_domain = cose.sign_many(
        cbor.encode(document(store)), shop.roots[:2], stores.CONTENT_TYPE, b"KS-100 package v1"
    )
    assert refused(None, other_domain) is R.TRUST_SIGNATURES


def test_every_single_bit_flip_of_a_store_is_refused(store):
    for offset in range(len(store.raw)):
        mutant = bytearray(store.raw)
        mutant[offset] ^= 1 << (offset % 8)
        with pytest.raises(RejectedError):
            TrustStore.decode(bytes(mutant))


def test_every_truncation_of_a_store_is_refused(store):
    for size in range(len(store.raw)):
        with pytest.raises(RejectedError):
            TrustStore.decode(store.raw[:size])


def test_an_oversized_store_is_refused_before_it_is_read():
    assert refused(None, bytes(1 << 20)) is R.LENGTH


def test_the_floor_of_the_store_counts_for_its_program_only(store):
    assert (store.floor("falcon"), store.floor("heron")) == (2, 0)


def test_a_revoked_key_stays_in_the_store_so_that_its_packages_are_refused_by_name(shop, store):
    assert store.key(shop.revoked.key_id).revoked == "laptop lost"
    assert replace(store.key(shop.good.key_id)).algorithm is shop.good.algorithm
