"""Messages as CBOR: ``[number of the message, field, field, ...]``, fields in the order of the dataclass.

The wire form of a field follows from its type; the table `NUMBERS` and the dataclasses of
`firmware_bridge.protocol.messages` are the whole schema. Values inside messages are arrays too, a ``dict`` is an
array of [name, value] pairs in ascending order of the names, and floats in a row are one byte string of IEEE 754
doubles, little-endian. So there is no map, and exactly one encoding of each message; every other is refused.

Round-trip law: ``decode(encode(m)) == m`` for every message, and ``encode(decode(b)) == b`` for every accepted ``b``.
"""

from __future__ import annotations

import dataclasses
import struct
import types
import typing
from collections.abc import Callable

import cbor2

from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol import messages
from firmware_bridge.protocol.messages import Message

__all__ = ["MAX_MESSAGE_BYTES", "MAX_TEXT", "MESSAGES_VERSION", "NUMBERS", "decode", "encode"]

MESSAGES_VERSION = 1
"""Version of the messages, as `messages.Hello` and `messages.Welcome` carry it."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Longest encoded message: ten minutes of rail samples, or a pair of 16-bit frames of 2 megapixels, fit with room."""

MAX_TEXT = 4096
"""Characters of one text: a name, or a line for people, not a document."""

_MAX_ITEMS = 65536  # entries of one array: operations of a runtime, audit entries, samples are far below
_MAX_DEPTH = 8  # message, dict, pair, tensor, shape: five

NUMBERS: dict[type[Message], int] = {
    messages.Hello: 1, messages.GetInfo: 2, messages.GetTrust: 3, messages.Provision: 4, messages.Offer: 5,
    messages.Chunk: 6, messages.Finish: 7, messages.Activate: 8, messages.Confirm: 9, messages.Infer: 10,
    messages.Measure: 11, messages.GetAudit: 12, messages.Reboot: 13,
    messages.Welcome: 65, messages.BoardInfo: 66, messages.TrustState: 67, messages.Wanted: 68,
    messages.Installed: 69, messages.Activated: 70, messages.Confirmed: 71, messages.Inferred: 72,
    messages.Measured: 73, messages.Audit: 74, messages.Done: 75, messages.Refusal: 76, messages.Fault: 77,
}  # fmt: skip
"""The first item of each message on the wire; requests below 64, answers above. A number is never reused."""

_BY_NUMBER = {number: kind for kind, number in NUMBERS.items()}


class _MismatchError(Exception):
    """A decoded item does not fit the field's type; becomes a `ProtocolError` that names the message."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Form:
    """How one type goes onto the wire and comes back."""

    wire: Callable[[object], object]
    value: Callable[[object], object]


def encode(message: Message) -> bytes:
    """Return the wire form of ``message``.

    Raises:
        ProtocolError: it is larger than `MAX_MESSAGE_BYTES` once encoded, or holds what has no wire form.
    """
    kind = type(message)
    try:
        fields = typing.cast(list[object], _record_form(kind).wire(message))
        data = cbor2.dumps([NUMBERS[kind], *fields])
    except (_MismatchError, KeyError, AttributeError, TypeError, struct.error, cbor2.CBORError) as error:
        raise ProtocolError(f"the message {kind.__name__} cannot be encoded: {error}") from error
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"the message {kind.__name__} has {len(data)} bytes, more than {MAX_MESSAGE_BYTES}")
    return data


def decode(data: bytes) -> Message:
    """Return the message whose one encoding is ``data``.

    Raises:
        ProtocolError: anything else.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"a message of {len(data)} bytes is larger than {MAX_MESSAGE_BYTES}")
    try:
        item = cbor2.loads(data, allow_indefinite=False, allow_duplicate_keys=False, max_depth=_MAX_DEPTH)
    except (cbor2.CBORError, ValueError, RecursionError) as error:
        raise ProtocolError(f"a message is not CBOR: {error}") from error
    if not isinstance(item, list) or not item or type(item[0]) is not int:
        raise ProtocolError("a message is not an array that starts with its number")
    kind = _BY_NUMBER.get(item[0])
    if kind is None:
        raise ProtocolError(f"the message number {item[0]} is not known; the peer speaks a newer version")
    try:
        message = _record_form(kind).value(item[1:])
    except _MismatchError as error:
        raise ProtocolError(f"the message {kind.__name__} does not have its form: {error}") from error
    # One encoding only: non-minimal integers, trailing bytes, tags and unsorted names all differ here.
    assert isinstance(message, Message)
    if encode(message) != data:
        raise ProtocolError(f"the message {kind.__name__} is not in its one encoding")
    return message


