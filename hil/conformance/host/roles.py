"""Lies in a board's role: unexpected answers, bytes that are not messages, lines without a board, silence."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import cbor2

from firmware_bridge.links.descriptor import DescriptorLink
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.codec import NUMBERS
from firmware_bridge.protocol.frames import Close, Opened, Ping, pack, unpack
from firmware_bridge.protocol.frames import Open as OpenFrame
from firmware_bridge.protocol.reader import FrameReader
from firmware_bridge.session.threaded import ThreadedSession
from hil.conformance.forging import Bytes
from hil.conformance.host.board import AUDIT, INFO, WELCOME, Answer, Lies
from hil.conformance.host.cases import HostCase, HostRule

__all__ = ["RULES"]

_INFO, _AUDIT = ("boards", "info", "{board}"), ("boards", "audit", "{board}")
_FLASH = ("flash", "{package}", "--trust", "{trust}", "--board", "{board}")
_FLEET = (
    *_FLASH,
    "--board",
    "{honest}",
    "--log",
    "{log}",
    "--log-key",
    "{key}",
    "--log-passphrase-file",
    "{passphrase}",
)
_FAULT, _TRANSFER, _NO_BOARD = (3,), (5,), (3, 5)
_MIB = 2**20


def _rule(
    name: str, group: str, promise: str, why: str, command: tuple[str, ...], lies: Mapping[str, Lies],
    codes: tuple[int, ...] = _TRANSFER, records: int = 0,
) -> HostRule:  # fmt: skip
    cases = (HostCase(label, command, lie, codes, records=records) for label, lie in lies.items())
    return HostRule(name, group, promise, why, tuple(cases))


def _instead(request: type[m.Message], answers: Mapping[str, Answer]) -> dict[str, Lies]:
    return {label: Lies({request: answer}) for label, answer in answers.items()}


# --- bytes that are no messages ------------------------------------------------------------------------------


def _items(count: int, item: bytes) -> bytes:
    """Return a message whose array announces so many items, and has them."""
    return b"\x82\x18\x4a\x9a" + count.to_bytes(4, "big") + item * count


_NO_MESSAGES = {
    "big-integer": Bytes(b"\x81\xc2\x59\x08\x00" + b"\xff" * 2048),
    "integer-of-4300-digits": Bytes(b"\x82\x18\x42\xc2\x59\x10\x00" + b"\xff" * 4096),
    "deep": Bytes(b"\x81" * 5000 + b"\x00"),
    "map": Bytes(b"\xa1\x01\x02"),
    "tag": Bytes(b"\x81\xd8\x63\x01"),
    "shared-reference": Bytes(b"\x82\xd8\x1c\x81\xd8\x1d\x00\x01"),
    "indefinite": Bytes(b"\x9f\x18\x4a\x80\xff"),
    "endless-text": Bytes(b"\x82\x18\x4c\x7f" + b"\x61x" * 5000),
    "half-float": Bytes(b"\x83\x18\x48\x80\xf9\x3c\x00"),
    "not-minimal": Bytes(b"\x83\x18\x47\x61a\x18\x01"),
    "bad-utf-8": Bytes(b"\x83\x18\x4c\x62\xff\xff\x60"),
    "surrogates": Bytes(b"\x83\x18\x4c\x63\xed\xa0\x80\x60"),
    "unknown-number": Bytes(cbor2.dumps([9999])),
    "negative-number": Bytes(cbor2.dumps([-1])),
    "a-request": Bytes(cbor2.dumps([NUMBERS[m.Hello], 1, "me"])),
    "no-array": Bytes(b"\x00"),
    "nothing": Bytes(b""),
    "too-few-fields": Bytes(cbor2.dumps([NUMBERS[m.BoardInfo], "ks100"])),
    "wrong-types": Bytes(cbor2.dumps([NUMBERS[m.Audit], "no entries"])),
    "cut-short": Bytes(b"\x82\x18\x4a\x9a\x00\x01\x00\x00"),
    "announces-4-gib": Bytes(b"", length=2**32 - 1),
    "announces-17-mib": Bytes(bytes(1000), length=17 * _MIB),
}
_LARGE = {
    "empty-arrays": Bytes(_items(2 * _MIB, b"\x80")),
    "small-numbers": Bytes(_items(2 * _MIB, b"\x00")),
    "empty-texts": Bytes(_items(2 * _MIB, b"\x60")),
    "audit-of-60000-items": Bytes(_items(60_000, b"\x80")),
    "one-byte-string": Bytes(b"\x82\x18\x43\x5a" + (3 * _MIB).to_bytes(4, "big") + bytes(3 * _MIB)),
}


# --- lines that are no boards --------------------------------------------------------------------------------


def _pours(data: bytes) -> Lies:
    """A line that pours out the same bytes without end."""

    def line(link: DescriptorLink, stop: threading.Event) -> None:
        while not stop.wait(0.02):
            link.write(data)
            link.read(0)

    return Lies(line=line)


def _grants(change: Callable[[OpenFrame], Opened | Close]) -> Lies:
    """A board that answers each `Open` with a grant of its own making."""

    def line(link: DescriptorLink, stop: threading.Event) -> None:
        reader = FrameReader(1 << 17)
        while not stop.is_set():
            for body in reader.feed(link.read(0.1)):
                if isinstance(frame := unpack(body, 0, from_board=False), OpenFrame):
                    link.write(pack(change(frame), frame.session, from_board=True))

    return Lies(line=line)


def _opened(**sizes: int) -> Lies:
    usual = {"version": 1, "segment_bytes": 128, "window_segments": 512, "frame_bytes": 4096}
    return _grants(lambda frame: Opened(session=frame.session, **{**usual, **sizes}))


def _echo(link: DescriptorLink, stop: threading.Event) -> None:
    while not stop.is_set():
        link.write(link.read(0.1))


def _silent(_: DescriptorLink, stop: threading.Event) -> None:
    stop.wait()


_LINES = {
    "silent": Lies(line=_silent),
    "echo": Lies(line=_echo),
    "zeros": _pours(bytes(512)),
    "ones": _pours(b"\xff" * 512),
    "noise": _pours(random.Random(5).randbytes(512)),  # noqa: S311 - noise, no secret
    "boot-log": _pours(b"[    0.000000] \x1b[31mBooting Linux\x1b[0m [/x]\r\n" * 8),
    "login-prompt": _pours(b"\r\n\x1b[2J\x1b]52;c;cm0=\x07ks100 login: "),
    "pings-of-nobody": _pours(pack(Ping(1), 7, from_board=True)),
    "closes-at-once": _grants(lambda _: Close("x\x1b[2J\x1b]52;c;cm0=\x07[/x]")),
    "other-version": _opened(version=9),
    "other-segments": _opened(segment_bytes=64),
    "frames-of-0": _opened(frame_bytes=0),
    "frames-of-4-gib": _opened(frame_bytes=2**32 - 1, window_segments=2**32 - 1),
    "window-of-0": _opened(window_segments=0),
}


# --- roles ---------------------------------------------------------------------------------------------------


def _two_at_once(session: ThreadedSession) -> None:
    session.send(m.Done())
    session.send(INFO)


_VERSIONS = {
    "0": replace(WELCOME, version=0),
    "99": replace(WELCOME, version=99),
    "beyond": replace(WELCOME, version=2**64 - 1),
    "negative": replace(WELCOME, version=-1),
}
_ANSWERS: dict[str, Answer] = {
    "welcome-again": WELCOME,
    "audit": m.Audit((AUDIT,)),
    "done": m.Done(),
    "installed": m.Installed("b", "11" * 32),
    "two-at-once": _two_at_once,
    "old-busy-of-400-digits": Bytes(cbor2.dumps([NUMBERS[m.Fault], "busy", "9" * 400 + " x"])),
}
_INSTALLED: dict[str, Answer] = {
    "zero": m.Installed("b", "0" * 64), "another": m.Installed("b", "ab" * 32), "none": m.Installed("b", ""),
    "done": m.Done(), "activated": m.Activated("b"), "chunks-again": m.ChunksNeeded("b", b"\xff"),
}  # fmt: skip
_ACTIVATED: dict[str, Answer] = {"another-slot": m.Activated("a"), "done": m.Done(), "confirmed": m.Confirmed("b", 1)}
_NEEDED: dict[str, Answer] = {
    "bitmap-of-3-mib": m.ChunksNeeded("b", b"\xff" * (3 * _MIB)),
    "unknown-slot": m.ChunksNeeded("z", b"\xff"),
    "nothing-and-no-installation": m.Done(),
}
_FLEETS: dict[str, Lies] = {
    "markup-serial": Lies({m.Hello: replace(WELCOME, serial="[/x]")}),
    "clear-screen-serial": Lies({m.Hello: replace(WELCOME, serial="x\x1b[2J")}),
    "fault": Lies({m.Finish: m.Fault(m.FaultKind.STORAGE, "[/x]\x1b[2J")}),
    "zero-digest": Lies({m.Finish: m.Installed("b", "0" * 64)}),
    "vanishes": Lies({m.Finish: lambda session: session.close("[/x]")}),
    "wrong-slot": Lies({m.Activate: m.Activated("a")}),
    "no-message": Lies({m.Offer: _NO_MESSAGES["big-integer"]}),
}

_TRUST_WHY = "a fleet counts a board that has something else"
_FORM_WHY = "a few bytes end the reader, or take all memory"

RULES = (
    _rule("no-message", "encoding", "bytes that are not a message end the session by name", _FORM_WHY,
          _INFO, _instead(m.GetInfo, _NO_MESSAGES)),
    _rule("no-greeting", "encoding", "bytes that are not a greeting end the session by name", _FORM_WHY,
          _INFO, _instead(m.Hello, dict(list(_NO_MESSAGES.items())[:6]) | {"large": _LARGE["empty-arrays"]})),
    _rule("large-message", "encoding", "a large message takes memory in proportion, and no more", _FORM_WHY,
          _AUDIT, _instead(m.GetAudit, _LARGE)),
    _rule("line", "line", "a line without a board is named as such", "the command waits for ever",
          _INFO, _LINES, _NO_BOARD),
    _rule("version", "role", "a version that is not spoken here is named", "answers are misread",
          _INFO, _instead(m.Hello, _VERSIONS), _NO_BOARD),
    _rule("unfitting-answer", "role", "an answer to something else ends the command by name", "answers are misread",
          _INFO, _instead(m.GetInfo, _ANSWERS), _NO_BOARD),
    _rule("installed", "role", "a board that has installed something else does not have the package", _TRUST_WHY,
          _FLASH, _instead(m.Finish, _INSTALLED), _NO_BOARD),
    _rule("activated", "role", "a board that has activated another slot does not run the package", _TRUST_WHY,
          _FLASH, _instead(m.Activate, _ACTIVATED)),
    _rule("needed", "role", "a bitmap or slot that no package has is refused or ignored", "the host sends without end",
          _FLASH, _instead(m.Offer, _NEEDED), (0, 5)),
    _rule("fleet", "record", "one board's lies are in no other board's way: all is recorded",
          "what was done to good boards is nowhere written", _FLEET, _FLEETS, (0, 3, 5), records=2),
    _rule("stall", "silence", "a board that is alive and does nothing is waited for, and not for ever",
          "a bench is stuck until somebody comes", _FLASH, {"no-credit": Lies(stingy=True)}),
    _rule("no-answer", "silence", "a request without an answer has a deadline", "a bench is stuck until somebody comes",
          _INFO, _instead(m.GetInfo, {"info": None}) | _instead(m.Hello, {"hello": None})),
)  # fmt: skip
