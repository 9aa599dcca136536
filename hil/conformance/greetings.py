"""Attacks by those who have no key: bytes before the greeting, sessions that only sit there, a lock left unused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import cbor2

from firmware_bridge.errors import BoardBusyError, BoardError, BridgeError, TransferError
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.codec import MAX_GREETING_BYTES, NUMBERS
from hil.conformance.forging import Bytes
from hil.conformance.rules import ACCEPTED, FAULT, OVER_SSH, SURVIVED, Act, Case, Group, Rule, Target
from hil.conformance.session import RawSession
from hil.conformance.signing_kit import SigningKit

__all__ = ["RULES"]

_SESSIONS = 16  # as many as a board serves at once
_EVICTED_S = 30.0
_HELLO = NUMBERS[m.Hello]
_HUNG_UP = ("the board closed the session", "closed by the other end", "closed by the board")

_NO_MESSAGES = {
    "big-integer": Bytes(b"\x81\xc2\x59\x08\x00" + b"\xff" * 2048),
    "deep": Bytes(b"\x81" * 5000 + b"\x00"),
    "map": Bytes(b"\xa1\x01\x02"),
    "tag": Bytes(b"\x83\x01\x01\xd8\x63\x60"),
    "cyclic-reference": Bytes(b"\x82\xd8\x1c\x81\xd8\x1d\x00\x01"),
    "indefinite": Bytes(b"\x9f\x01\x01\x60\xff"),
    "many-items": Bytes(b"\x99\x70\x00\x01" + b"\x80" * 0x6FFF),
    "many-texts": Bytes(b"\x99\x70\x00\x01" + b"\x60" * 0x6FFF),
    "long-name": Bytes(cbor2.dumps([_HELLO, 1, "x" * 5000])),
    "bad-utf-8": Bytes(b"\x83\x01\x01\x62\xff\xff"),
    "not-minimal": Bytes(b"\x83\x01\x18\x01\x60"),
    "number-as-name": Bytes(cbor2.dumps([_HELLO, 1, 1])),
    "version-beyond": Bytes(cbor2.dumps([_HELLO, 2**64, "x"])),
    "unknown-number": Bytes(cbor2.dumps([9999])),
    "nothing": Bytes(b""),
    "large": Bytes(cbor2.dumps([NUMBERS[m.Provision], bytes(2 * MAX_GREETING_BYTES)])),
    "announces-16-mib": Bytes(bytes(1000), length=16 * 2**20),
    "announces-4-gib": Bytes(bytes(1000), length=2**32 - 1),
}
_AFTER_HELLO = {
    "many-items": Bytes(b"\x82\x0c\x9a\x00\x03\x0d\x40" + b"\x80" * 200_000),
    "big-integer": _NO_MESSAGES["big-integer"],
    "announces-17-mib": Bytes(bytes(1000), length=17 * 2**20),
}


def _sends(message: Bytes, *, greets: bool) -> Act:
    """Return the act of sending an invalid message; the board must end the session by name, and serve the next."""

    def act(target: Target) -> str:
        target.board.close()
        try:
            with RawSession(target.open_link(), greets=greets) as session:
                session.ask(message)
            return ACCEPTED
        except TransferError as error:
            if any(how in str(error) for how in _HUNG_UP):
                return SURVIVED
            raise
        finally:
            target.reopen()

    return act


def _before(_: SigningKit) -> Iterator[Case]:
    yield from (Case(label, _sends(message, greets=False)) for label, message in _NO_MESSAGES.items())


def _after(_: SigningKit) -> Iterator[Case]:
    yield from (Case(label, _sends(message, greets=True)) for label, message in _AFTER_HELLO.items())


def _unasked(_: SigningKit) -> Iterator[Case]:
    requests: dict[str, m.Message] = {"info": m.GetInfo(), "audit": m.GetAudit(), "reboot": m.Reboot()}
    for label, request in requests.items():

        def act(target: Target, request: m.Message = request) -> str:
            target.board.close()
            try:
                with RawSession(target.open_link(), greets=False) as session:
                    session.ask(request)
                return ACCEPTED
            finally:
                target.reopen()

        yield Case(label, act)


def _sitting(_: SigningKit) -> Iterator[Case]:
    for label, greets in {"without-greeting": False, "greeted": True}.items():

        def act(target: Target, greets: bool = greets) -> str:
            target.board.close()
            try:
                with ExitStack() as stack:
                    for _ in range(_SESSIONS):
                        stack.enter_context(RawSession(target.open_link(), greets=greets))
                    return _let_in(target)
            finally:
                target.reopen()

        yield Case(label, act)


def _let_in(target: Target) -> str:
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < _EVICTED_S:
        try:
            with RawSession(target.open_link()) as session:
                session.ask(m.GetInfo())
            return SURVIVED
        except BridgeError:
            time.sleep(0.5)
    return f"nobody was let in for {_EVICTED_S:.0f} s"


def _holding(_: SigningKit) -> Iterator[Case]:
    def act(target: Target) -> str:
        target.board.close()
        try:
            with RawSession(target.open_link(), "the one who sleeps") as idle:
                idle.ask(m.Confirm())
                with RawSession(target.open_link(), "the one who waits") as waiting:
                    held = _held_out(waiting)
                    return held or _told(idle)
        finally:
            target.reopen()

    yield Case("idle-holder", act)


def _held_out(waiting: RawSession) -> str:
    """Return how the lock was kept from ``waiting``, ``""`` when it got it."""
    begun_s = time.monotonic()
    while True:
        try:
            waiting.ask(m.Confirm())
            return ""
        except BoardBusyError as busy:
            if "sleeps" not in busy.holder:
                return f"the holder is called {busy.holder!r}"
            if time.monotonic() - begun_s > _EVICTED_S:
                return f"held for {_EVICTED_S:.0f} s by one who did nothing"
            time.sleep(0.5)


def _told(idle: RawSession) -> str:
    """Return `SURVIVED` if the one who lost the lock learns of it, and who has it."""
    try:
        idle.ask(m.Confirm())
    except BoardError as error:
        return SURVIVED if "the one who waits" in str(error) else str(error)
    return ACCEPTED


RULES = (
    Rule(
        "before-hello",
        Group.AVAILABILITY,
        "bytes that are not a greeting end their session by name, and nothing else",
        "2 KiB from anybody take the board off the line until a reboot, or all its memory",
        (SURVIVED,),
        _before,
        silent=True,
    ),
    Rule(
        "after-hello",
        Group.AVAILABILITY,
        "bytes that are not a message end their session by name, and nothing else",
        "a host without keys takes the board's memory",
        (SURVIVED,),
        _after,
        silent=True,
    ),
    Rule(
        "request-before-hello",
        Group.AVAILABILITY,
        "nothing is answered, and nothing done, before the greeting",
        "a version that was never agreed on",
        (FAULT,),
        _unasked,
        silent=True,
    ),
    Rule(
        "idle-sessions",
        Group.AVAILABILITY,
        "sessions that only sit there give way to a host that has something to ask",
        "sixteen connections lock everybody out",
        (SURVIVED,),
        _sitting,
        needs=OVER_SSH,
        silent=True,
    ),
    Rule(
        "idle-holder",
        Group.AVAILABILITY,
        "a lock holder that does nothing loses it to who waits; both learn who the other is",
        "a notebook that somebody left open keeps the bench away from its board",
        (SURVIVED,),
        _holding,
        needs=OVER_SSH,
        silent=True,
    ),
)
