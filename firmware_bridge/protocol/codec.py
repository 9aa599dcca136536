"""Messages as CBOR: ``[number of the message, field, field, ...]``, fields in the order of the dataclass.

The wire form of a field follows from its type; the table `NUMBERS` and the dataclasses of
`firmware_bridge.protocol.messages` are the whole schema. Values inside messages are arrays too, a ``dict`` is an
array of [name, value] pairs in ascending order of the names, and floats in a row are one byte string of IEEE 754
doubles, little-endian. So there is no map, and exactly one encoding of each message; every other is refused.

An array may lack fields at its end that have a default (the peer is older), and may have more than is known (it is
newer): those are ignored. Round-trip law: ``decode(encode(m)) == m`` for every message whose texts are clean and whose
values are in range, and ``encode(decode(b)) == b`` for every accepted ``b`` of such texts, all fields and no more.
"""

from __future__ import annotations

import dataclasses
import struct
import types
import typing
from collections.abc import Callable
from enum import Enum

import cbor2

from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol import messages
from firmware_bridge.protocol.chunk_codec import CHUNK_NUMBER
from firmware_bridge.protocol.messages import SINCE, Message
from firmware_bridge.protocol.ranges import OneOf, Pattern, Range
from firmware_bridge.protocol.strict import check_cbor
from firmware_bridge.protocol.versions import MESSAGES_VERSION, OLDEST_VERSION, current_form, form_for
from firmware_bridge.text import MAX_TEXT, clean_text

__all__ = ["MAX_GREETING_BYTES", "MAX_MESSAGE_BYTES", "NUMBERS", "decode", "encode"]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Longest encoded message: ten minutes of rail samples, or a pair of 16-bit frames of 2 megapixels, fit."""

MAX_GREETING_BYTES = 32 * 1024
"""Longest message before `Hello` or `Welcome` has been: a fault with the longest text fits."""

_MAX_ITEMS = 65536  # of one message in all: a whole audit log has 53,000
_MAX_GREETING_ITEMS = 64
_MAX_DEPTH = 8  # message, dict, pair, tensor, shape: five

NUMBERS: dict[type[Message], int] = {
    messages.Hello: 1, messages.GetInfo: 2, messages.GetTrust: 3, messages.Provision: 4, messages.Offer: 5,
    messages.Chunk: CHUNK_NUMBER, messages.Finish: 7, messages.Activate: 8, messages.Confirm: 9, messages.Infer: 10,
    messages.Measure: 11, messages.GetAudit: 12, messages.Reboot: 13,
    messages.Welcome: 65, messages.BoardInfo: 66, messages.TrustState: 67, messages.ChunksNeeded: 68,
    messages.Installed: 69, messages.Activated: 70, messages.Confirmed: 71, messages.Inferred: 72,
    messages.Measured: 73, messages.Audit: 74, messages.Done: 75, messages.Refusal: 76, messages.Fault: 77,
    messages.Busy: 78,
}  # fmt: skip
"""The first item of each message on the wire; requests below 64, answers above. A number is never reused."""

_BY_NUMBER = {number: kind for kind, number in NUMBERS.items()}


class _MismatchError(Exception):
    """A decoded item does not fit the field's type; becomes a `ProtocolError` that names the message."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Form:
    """How one type is encoded for a peer of a version, and decoded."""

    wire: Callable[[object, int], object]
    value: Callable[[object], object]


def encode(message: Message, version: int = MESSAGES_VERSION) -> bytes:
    """Return the wire form of ``message`` for a peer that speaks ``version``.

    Raises:
        ProtocolError: it is larger than `MAX_MESSAGE_BYTES` once encoded, or contains a value without a wire form.
    """
    message = form_for(message, version)
    kind = type(message)
    try:
        fields = typing.cast(list[object], _record_form(kind).wire(message, version))
        data = cbor2.dumps([NUMBERS[kind], *fields])
    except (_MismatchError, KeyError, AttributeError, TypeError, struct.error, cbor2.CBORError) as error:
        raise ProtocolError(f"the message {kind.__name__} cannot be encoded: {error}") from error
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"the message {kind.__name__} has {len(data)} bytes, more than {MAX_MESSAGE_BYTES}")
    return data


def decode(data: bytes, *, greeted: bool = True) -> Message:
    """Return the message that ``data`` encodes, in any version that this end speaks.

    Texts are clean (`clean_text`), and numbers in the range of their field; both are the decoder's work, once.

    Args:
        data: one message.
        greeted: whether the two ends have greeted each other; before, a message is small.

    Raises:
        ProtocolError: anything else.
    """
    max_bytes = MAX_MESSAGE_BYTES if greeted else MAX_GREETING_BYTES
    if len(data) > max_bytes:
        raise ProtocolError(f"a message of {len(data)} bytes is larger than {max_bytes}")
    check_cbor(data, max_items=_MAX_ITEMS if greeted else _MAX_GREETING_ITEMS, max_depth=_MAX_DEPTH)
    try:
        item = cbor2.loads(data)
    except (cbor2.CBORError, ValueError) as error:
        raise ProtocolError(f"a message is not CBOR: {error}") from error
    if not isinstance(item, list) or not item or type(item[0]) is not int:
        raise ProtocolError("a message is not an array that starts with its number")
    kind = _BY_NUMBER.get(item[0])
    if kind is None:
        raise ProtocolError(
            f"the message number {item[0]} is not known here; the peer's version is newer than {MESSAGES_VERSION}, or "
            f"older than {OLDEST_VERSION}"
        )
    try:
        message = _record_form(kind).value(item[1:])
    except _MismatchError as error:
        raise ProtocolError(f"the message {kind.__name__} does not have its form: {error}") from error
    assert isinstance(message, Message)
    return current_form(message)


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

    return _Form(lambda item, _: check(item), check)


