"""Whatever is changed in, or cut from, a signed package: it is refused, and for the expected reason."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.errors import RejectedError
from firmware_bridge.package import container, trust
from firmware_bridge.package.reasons import RejectReason as R


def regions(package: bytes) -> list[tuple[str, int, set[R]]]:
    """Lay out a package by hand, from docs/package-format.md: (what, its length, how a flip in it is refused)."""
    envelope = int.from_bytes(package[12:16], "big")
    table = int.from_bytes(package[16:20], "big")
    protected = package[27]
    kid, content_type = 32, 35
    assert package[24:27] == b"\xd2\x84\x58"
    assert protected == 1 + 2 + 2 + 1 + content_type + 1 + 2 + kid
    signature = 64
    payload = envelope - 2 - 2 - protected - 1 - 3 - 2 - signature
    return [
        ("magic and version", 12, {R.FRAME}),
        ("length of the envelope", 4, {R.LENGTH, R.TRAILING}),
        ("length of the table", 4, {R.LENGTH}),
        ("length of the payload", 4, {R.LENGTH}),
        ("tag", 1, {R.ENVELOPE}),
        ("array and head of the protected header", 3, {R.CBOR, R.ENVELOPE}),
        ("map head and label alg", 2, {R.CBOR, R.ENVELOPE}),
        ("alg", 1, {R.CBOR, R.ALGORITHM}),
        ("label and head of the content type", 3, {R.CBOR, R.ENVELOPE}),
        ("content type", content_type, {R.CBOR, R.ENVELOPE}),
        ("label and head of the key id", 3, {R.CBOR, R.ENVELOPE}),
        ("key id", kid, {R.UNKNOWN_KEY}),
        ("unprotected header and head of the manifest", 4, {R.CBOR, R.ENVELOPE}),
        ("manifest", payload, {R.SIGNATURE}),
        ("head of the signature", 2, {R.CBOR, R.ENVELOPE}),
        ("signature", signature, {R.SIGNATURE}),
        ("chunk table", table, {R.CHUNK_TABLE}),
    ]


def refusal(data, store, context) -> R | None:
    try:
        trust.verify_head(data, store, context)
    except RejectedError as error:
        return error.reason
    return None


def test_every_single_bit_flip_of_a_signed_head_is_refused_for_the_reason_of_its_place(package, store, context):
    head = package[: container.head_length(package)]
    layout = regions(package)
    assert sum(size for _, size, _ in layout) == len(head)
    places = [(what, expected) for what, size, expected in layout for _ in range(size)]
    wrong = []
    for offset, bit in itertools.product(range(len(head)), range(8)):
        mutant = bytearray(head)
        mutant[offset] ^= 1 << bit
        what, expected = places[offset]
        found = refusal(bytes(mutant), store, context)
        if found not in expected:
            wrong.append((what, offset, bit, found))
    assert not wrong


def test_every_truncation_of_a_package_is_refused_as_cut(package, store, context):
    for size in range(len(package)):
        with pytest.raises(RejectedError) as refused:
            trust.verify_package(package[:size], store, context)
        assert refused.value.reason is (R.FRAME if size < 24 else R.LENGTH), size


def test_every_single_bit_flip_of_the_payload_is_refused_as_its_chunk(package, store, context):
    head = container.head_length(package)
    for offset, bit in itertools.product(range(head, len(package), 7), range(8)):
        mutant = bytearray(package)
        mutant[offset] ^= 1 << bit
        with pytest.raises(RejectedError) as refused:
            trust.verify_package(bytes(mutant), store, context)
        assert refused.value.reason is R.CHUNK


def test_a_forgery_is_refused_from_header_and_envelope_alone(shop, store, context):
    head = shop.package(shop.stranger)[: container.head_length(shop.package(shop.stranger))]
    with pytest.raises(RejectedError) as refused:
        trust.verify_envelope(head[:-32], store, context)
    assert refused.value.reason is R.UNKNOWN_KEY
    assert len(head) < 2048
    with pytest.raises(RejectedError) as refused:
        trust.verify_envelope(head[:-33], store, context)
    assert refused.value.reason is R.LENGTH


@settings(max_examples=300)
@given(data=st.data())
def test_bytes_from_anywhere_are_refused_and_never_crash(package, store, context, data):
    start = data.draw(st.integers(0, len(package) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=200))
    mutant = package[:start] + junk + package[start + data.draw(st.integers(0, 200)) :]
    if mutant != package:
        with pytest.raises(RejectedError):
            trust.verify_package(mutant, store, context)


@settings(max_examples=200)
@given(manifest=st.binary(max_size=300))
def test_a_manifest_of_any_bytes_is_refused_even_when_it_is_signed(shop, store, context, manifest):
    with pytest.raises(RejectedError) as refused:
        trust.verify_package(shop.raw(manifest=manifest), store, context)
    assert refused.value.reason in {R.CBOR, R.SCHEMA}


@settings(max_examples=400)
@given(data=st.data())
def test_a_graph_of_any_bytes_is_refused_or_is_the_declared_one_even_when_it_is_signed(shop, data):
    graph = bytearray(shop.graph)
    for _ in range(data.draw(st.integers(1, 4))):
        graph[data.draw(st.integers(0, len(graph) - 1))] = data.draw(st.integers(0, 255))
    try:
        trust.check_graph(shop.manifest, bytes(graph))
    except RejectedError as error:
        assert error.reason is R.GRAPH  # noqa: PT017 - a change may also leave the graph as it was declared
