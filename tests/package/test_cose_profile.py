"""The COSE profile: only envelopes of exactly the stated form exist, whatever their signatures say."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cbor, cose
from firmware_bridge.package.reasons import RejectReason as R
from firmware_bridge.package.signing import PemSigner

TYPE, DOMAIN, KID = "application/x", b"domain", bytes(32)
HEADER = cbor.encode({1: -7, 3: TYPE, 4: KID})
BODY = cbor.encode({3: TYPE})
ONE = [cbor.encode({1: -7, 4: KID}), {}, bytes(64)]


class LyingSigner:
    """A signer whose signatures are not its own: a broken token, or a wrong key in the right slot."""

    def __init__(self) -> None:
        self._shown, self._used = (PemSigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
        self.key_id, self.algorithm = self._shown.key_id, self._shown.algorithm
        self.public_key_spki = self._shown.public_key_spki

    def sign(self, message: bytes) -> bytes:
        return self._used.sign(message)


def new_keys(count: int) -> list[PemSigner]:
    return [PemSigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(count)]


@pytest.mark.parametrize(
    "items",
    [
        7,
        {},
        [],
        [HEADER, {}, b"p"],
        [HEADER, {}, b"p", b"s", b"more"],
        ["text", {}, b"p", b"s"],
        [HEADER, {}, None, b"s"],
        [HEADER, {}, "p", b"s"],
        [HEADER, {4: KID}, b"p", b"s"],
        [HEADER, [], b"p", b"s"],
        [HEADER, {}, b"p", "s"],
        [HEADER, {}, b"p", [b"s"]],
        [cbor.encode([1, 3, 4]), {}, b"p", b"s"],
        [cbor.encode({1: -7, 3: TYPE}), {}, b"p", b"s"],
        [cbor.encode({1: -7, 3: TYPE.encode(), 4: KID}), {}, b"p", b"s"],
        [cbor.encode({1: -7, 3: TYPE, 4: "k" * 32}), {}, b"p", b"s"],
        [cbor.encode({1: -7, 3: TYPE, 4: bytes(31)}), {}, b"p", b"s"],
    ],
    ids=str,
)
def test_a_sign1_of_another_form_is_refused(items):
    with pytest.raises(RejectedError) as refused:
        cose.Sign1.parse(b"\xd2" + cbor.encode(items), TYPE, DOMAIN)
    assert refused.value.reason is R.ENVELOPE


@pytest.mark.parametrize(
    "items",
    [
        7,
        [BODY, {}, b"p"],
        [BODY, {}, b"p", [ONE], 1],
        [BODY, {}, b"p", []],
        [BODY, {}, b"p", {}],
        [BODY, {}, b"p", b"s"],
        [BODY, {}, b"p", [7]],
        [BODY, {}, b"p", [ONE[:2]]],
        [BODY, {}, b"p", [[*ONE, 1]]],
        [BODY, {}, b"p", [["text", {}, bytes(64)]]],
        [BODY, {}, b"p", [[ONE[0], {1: -7}, bytes(64)]]],
        [BODY, {}, b"p", [[ONE[0], {}, "s"]]],
        [BODY, {}, b"p", [[HEADER, {}, bytes(64)]]],
        [BODY, {}, b"p", [ONE, ONE]],
        [HEADER, {}, b"p", [ONE]],
        [cbor.encode({3: "text/plain"}), {}, b"p", [ONE]],
        [BODY, {}, b"p", [[cbor.encode({1: -7, 4: bytes([n]) * 32}), {}, b""] for n in range(17)]],
        [BODY, {}, b"p", [[cbor.encode({1: -7, 4: bytes([n]) * 32}), {}, b""] for n in (2, 1)]],
    ],
    ids=lambda items: str(items)[:60],
)
def test_a_sign_of_another_form_is_refused(items):
    with pytest.raises(RejectedError) as refused:
        cose.SignMany.parse(b"\xd8\x62" + cbor.encode(items), TYPE, DOMAIN)
    assert refused.value.reason is R.ENVELOPE


def test_an_algorithm_is_an_integer_and_not_a_float_that_equals_it():
    header = b"\xa3\x01" + cbor.encode(-7.0) + HEADER[3:]
    with pytest.raises(RejectedError) as refused:
        cose.Sign1.parse(b"\xd2" + cbor.encode([header, {}, b"p", b"s"]), TYPE, DOMAIN)
    assert refused.value.reason is R.ALGORITHM


def test_sixteen_keys_may_sign_and_seventeen_or_one_twice_may_not():
    keys = new_keys(17)
    parsed = cose.SignMany.parse(cose.sign_many(b"p", keys[:16], TYPE, DOMAIN), TYPE, DOMAIN)
    assert len(parsed.signatures) == 16
    assert len(cose.SignMany.parse(cose.sign_many(b"p", keys[:1], TYPE, DOMAIN), TYPE, DOMAIN).signatures) == 1
    for wrong in ([], keys, [keys[0], keys[0]]):
        with pytest.raises(InputError, match="distinct keys"):
            cose.sign_many(b"p", wrong, TYPE, DOMAIN)


def test_nothing_that_does_not_verify_leaves_a_signer():
    with pytest.raises(InputError, match="does not verify"):
        cose.sign_many(b"p", [LyingSigner()], TYPE, DOMAIN)


def test_a_package_of_a_lying_signer_is_never_built(shop):
    from firmware_bridge.package import container

    with pytest.raises(InputError, match="does not verify"):
        container.build(shop.manifest, shop.graph, LyingSigner())
