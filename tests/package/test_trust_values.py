"""Values that were judged cannot be changed afterwards, nor made by anybody but the rules."""

import dataclasses
import hashlib

import pytest

from firmware_bridge.errors import RejectedError
from firmware_bridge.package import cbor, container, cose, layout, trust
from firmware_bridge.package.container import CONTENT_TYPE, DOMAIN, PackageFile
from firmware_bridge.package.ecdsa import Algorithm, PublicKey
from firmware_bridge.package.reasons import RejectReason as R


@pytest.fixture
def values(shop, store, package, context):
    file = PackageFile.of(package)
    accepted = trust.verify_head(file.head, store, context)
    many = cose.SignMany.parse(store.raw, "application/vnd.ks100.trust+cbor", b"KS-100 trust store v1")
    unsigned = container.prepare(shop.manifest, shop.graph, shop.good.key_id, shop.good.algorithm)
    one = file.envelope_unverified
    verified = trust.verify_payload(accepted, file.body)
    return [file, file.header, accepted, verified, many, one, one.signature, unsigned]


def test_no_attribute_of_a_judged_value_can_be_set(values):
    for value in values:
        for field in dataclasses.fields(value):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(value, field.name, None)


def test_a_value_has_no_room_for_attributes_of_others(values):
    assert not [type(value).__name__ for value in values if hasattr(value, "__dict__")]


def test_what_is_shown_of_a_package_is_short(values):
    for value in values[2:4]:
        assert len(repr(value)) < 2500
        assert "payload=" not in repr(value).replace("payload_", "")
        assert "chunk_digests" not in repr(value)
        assert "graph=" not in repr(value)


def test_nobody_else_makes_a_verified_package(values):
    verified = values[3]
    with pytest.raises(TypeError, match="only firmware_bridge"):
        trust.VerifiedPackage(verified.manifest, verified.key_id, verified.payload, verified.graph, object())
    with pytest.raises(TypeError, match="only firmware_bridge"):
        trust.AcceptedPackage(verified.manifest, verified.key_id, (), None)


def test_a_payload_that_its_owner_could_change_is_not_verified(values):
    accepted, verified = values[2:4]
    with pytest.raises(TypeError, match="a payload is bytes"):
        trust.verify_payload(accepted, bytearray(verified.payload))


def test_the_layout_is_the_published_one(package):
    assert (layout.HEADER_BYTES, layout.ENVELOPE_LIMIT_BYTES, layout.DIGEST_BYTES) == (24, 16384, 32)
    assert bytes.fromhex("894b534d0d0a1a0a") == layout.MAGIC
    assert (CONTENT_TYPE, DOMAIN) == ("application/vnd.ks100.manifest+cbor", b"KS-100 package v1")
    assert package[8:12] == bytes([0, 0, 0, 1])


@pytest.mark.parametrize(("size", "chunks"), [(1, 1), (16383, 1), (16384, 1), (16385, 2), (32768, 2), (32769, 3)])
def test_a_payload_has_as_many_chunks_as_it_fills_or_begins(size, chunks):
    assert layout.chunk_count(size) == chunks
    assert len(layout.chunk_table(bytes(size))) == 32 * chunks


def header(envelope, payload, table=None):
    table = 32 * layout.chunk_count(payload) if table is None else table
    return layout.MAGIC + b"".join(n.to_bytes(4, "big") for n in (1, envelope, table, payload))


@pytest.mark.parametrize(("envelope", "payload"), [(1, 1), (16384, 1), (700, 1), (700, 512 << 20)])
def test_a_length_at_its_cap_is_allowed(envelope, payload):
    parsed = layout.Header.parse(header(envelope, payload))
    assert (parsed.envelope_bytes, parsed.payload_bytes) == (envelope, payload)
    assert parsed.to_bytes() == header(envelope, payload)


@pytest.mark.parametrize(
    ("envelope", "payload", "table"),
    [(0, 1, 32), (16385, 1, 32), (1 << 31, 1, 32), (700, 0, 0), (700, 0, 32), (700, (512 << 20) + 1, None),
     (700, 1, 0), (700, 1, 31), (700, 1, 33), (700, 16385, 32), (700, 16384, 64)],
)  # fmt: skip
def test_a_length_beyond_its_cap_is_refused(envelope, payload, table):
    with pytest.raises(RejectedError) as refused:
        layout.Header.parse(header(envelope, payload, table))
    assert refused.value.reason is R.LENGTH


def test_a_signature_is_by_no_key_of_another_id_or_algorithm(shop, package):
    signature, key = PackageFile.of(package).envelope_unverified.signature, PublicKey(shop.good.public_key_spki)
    assert cose.signed_by(signature, key)
    for other in (bytes(32), b"\xff" * 32):
        assert not cose.signed_by(dataclasses.replace(signature, key_id=other), key)
    assert not cose.signed_by(dataclasses.replace(signature, algorithm=Algorithm.ES384), key)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_id_of_another_length_breaks_the_envelope(size):
    protected = cose.protected_sign1(Algorithm.ES256, bytes(size), CONTENT_TYPE)
    with pytest.raises(RejectedError) as refused:
        cose.Sign1.parse(b"\xd2" + cbor.encode([protected, {}, b"m", bytes(64)]), CONTENT_TYPE, DOMAIN)
    assert refused.value.reason is R.ENVELOPE


@pytest.mark.parametrize("size", [1, 4, 5, 7])
def test_a_package_of_few_bytes_is_read_whole_and_a_byte_behind_it_noticed(shop, tmp_path, size):
    data = container.build(shop.manifest, bytes(size), shop.good)
    (tmp_path / "p.ksm").write_bytes(data)
    assert PackageFile.open(tmp_path / "p.ksm").body == bytes(size)
    (tmp_path / "p.ksm").write_bytes(data + b"\0")
    with pytest.raises(RejectedError) as refused:
        PackageFile.open(tmp_path / "p.ksm")
    assert refused.value.reason is R.TRAILING


@pytest.mark.parametrize("length", range(1, 33))
def test_the_envelope_is_found_whatever_its_length(shop, length):
    manifest = dataclasses.replace(shop.manifest, model="m" * length)
    file = PackageFile.of(container.build(manifest, b"x", shop.good))
    assert file.manifest_unverified.model == manifest.model


def test_a_package_is_named_by_the_digest_of_all_of_it(package):
    assert PackageFile.of(package).digest == hashlib.sha256(package).hexdigest()


@pytest.mark.parametrize("index", [-2, -1, 1, 2])
def test_there_is_no_chunk_outside_a_package(package, index):
    with pytest.raises(IndexError):
        PackageFile.of(package).chunk(index)


def test_a_written_package_may_be_read_by_everybody_and_changed_by_its_owner(tmp_path):
    container.write_atomically(tmp_path / "new" / "folder" / "p", b"data")
    assert (tmp_path / "new" / "folder" / "p").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["p"]
    container.write_atomically(tmp_path / "new" / "folder" / "p", b"other")
    assert (tmp_path / "new" / "folder" / "p").read_bytes() == b"other"