def _text_form() -> _Form:
    text = _scalar(str, limit=MAX_TEXT)
    return _Form(text.wire, lambda item: clean_text(typing.cast(str, text.value(item))))


def _name_form() -> _Form:
    """The form of what is looked up, and so arrives as it was sent or not at all."""
    text = _scalar(str, limit=MAX_TEXT)

    def value(item: object) -> object:
        name = typing.cast(str, text.value(item))
        if not name.isprintable():
            raise _MismatchError("a name that cannot be printed")
        return name

    return _Form(text.wire, value)


def _limited_form(form: _Form, limit: Range | OneOf | Pattern) -> _Form:
    """The form of a value that must be within ``limit`` when it arrives; for floats in a row, each of them."""

    def value(item: object) -> object:
        found = form.value(item)
        for one in found if isinstance(found, tuple) else (found,):
            if (wrong := limit.mismatch(one)) is not None:
                raise _MismatchError(wrong)
        return found

    return _Form(form.wire, value)


def _as_float(item: object, _: int) -> object:
    if not isinstance(item, int | float) or isinstance(item, bool):
        raise _MismatchError(f"float expected, got {type(item).__name__}")
    return float(item)


def _pack_floats(items: object, _: int) -> object:
    values = typing.cast(tuple[float, ...], items)
    return struct.pack(f"<{len(values)}d", *values)


def _unpack_floats(item: object) -> object:
    if type(item) is not bytes or len(item) % 8:
        raise _MismatchError("floats are a byte string of doubles")
    return struct.unpack(f"<{len(item) // 8}d", item)


def _array(item: object, shortest: int = 0) -> list[object]:
    if type(item) is not list or not shortest <= len(item) <= _MAX_ITEMS:
        raise _MismatchError(f"an array of {shortest} items or more expected")
    return item


def _plain(item: object) -> None:
    """Refuse what no later version would put into a field either: maps, tags, integers beyond 64 bits."""
    match item:
        case list():
            for part in _array(item):
                _plain(part)
        case bool() | float() | bytes() | str() | None:
            return
        case int() if -(2**63) <= item < 2**64:
            return
        case _:
            raise _MismatchError(f"an unknown field of type {type(item).__name__}")


def _tuple_form(item_form: _Form) -> _Form:
    return _Form(
        lambda values, version: [item_form.wire(value, version) for value in typing.cast(tuple[object, ...], values)],
        lambda items: tuple(item_form.value(item) for item in _array(items)),
    )


def _enum_form(kind: type[Enum]) -> _Form:
    text = _scalar(str, limit=MAX_TEXT)

    def wire(member: object, version: int) -> object:
        if type(member) is not kind:
            raise _MismatchError(f"{kind.__name__} expected, got {type(member).__name__}")
        return text.wire(member.value, version)

    def value(item: object) -> object:
        try:
            return kind(text.value(item))
        except ValueError as error:
            raise _MismatchError(str(error)) from error

    return _Form(wire, value)


def _dict_form(item_form: _Form) -> _Form:
    text = _name_form()

    def wire(values: object, version: int) -> object:
        pairs = typing.cast(dict[str, object], values)
        return [[text.wire(name, version), item_form.wire(pairs[name], version)] for name in sorted(pairs)]

    def value(items: object) -> object:
        pairs = [_array(pair, 2) for pair in _array(items)]
        if any(len(pair) != 2 for pair in pairs):
            raise _MismatchError("a pair of name and value expected")
        named = {typing.cast(str, text.value(name)): item_form.value(item) for name, item in pairs}
        if list(named) != sorted(named) or len(named) != len(pairs):
            raise _MismatchError("names are not in ascending order, each once")
        return named

    return _Form(wire, value)


def _record_form(kind: type) -> _Form:
    form = _RECORD_FORMS.get(kind)
    if form is None:
        form = _RECORD_FORMS[kind] = _new_record_form(kind)
    return form


def _new_record_form(kind: type) -> _Form:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = dataclasses.fields(kind)
    forms = [_form(hints[field.name]) for field in fields]
    shortest = sum(
        field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING for field in fields
    )

    def wire(record: object, version: int) -> object:
        if type(record) is not kind:
            raise _MismatchError(f"{kind.__name__} expected, got {type(record).__name__}")
        return [
            form.wire(getattr(record, field.name), version)
            for field, form in zip(fields, forms, strict=True)
            if field.metadata.get(SINCE, OLDEST_VERSION) <= version
        ]

    def value(items: object) -> object:
        given = _array(items, shortest)
        for unknown in given[len(fields) :]:
            _plain(unknown)
        values = []
        for field, form, item in zip(fields, forms, given, strict=False):
            try:
                values.append(form.value(item))
            except _MismatchError as error:
                raise _MismatchError(f"{field.name}: {error}") from error
        return kind(*values)

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
        if typing.get_args(item)[:1] == (float,):
            return _limited_form(_Form(_pack_floats, _unpack_floats), item.__metadata__[0])
        return _tuple_form(_form(item))
    if typing.get_origin(hint) is typing.Annotated:
        base, limit = typing.get_args(hint)
        return _limited_form(_form(base), limit)
    if hint is str:
        return _text_form()
    if hint is float:
        return _Form(_as_float, _scalar(float).value)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_form(hint)
    assert hint in (int, bool, bytes), f"no wire form for {hint}"
    return _scalar(typing.cast(type, hint))
