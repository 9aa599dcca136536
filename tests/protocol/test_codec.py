"""Messages on the wire: one encoding each, everything else refused."""

from __future__ import annotations

import dataclasses
import math
import struct
import tracemalloc
import typing
from enum import Enum

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.chunk_codec import decode_chunk, encode_chunk
from firmware_bridge.protocol.codec import NUMBERS, decode, encode
from firmware_bridge.protocol.deflate import MAX_CHUNK_BYTES, chunk_data, chunk_message
from firmware_bridge.protocol.ranges import OneOf, Pattern
from firmware_bridge.text import MAX_TEXT, clean_text


def values(hint) -> st.SearchStrategy:
    """Values of a field's type, from its annotation: those that a well-behaved peer sends."""
    if typing.get_origin(hint) is typing.Annotated:
        base, limit = typing.get_args(hint)
        match limit:
            case OneOf():
                return st.sampled_from(limit.allowed)
            case Pattern():
                return st.from_regex(limit.pattern, fullmatch=True)
        numbers = st.integers if base is int else st.floats
        return numbers(limit.minimum, limit.maximum)
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        return st.builds(hint, **{f.name: values(hints[f.name]) for f in dataclasses.fields(hint)})
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=4).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=8).filter(str.isprintable), values(arguments[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from([member for member in hint if member is not m.FaultKind.BUSY])
    return {
        str: st.text(max_size=20).map(clean_text),
        int: st.integers(-(2**63), 2**64 - 1),
        bool: st.booleans(),
        bytes: st.binary(max_size=40),
        float: st.floats(allow_nan=False),
    }[hint]


any_message = st.one_of([values(kind) for kind in NUMBERS])


@settings(max_examples=300)
@given(any_message)
def test_decoding_gives_back_every_message(message):
    assert decode(encode(message)) == message


def test_every_message_has_a_number_of_its_own_and_requests_are_below_64():
    assert set(NUMBERS) == {*m.REQUESTS, *m.ANSWERS}
    assert len(set(NUMBERS.values())) == len(NUMBERS)
    assert all((NUMBERS[kind] < 64) is (kind in m.REQUESTS) for kind in NUMBERS)


def refused_or_strict(data: bytes) -> None:
    """What is accepted is in CBOR's one encoding, and the message that it gives is a message like any other."""
    try:
        message = decode(data)
    except ProtocolError:
        return
    assert cbor2.dumps(cbor2.loads(data)) == data
    assert decode(encode(message)) == message


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_are_a_message_in_strict_cbor(data):
    refused_or_strict(data)


@settings(max_examples=200)
@given(any_message, st.data())
def test_a_damaged_message_is_refused_or_is_another_one_in_strict_cbor(message, data):
    wire = bytearray(encode(message))
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    refused_or_strict(bytes(wire))


@given(
    any_message,
    st.lists(st.one_of(st.integers(0, 9), st.text(max_size=3), st.lists(st.none(), max_size=2)), max_size=3),
)
def test_fields_that_a_newer_peer_adds_at_the_end_are_ignored(message, added):
    assert decode(cbor2.dumps(cbor2.loads(encode(message)) + added)) == message


def test_fields_added_inside_a_value_are_ignored_too():
    slot = ["a", "trial", "net", "1", 3, "00" * 32, "added later"]
    info = [
        "ks100",
        "M1",
        True,
        "9.9",
        "p",
        1,
        0,
        5,
        ["litert", "2.3.0", [], "added"],
        ["npu"],
        [slot],
        "a",
        3,
        "added",
    ]
    message = decode(cbor2.dumps([NUMBERS[m.BoardInfo], *info]))
    assert message.slots[0].digest == "00" * 32
    assert message.package_schema == 3


def test_fields_that_an_older_peer_lacks_take_their_defaults():
    message = decode(cbor2.dumps([NUMBERS[m.Infer], []]))
    assert message == m.Infer({}, "optimised")


def test_an_older_peer_gets_only_the_fields_and_messages_of_its_version():
    info = m.BoardInfo("ks100", "M1", False, "1", "p", 1, 0, 5, RuntimeInfo("litert", "2.3.0", ()), (), (), "a", 7)
    assert len(cbor2.loads(encode(info, 1))) == len(cbor2.loads(encode(info, 2))) - 1
    assert decode(encode(info, 1)) == dataclasses.replace(info, package_schema=1)
    busy = m.Busy(12.0, "alice@bench 3")
    assert cbor2.loads(encode(busy, 1)) == [NUMBERS[m.Fault], "busy", "12 alice@bench 3"]
    assert decode(encode(busy, 1)) == busy


def test_a_fault_of_a_kind_that_only_a_newer_peer_knows_is_still_a_fault():
    assert decode(cbor2.dumps([NUMBERS[m.Fault], "quota", "hot"])) == m.Fault(m.FaultKind.OTHER, "hot")


GOOD = encode(m.GetAudit(5))
INFO = ["ks100", "M1", True, "9.9", "p", 1, 0, 5, ["litert", "2.3.0", []], [], [], ""]


@pytest.mark.parametrize(
    "data",
    {
        "empty": b"",
        "trailing byte": GOOD + b"\0",
        "truncated": GOOD[:-1],
        "not an array": cbor2.dumps(7),
        "a map": cbor2.dumps({1: 2}),
        "no number": cbor2.dumps([]),
        "number is a bool": cbor2.dumps([True]),
        "unknown number": cbor2.dumps([50]),
        "too few fields": cbor2.dumps([NUMBERS[m.Hello], 1]),
        "an added field that is a map": cbor2.dumps([NUMBERS[m.GetAudit], 5, {}]),
        "an added field that is a tag": cbor2.dumps([NUMBERS[m.GetAudit], 5, cbor2.CBORTag(99, 1)]),
        "an added integer that is not minimal": b"\x83\x0c\x05\x18\x05",
        "fault kind is not a text": cbor2.dumps([NUMBERS[m.Fault], 1, "x"]),
        "bool for int": cbor2.dumps([NUMBERS[m.GetAudit], True]),
        "text for int": cbor2.dumps([NUMBERS[m.GetAudit], "5"]),
        "integer beyond 64 bits": cbor2.dumps([NUMBERS[m.GetAudit], 2**70]),
        "integer that is not minimal": b"\x82\x0c\x18\x05",
        "indefinite array": b"\x9f\x0c\x05\xff",
        "nested too deep": b"\x81" * 5000 + b"\x05",
        "byte string longer than the message": b"\x82\x04\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
        "array of 2**63 items": b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff",
        "bad UTF-8": b"\x82\x08\x61\xff",
        "tensor names not sorted": cbor2.dumps([10, [["b", ["int8", [1], b"x"]], ["a", ["int8", [1], b"x"]]], "o"]),
        "tensor name twice": cbor2.dumps([10, [["a", ["int8", [1], b"x"]], ["a", ["int8", [1], b"x"]]], "o"]),
        "floats of a broken length": cbor2.dumps([73, b"1234567", b"", 0.0, 0.0, [], 0, 0, 0]),
        "text beyond its cap": cbor2.dumps([8, "a" * 5000]),
        "a big integer in a tag": b"\x81\xc2\x59\x08\x00" + b"\xff" * 2048,
        "a million empty arrays": b"\x82\x0c\x9a\x00\x0f\x42\x40" + b"\x80" * 1_000_000,
        "a name that cannot be printed": cbor2.dumps([10, [["\x1b[2J", ["int8", [1], b"x"]]], "o"]),
        "a slot that no board has": cbor2.dumps([70, "c"]),
        "a state that no slot has": cbor2.dumps([66, *INFO[:10], [["a", "perfect"]], ""]),
        "a count below zero": cbor2.dumps([71, "a", -1]),
        "a capacity of an exabyte": cbor2.dumps([66, *INFO[:7], 2**60, *INFO[8:]]),
        "a latency that is no number": cbor2.dumps([72, [], float("nan")]),
        "a latency of 1e300": cbor2.dumps([72, [], 1e300]),
        "a power sample that is infinite": cbor2.dumps(
            [73, b"", b"", 0.0, 0.0, [["npu", struct.pack("<d", 0.0), struct.pack("<d", math.inf)]], 0, 0, 0]
        ),
        "a time beyond every calendar": cbor2.dumps([74, [[0, 1e300, "boot", "", ""]]]),
        "a digest that is none": cbor2.dumps([69, "a", "../../etc/passwd"]),
    }.items(),
    ids=lambda item: item[0] if isinstance(item, tuple) else None,
)
def test_refused(data):
    with pytest.raises(ProtocolError):
        decode(data[1])


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J\x1b]52;c;Zm9v\x07", "a\u202eb\u2066", "x\x9b31m", "[/x] [red]", "a\t\n\x00b", "m" * 4096]
)
def test_text_arrives_as_one_clean_line(hostile):
    arrived = decode(cbor2.dumps([NUMBERS[m.Refusal], "program", hostile])).detail
    assert arrived.isprintable()
    assert len(arrived) <= MAX_TEXT
    assert "[/" not in arrived
    assert "[r" not in arrived
    assert clean_text("shape [1, 4]: 3 \u00b5s") == "shape [1, 4]: 3 \u00b5s"