_RECORD_FORMS: dict[type, _Form] = {}


# --- forms by type ------------------------------------------------------------------------------------------


def _scalar(kind: type, *, limit: int | None = None) -> _Form:
    def check(item: object) -> object:
        if type(item) is not kind:
            raise _MismatchError(f"{kind.__name__} expected, got {type(item).__name__}")
        if limit is not None and len(typing.cast(str, item)) > limit:
            raise _MismatchError(f"more than {limit} characters")
        if kind is int and not -(2**63) <= typing.cast(int, item) < 2**64:
            raise _MismatchError("an integer beyond 64 bits")
        return item

    return _Form(check, check)


def _as_float(item: object) -> object:
    if not isinstance(item, int | float) or isinstance(item, bool):
        raise _MismatchError(f"float expected, got {type(item).__name__}")
    return float(item)


def _pack_floats(items: object) -> object:
    values = typing.cast(tuple[float, ...], items)
    return struct.pack(f"<{len(values)}d", *values)


def _unpack_floats(item: object) -> object:
    if type(item) is not bytes or len(item) % 8:
        raise _MismatchError("floats are a byte string of doubles")
    return struct.unpack(f"<{len(item) // 8}d", item)


def _array(item: object, length: int | None = None) -> list[object]:
    if type(item) is not list or len(item) > _MAX_ITEMS or (length is not None and len(item) != length):
        raise _MismatchError(f"array of {'items' if length is None else length} expected")
    return item


def _tuple_form(item_form: _Form) -> _Form:
    return _Form(
        lambda values: [item_form.wire(value) for value in typing.cast(tuple[object, ...], values)],
        lambda items: tuple(item_form.value(item) for item in _array(items)),
    )


def _dict_form(item_form: _Form) -> _Form:
    text = _scalar(str, limit=MAX_TEXT)

    def wire(values: object) -> object:
        pairs = typing.cast(dict[str, object], values)
        return [[text.wire(name), item_form.wire(pairs[name])] for name in sorted(pairs)]

    def value(items: object) -> object:
        pairs = [_array(pair, 2) for pair in _array(items)]
        return {text.value(name): item_form.value(item) for name, item in pairs}

    return _Form(wire, value)


def _record_form(kind: type) -> _Form:
    form = _RECORD_FORMS.get(kind)
    if form is None:
        form = _RECORD_FORMS[kind] = _new_record_form(kind)
    return form


def _new_record_form(kind: type) -> _Form:
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    forms = [_form(hints[name]) for name in names]

    def wire(record: object) -> object:
        if type(record) is not kind:
            raise _MismatchError(f"{kind.__name__} expected, got {type(record).__name__}")
        return [form.wire(getattr(record, name)) for name, form in zip(names, forms, strict=True)]

    def value(items: object) -> object:
        fields = _array(items, len(names))
        return kind(*(form.value(item) for form, item in zip(forms, fields, strict=True)))

    return _Form(wire, value)


def _form(hint: object) -> _Form:
    if dataclasses.is_dataclass(hint):
        return _record_form(typing.cast(type, hint))
    if isinstance(hint, types.GenericAlias):
        item = hint.__args__[-1] if hint.__origin__ is dict else hint.__args__[0]
        if hint.__origin__ is dict:
            return _dict_form(_form(item))
        if item is float:
            return _Form(_pack_floats, _unpack_floats)
        return _tuple_form(_form(item))
    if hint is str:
        return _scalar(str, limit=MAX_TEXT)
    if hint is float:
        return _Form(_as_float, _scalar(float).value)
    assert hint in (int, bool, bytes), f"no wire form for {hint}"
    return _scalar(typing.cast(type, hint))
