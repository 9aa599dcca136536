"""Manifest and container: round trips, and files."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import files
from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cbor, container
from firmware_bridge.package import manifest as manifests
from firmware_bridge.package.container import Header, PackageFile, chunk_table, head_length
from firmware_bridge.package.manifest import CHUNK_BYTES, Evidence, Manifest, TensorSpec
from firmware_bridge.package.reasons import RejectReason

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,20}", fullmatch=True)
U64 = st.integers(0, (1 << 64) - 1)
DIGESTS = st.binary(min_size=32, max_size=32)
TENSORS = st.builds(
    TensorSpec,
    name=st.from_regex(r"[ -~]{1,20}", fullmatch=True),
    dtype=st.sampled_from(["int8", "int16", "float32"]),
    shape=st.lists(st.integers(1, 1 << 20), max_size=8).map(tuple),
    scale=st.floats(0, 1e6, width=32).map(abs),
    zero_point=st.integers(-(1 << 31), (1 << 31) - 1),
)
TENSOR_LISTS = st.lists(TENSORS, min_size=1, max_size=4, unique_by=lambda t: t.name).map(tuple)
MANIFESTS = st.builds(
    Manifest,
    package_id=st.binary(min_size=16, max_size=16),
    program=NAMES,
    model=NAMES,
    version=NAMES,
    boards=st.sets(NAMES, min_size=1, max_size=3).map(lambda s: tuple(sorted(s))),
    runtimes=st.dictionaries(NAMES, st.just("2.3.1"), min_size=1, max_size=2).map(lambda d: tuple(sorted(d.items()))),
    ops=st.sets(st.sampled_from(["ADD:INT8", "CONV_2D:INT16", "CUSTOM(x y):INT8"]), min_size=1).map(
        lambda s: tuple(sorted(s))
    ),
    security_version=U64,
    inputs=TENSOR_LISTS,
    outputs=TENSOR_LISTS,
    npu_ops=st.integers(0, 1000),
    evidence=st.builds(Evidence, DIGESTS, DIGESTS, DIGESTS, DIGESTS, st.sampled_from(sorted(manifests.VERDICTS))),
    created_s=U64,
    payload_bytes=st.integers(1, 1 << 20),
    payload_sha256=DIGESTS,
    table_sha256=DIGESTS,
)


@given(MANIFESTS)
def test_a_manifest_survives_its_encoding(manifest):
    data = manifests.encode(manifest)
    assert manifests.decode(data) == manifest
    assert manifests.encode(manifests.decode(data)) == data


@given(st.data())
def test_a_manifest_that_lacks_any_field_is_refused_by_that_fields_name(shop, data):
    document = shop.document()
    key = data.draw(st.sampled_from(sorted(document)))
    with pytest.raises(RejectedError, match=f"lacks '{key}'") as refused:
        manifests.decode(cbor.encode({k: v for k, v in document.items() if k != key}))
    assert refused.value.reason is RejectReason.SCHEMA


@given(st.data())
def test_a_field_of_another_type_is_refused(shop, data):
    document = shop.document()
    key = data.draw(st.sampled_from(sorted(document)))
    wrong = data.draw(st.sampled_from([-1, 1.5, b"\xff", "\n", True, [None], {"x": 1}]))
    with pytest.raises(RejectedError) as refused:
        manifests.decode(cbor.encode({**document, key: wrong}))
    assert refused.value.reason is RejectReason.SCHEMA


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "../up"},
        {"model": ""},
        {"program": "a b"},
        {"version": "1\n"},
        {"boards": ()},
        {"boards": ("b", "a")},
        {"runtimes": ()},
        {"runtimes": (("litert", "two"),)},
        {"runtimes": (("litert", "1"), ("litert", "2"))},
        {"ops": ("ADD",)},
        {"ops": ("RELU:INT8", "ADD:INT8")},
        {"security_version": -1},
        {"security_version": 1 << 64},
        {"inputs": ()},
        {"package_id": b"short"},
        {"not_before_s": 2, "not_after_s": 1},
        {"evidence": Evidence(verdict="maybe")},
        {"evidence": Evidence(gate=b"1")},
        {"custody": "x" * 257},
    ],
    ids=str,
)
def test_a_signer_is_told_which_field_no_board_would_read(shop, changes):
    with pytest.raises(InputError) as error:
        container.build(replace(shop.manifest, **changes), shop.graph, shop.good)
    assert "\n" not in str(error.value)


@given(st.integers(1, 3 * CHUNK_BYTES))
def test_chunks_and_table_cover_the_payload_exactly(size):
    payload = bytes(size)
    assert len(chunk_table(payload)) == 32 * -(-size // CHUNK_BYTES)
    header = Header(100, len(chunk_table(payload)), size)
    assert Header.parse(header.to_bytes()) == header


@given(st.binary(max_size=40))
def test_any_first_bytes_are_refused_or_give_lengths_within_the_caps(data):
    try:
        header = Header.parse(data)
    except RejectedError:
        return
    assert header.head_bytes <= 24 + 16384 + (1 << 20)


def test_a_written_package_reads_back_chunk_by_chunk(shop, tmp_path):
    payload = bytes(range(256)) * 130
    written = container.write(tmp_path / "out" / "p.ksm", shop.manifest, payload, shop.good)
    package = PackageFile.open(tmp_path / "out" / "p.ksm")
    assert package == written
    assert package.payload() == payload == b"".join(package.chunk(i) for i in range(package.chunk_count))
    assert len(package.head) == head_length(package.data[:24])
    assert package.manifest_unverified.payload_bytes == len(payload)
    assert package.envelope_unverified.signature.key_id == shop.good.key_id
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["p.ksm"]
    with pytest.raises(IndexError):
        package.chunk(3)


def test_a_write_that_fails_leaves_the_old_package(shop, tmp_path, monkeypatch):
    path = tmp_path / "p.ksm"
    path.write_bytes(b"old")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(InputError, match="No space left"):
        container.write(path, shop.manifest, shop.graph, shop.good)
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["p.ksm"]


def test_a_missing_file_is_the_users_mistake_and_a_broken_one_is_refused(shop, package, tmp_path):
    with pytest.raises(InputError, match="No such file"):
        PackageFile.open(tmp_path / "none.ksm")
    with pytest.raises(InputError, match="directory"):
        PackageFile.open(tmp_path)
    for data, reason in (
        (b"", RejectReason.FRAME),
        (package[:-1], RejectReason.LENGTH),
        (package + b"PK\x05\x06", RejectReason.TRAILING),
    ):
        (tmp_path / "p.ksm").write_bytes(data)
        with pytest.raises(RejectedError) as refused:
            PackageFile.open(tmp_path / "p.ksm")
        assert refused.value.reason is reason


def test_payloads_outside_the_limits_are_not_packed(shop):
    with pytest.raises(InputError, match="0 bytes"):
        container.build(shop.manifest, b"", shop.good)