def test_before_the_greeting_a_message_is_small():
    decode(encode(m.Fault(m.FaultKind.USAGE, "\N{GREEK SMALL LETTER MU}" * 4096)), greeted=False)
    with pytest.raises(ProtocolError, match="larger"):
        decode(encode(m.Provision(bytes(64 * 1024))), greeted=False)
    with pytest.raises(ProtocolError, match="items"):
        decode(cbor2.dumps([NUMBERS[m.Hello], 1, "x", *[0] * 100]), greeted=False)


@pytest.mark.parametrize(
    "filler", [b"\x80", b"\x00", b"\x60", b"\x81\x80"], ids=["arrays", "numbers", "texts", "nested"]
)
def test_a_message_of_16_mib_takes_no_more_memory_than_its_bytes(filler):
    count = 16 * 2**20 // len(filler) - 8
    data = b"\x82\x0c\x9a" + count.to_bytes(4, "big") + filler * count
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        decode(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_message_that_cannot_be_encoded_is_named():
    with pytest.raises(ProtocolError, match="Activate"):
        encode(m.Activate("a" * 10_000))
    with pytest.raises(ProtocolError, match="Provision"):
        encode(m.Provision(bytes(17 * 1024 * 1024)))


@given(st.binary(max_size=4000), st.booleans())
def test_chunks_come_back_deflated_or_not(data, compress):
    message = chunk_message(3, data, compress=compress)
    assert chunk_data(message) == data
    assert len(message.data) <= len(data)


def test_a_chunk_that_inflates_to_gigabytes_is_refused_early():
    import zlib

    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = bomb.compress(bytes(50_000_000)) + bomb.flush()
    with pytest.raises(ProtocolError, match=f"more than {MAX_CHUNK_BYTES}"):
        chunk_data(m.Chunk(0, data, deflated=True))


@pytest.mark.parametrize(
    "change", [lambda d: d[:-1], lambda d: d + b"x", lambda d: b"\xff" + d], ids=["cut", "extended", "prefixed"]
)
def test_a_deflated_chunk_that_is_not_one_stream_is_refused(change):
    data = chunk_message(0, bytes(1000), compress=True).data
    with pytest.raises(ProtocolError):
        chunk_data(m.Chunk(0, change(data), deflated=True))


chunks = st.builds(m.Chunk, st.integers(0, 2**64 - 1), st.binary(max_size=300), st.booleans())


@given(chunks)
def test_the_way_without_copies_writes_and_reads_the_same_chunk(chunk):
    wire = encode(chunk)
    assert b"".join(encode_chunk(chunk)) == wire
    assert decode_chunk(memoryview(wire)) == chunk


@settings(max_examples=300)
@given(chunks, st.data())
def test_the_way_without_copies_reads_nothing_that_the_codec_refuses(chunk, data):
    wire = bytearray(encode(chunk))
    at = data.draw(st.integers(0, min(len(wire), 16) - 1))
    wire[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(min_size=1, max_size=2))
    read = decode_chunk(memoryview(bytes(wire)))
    assert read is None or read == decode(bytes(wire))
