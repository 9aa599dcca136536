"""The next version of a trust store is one that boards take."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import trust
from firmware_bridge.package.amend import amend
from firmware_bridge.package.reasons import RejectReason as R
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import ProgramKey


def new_key() -> PemSigner:
    return PemSigner(ec.generate_private_key(ec.SECP256R1()))


def test_an_added_key_signs_from_then_on(shop, store, context):
    key = new_key()
    amended = amend(store, signers=shop.roots[:2], created_s=1, add=[ProgramKey(key.public_key_spki, "falcon")])
    assert amended.version == store.version + 1
    assert trust.verify_package(shop.package(key), amended, context).key_id == key.key_id
    with pytest.raises(RejectedError):
        trust.verify_package(shop.package(key), store, context)


def test_a_revoked_key_is_refused_by_name_and_stays_revoked(shop, store, package, context):
    amended = amend(store, signers=shop.roots[:2], created_s=1, revoke={shop.good.key_id: "token lost"})
    with pytest.raises(RejectedError, match="token lost") as refused:
        trust.verify_package(package, amended, context)
    assert refused.value.reason is R.REVOKED_KEY
    again = amend(amended, signers=shop.roots[:2], created_s=2, revoke={shop.good.key_id: "other words"})
    assert again.key(shop.good.key_id).revoked == "token lost"


def test_a_raised_floor_refuses_what_was_good_before(shop, store, package, context):
    amended = amend(store, signers=shop.roots[:2], created_s=1, floors={"falcon": 4})
    with pytest.raises(RejectedError) as refused:
        trust.verify_package(package, amended, context)
    assert refused.value.reason is R.ROLLBACK
    with pytest.raises(InputError, match="never lowered"):
        amend(amended, signers=shop.roots[:2], created_s=2, floors={"falcon": 3})


def test_roots_rotate_with_both_generations_signing(shop, store):
    fresh = [new_key(), new_key()]
    spki = [key.public_key_spki for key in fresh]
    rotated = amend(store, signers=[*shop.roots[:2], *fresh], created_s=1, roots=spki)
    assert {root.spki for root in rotated.roots} == set(spki)
    with pytest.raises(InputError, match="current roots"):
        amend(store, signers=fresh, created_s=1, roots=spki)
    with pytest.raises(InputError, match="its own roots"):
        amend(store, signers=shop.roots[:2], created_s=1, roots=spki)


def test_mistakes_are_named(shop, store):
    with pytest.raises(InputError, match="no key"):
        amend(store, signers=shop.roots[:2], created_s=1, revoke={bytes(32): "x"})
    with pytest.raises(InputError, match="say why"):
        amend(store, signers=shop.roots[:2], created_s=1, revoke={shop.good.key_id: ""})
    with pytest.raises(InputError, match="already"):
        amend(store, signers=shop.roots[:2], created_s=1, add=[ProgramKey(shop.good.public_key_spki, "heron")])
