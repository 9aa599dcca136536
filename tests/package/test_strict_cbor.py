"""Strict CBOR: one encoding for each value; a general decoder is the oracle for what the values are."""

import math

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware_bridge.errors import RejectedError
from firmware_bridge.package import cbor
from firmware_bridge.package.reasons import RejectReason

SCALARS = (
    st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary(max_size=40)
    | st.text(max_size=40)
    | st.booleans()
    | st.none()
)
VALUES = st.recursive(
    SCALARS,
    lambda v: (
        st.lists(v, max_size=4)
        | st.dictionaries(st.text(max_size=30), v, max_size=4)
        | st.dictionaries(st.integers(0, 300), v, max_size=4)
    ),
    max_leaves=12,
)


def depth(value) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(VALUES)
def test_what_is_encoded_decodes_to_itself(value):
    if depth(value) <= cbor.DEPTH_LIMIT:
        found = cbor.decode(cbor.encode(value))
        assert found == value
        assert cbor.encode(found) == cbor.encode(value)


@given(st.binary(max_size=60))
@example(b"\x18\x17")
@example(b"\xf9\x80\x00")
@example(b"\xa2\x01\x00\x01\x00")
def test_what_is_accepted_has_one_encoding_and_means_what_a_general_decoder_says(data):
    try:
        value = cbor.decode(data)
    except RejectedError:
        return
    assert cbor.encode(value) == data
    assert cbor2.loads(data) == value


@given(VALUES)
def test_a_general_encoder_in_canonical_mode_writes_what_is_accepted(value):
    if depth(value) <= cbor.DEPTH_LIMIT:
        assert cbor.decode(cbor2.dumps(value, canonical=True)) == value


@pytest.mark.parametrize(
    "data",
    [
        "", "1817", "190017", "1a00000017", "1b0000000000000017", "5801ff61", "7f6161ff", "5f4161ff", "9f01ff",
        "bf616101ff", "a2616101616102", "a2616201616101", "a16161", "61ff", "c000", "c24101", "d81cf6", "f7", "f0",
        "f818", "fb3ff8000000000000", "fa3fc00000", "f97e00", "f97c00", "f9fc00", "9b7fffffffffffffff",
        "5b7fffffffffffffff", "bb7fffffffffffffff", "3bffffffffffffffff", "a1f500", "a1410100", "a1800000", "a12000",
        "a20100616100", "0000", "1c", "ff", "81" * 20 + "00",
    ],
)  # fmt: skip
def test_an_encoding_outside_the_subset_is_refused(data):
    with pytest.raises(RejectedError) as refused:
        cbor.decode(bytes.fromhex(data))
    assert refused.value.reason is RejectReason.CBOR
    assert "offset" in refused.value.detail


def test_the_deepest_nesting_is_as_stated():
    cbor.decode(b"\x81" * cbor.DEPTH_LIMIT + b"\x00")
    with pytest.raises(RejectedError):
        cbor.decode(b"\x81" * (cbor.DEPTH_LIMIT + 1) + b"\x00")


@pytest.mark.parametrize(
    ("value", "size"), [(1.5, 3), (65504.0, 3), (65505.0, 5), (5.960464477539063e-08, 3), (math.pi, 9), (1e300, 9)]
)
def test_a_float_takes_its_shortest_exact_form(value, size):
    data = cbor.encode(value)
    assert len(data) == size
    assert cbor.decode(data) == value
