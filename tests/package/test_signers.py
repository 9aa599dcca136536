"""Private keys in files, bare signatures, detached signing."""

import os
import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from firmware_bridge.errors import InputError
from firmware_bridge.package import container, trust
from firmware_bridge.package.ecdsa import Algorithm, PublicKey, SignatureEncoding, from_der, to_der, verify_raw
from firmware_bridge.package.signing import PemSigner


@pytest.fixture(scope="module", params=list(Algorithm), ids=lambda a: a.name)
def signer(request):
    return PemSigner(ec.generate_private_key(request.param.curve))


def test_a_key_is_created_private_encrypted_and_never_overwritten(tmp_path):
    old = os.umask(0)
    try:
        made = PemSigner.generate(tmp_path / "keys" / "program.pem", "correct horse", Algorithm.ES384)
    finally:
        os.umask(old)
    path = tmp_path / "keys" / "program.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in path.read_bytes()
    assert PublicKey.from_pem(path.with_name("program.pem.pub").read_bytes()).key_id == made.key_id
    assert PemSigner.load(path, "correct horse").key_id == made.key_id
    before = path.read_bytes()
    with pytest.raises(InputError, match="never overwritten"):
        PemSigner.generate(path, "other")
    assert path.read_bytes() == before


def test_a_key_that_others_may_read_is_not_used(tmp_path):
    path = tmp_path / "k.pem"
    PemSigner.generate(path, "pw")
    path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        PemSigner.load(path, "pw")


def test_what_is_no_usable_key_is_one_line_that_says_so(tmp_path):
    path = tmp_path / "k.pem"
    PemSigner.generate(path, "pw")
    with pytest.raises(InputError, match="passphrase"):
        PemSigner.load(path, "wrong")
    with pytest.raises(InputError, match="No such file"):
        PemSigner.load(tmp_path / "none.pem", "pw")
    with pytest.raises(InputError, match="only ever stored encrypted"):
        PemSigner.generate(tmp_path / "plain.pem", "")
    assert not (tmp_path / "plain.pem").exists()
    key = ed25519.Ed25519PrivateKey.generate()
    formats = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    path.write_bytes(key.private_bytes(*formats, serialization.NoEncryption()))
    with pytest.raises(InputError, match="not an encrypted key"):
        PemSigner.load(path, "pw")
    path.write_bytes(key.private_bytes(*formats, serialization.BestAvailableEncryption(b"pw")))
    with pytest.raises(InputError, match="P-256 or P-384"):
        PemSigner.load(path, "pw")


def test_a_private_key_shows_itself_nowhere(signer):
    assert "PRIVATE" not in repr(signer)
    with pytest.raises(AttributeError):
        signer.private_bytes()


def test_a_signature_has_its_fixed_width_and_verifies_in_both_encodings(signer):
    for count in range(40):
        message = count.to_bytes(4, "big")
        signature = signer.sign(message)
        assert len(signature) == 2 * signer.algorithm.size
        assert from_der(to_der(signature), signer.algorithm) == signature
        assert verify_raw(signer.public_key_spki, message, signature, SignatureEncoding.P1363)
        assert verify_raw(signer.public_key_spki, message, to_der(signature), SignatureEncoding.DER)
        assert not verify_raw(signer.public_key_spki, message + b"\0", signature, SignatureEncoding.P1363)


def test_both_values_of_s_verify_so_nothing_may_be_named_by_a_signature(signer):
    signature = signer.sign(b"m")
    size, order = signer.algorithm.size, signer.algorithm.order
    other = signature[:size] + (order - int.from_bytes(signature[size:], "big")).to_bytes(size, "big")
    assert verify_raw(signer.public_key_spki, b"m", other, SignatureEncoding.P1363)


def test_a_malformed_signature_is_just_not_valid(signer):
    good = signer.sign(b"m")
    size, order = signer.algorithm.size, signer.algorithm.order
    r, s = good[:size], good[size:]
    n, zero = order.to_bytes(size, "big"), bytes(size)
    for bad in (b"", r, zero + zero, zero + s, r + zero, n + s, r + n, good + b"\0", b"\0" + good, to_der(good)):
        assert not verify_raw(signer.public_key_spki, b"m", bad, SignatureEncoding.P1363)
    der = to_der(good)
    for bad in (b"", good, der + b"\0", der[:-1], b"\x30\x80" + der[2:] + b"\0\0", b"\x30\x06\x02\x01\0\x02\x01\0"):
        assert not verify_raw(signer.public_key_spki, b"m", bad, SignatureEncoding.DER)


def test_a_key_has_one_encoding(signer):
    key = PublicKey(signer.public_key_spki)
    assert PublicKey.from_pem(key.to_pem()).spki == key.spki
    loaded = serialization.load_der_public_key(key.spki)
    compressed = loaded.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    for other in (key.spki + b"\0", key.spki[:-1], compressed, b""):
        with pytest.raises(InputError):
            PublicKey(other)


def test_keys_of_other_kinds_are_refused():
    formats = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    for private in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256K1())):
        with pytest.raises(InputError, match="P-256 or P-384"):
            PublicKey(private.public_key().public_bytes(*formats))


def test_a_package_can_be_signed_elsewhere_from_its_digest(shop, store, context):
    """An offline signer gets a digest, and gives back r || s; the result is a package like any other."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

    unsigned = container.prepare(shop.manifest, shop.graph, shop.good.key_id, shop.good.algorithm)
    der = shop.good._key.sign(unsigned.digest, ec.ECDSA(Prehashed(hashes.SHA256())))
    package = unsigned.attach(from_der(der, Algorithm.ES256), shop.good.public_key_spki)
    assert trust.verify_package(package, store, context).manifest == unsigned.manifest
    with pytest.raises(InputError, match="does not verify"):
        unsigned.attach(shop.good.sign(b"other bytes"), shop.good.public_key_spki)
