"""Attacks on the way: chunks that are altered, mixed up, repeated or left out, and sessions that make no sense."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import BridgeError
from firmware_bridge.package.manifest import CHUNK_BYTES
from firmware_bridge.package.reasons import RejectReason as R
from firmware_bridge.protocol import messages as m
from hil.conformance.rules import (
    ACCEPTED,
    BUSY,
    FAULT,
    OVER_SSH,
    SURVIVED,
    Act,
    Case,
    Group,
    Rule,
    Target,
    offers,
    reasons,
)
from hil.conformance.session import RawSession
from hil.conformance.workshop import RawPackage, Workshop

__all__ = ["RULES"]


def _fresh(shop: Workshop) -> RawPackage:
    return shop.package(payload=shop.fresh_payload())


def _flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :]


def _chunk_bits(shop: Workshop) -> Iterator[Case]:
    for index in range(4):
        for share in range(3):
            package = _fresh(shop)
            data = package.chunk(index)
            swaps = {index: _flipped(data, (len(data) - 1) * share // 2)}
            yield Case(f"chunk-{index}-at-{share}-of-2", offers(replace(package, swaps=swaps)))


def _chunk_mixed(shop: Workshop) -> Iterator[Case]:
    foreign = _fresh(shop).chunk(1)
    mixes: dict[str, Callable[[RawPackage], dict[int, bytes]]] = {
        "two-swapped": lambda p: {0: p.chunk(1), 1: p.chunk(0)},
        "first-twice": lambda p: {1: p.chunk(0)},
        "of-another-package": lambda _: {1: foreign},
        "empty": lambda _: {1: b""},
        "short": lambda p: {1: p.chunk(1)[:-1]},
        "long": lambda p: {3: p.chunk(3) + b"\0"},
        "zeros": lambda _: {2: bytes(CHUNK_BYTES)},
        "last-padded": lambda p: {3: p.chunk(3).ljust(CHUNK_BYTES, b"\0")},
    }
    for label, mix in mixes.items():
        package = _fresh(shop)
        yield Case(label, offers(replace(package, swaps=mix(package))))


def _raw(script: Callable[[RawSession], str]) -> Act:
    """Return an act in a session of its own; the usual one is closed meanwhile, and opened anew after."""

    def act(target: Target) -> str:
        target.board.close()
        try:
            with RawSession(target.open_link()) as session:
                return script(session)
        finally:
            target.reopen()

    return act


def _chunk_number(shop: Workshop) -> Iterator[Case]:
    package = _fresh(shop)
    for index in (4, 5, 255, 1 << 16, (1 << 31) - 1):

        def script(session: RawSession, index: int = index) -> str:
            session.ask(m.Offer(package.head))
            session.tell(m.Chunk(index, package.chunk(0), deflated=False))
            session.answer()
            return ACCEPTED

        yield Case(f"chunk-{index}", _raw(script))


def _deflate(shop: Workshop) -> Iterator[Case]:
    package = _fresh(shop)
    squeeze = zlib.compressobj(9, wbits=-15)
    bomb = squeeze.compress(bytes(64 << 20)) + squeeze.flush()
    whole = zlib.compressobj(9, wbits=-15)
    first = whole.compress(package.chunk(0)) + whole.flush()
    streams = {"bomb-of-64-mib": bomb, "noise": random.Random(1).randbytes(4000), "cut": first[:-3], "empty": b"",  # noqa: S311 - no secret
               "followed-by-bytes": first + b"more"}  # fmt: skip
    for label, data in streams.items():

        def script(session: RawSession, data: bytes = data) -> str:
            session.ask(m.Offer(package.head))
            session.tell(m.Chunk(0, data, deflated=True))
            session.answer()
            return ACCEPTED

        yield Case(label, _raw(script))


def _incomplete(shop: Workshop) -> Iterator[Case]:
    package, other = _fresh(shop), _fresh(shop)

    def send(session: RawSession, source: RawPackage, *indices: int) -> None:
        for index in indices:
            session.tell(m.Chunk(index, source.chunk(index), deflated=False))

    def no_chunks(session: RawSession) -> str:
        session.ask(m.Offer(package.head))
        session.ask(m.Finish())
        return ACCEPTED

    def one_short(session: RawSession) -> str:
        session.ask(m.Offer(package.head))
        send(session, package, 0, 1, 2)
        session.ask(m.Finish())
        return ACCEPTED

    def another_in_between(session: RawSession) -> str:
        session.ask(m.Offer(package.head))
        send(session, package, 0, 1)
        session.ask(m.Offer(other.head))
        send(session, other, 2, 3)
        session.ask(m.Finish())
        return ACCEPTED

    for label, script in {
        "no-chunk": no_chunks,
        "one-short": one_short,
        "another-in-between": another_in_between,
    }.items():
        yield Case(label, _raw(script))


def _resumed(shop: Workshop) -> Iterator[Case]:
    package, other = _fresh(shop), _fresh(shop)

    def script(session: RawSession) -> str:
        session.ask(m.Offer(package.head))
        session.tell(m.Chunk(0, package.chunk(0), deflated=False))
        session.tell(m.Chunk(1, other.chunk(1), deflated=False))
        session.answer()
        return ACCEPTED

    yield Case("with-anothers-chunk", _raw(script))


def _replayed(shop: Workshop) -> Iterator[Case]:
    package = _fresh(shop)

    def script(session: RawSession) -> str:
        session.ask(m.Offer(package.head))
        for index in (0, 0, 3, 2, 2, 1, 0):
            session.tell(m.Chunk(index, package.chunk(index), deflated=False))
        session.ask(m.Finish())
        return ACCEPTED

    yield Case("repeated-and-out-of-order", _raw(script))


def _senseless(shop: Workshop) -> Iterator[Case]:
    package = _fresh(shop)
    requests: dict[str, m.Message] = {
        "finish-without-offer": m.Finish(),
        "activate-no-slot": m.Activate(""),
        "activate-slot-c": m.Activate("c"),
        "activate-a-path": m.Activate("a/../b"),
        "activate-long": m.Activate("a" * 4000),
        "infer-nothing": m.Infer({}),
        "infer-other-input": m.Infer({"nobody": m.Tensor("int8", (1, 4), bytes(4))}),
        "infer-other-kernels": m.Infer({}, "fastest"),
        "an-answer": m.Wanted("a", b"\xff"),
        "a-second-welcome": m.Welcome(1, "ks100", "me"),
    }
    for label, request in requests.items():

        def script(session: RawSession, request: m.Message = request) -> str:
            session.ask(request)
            return ACCEPTED

        yield Case(label, _raw(script))

    def unoffered(session: RawSession) -> str:
        session.tell(m.Chunk(0, package.chunk(0), deflated=False))
        session.answer()
        return ACCEPTED

    yield Case("chunk-without-offer", _raw(unoffered))


def _tensors(shop: Workshop) -> Iterator[Case]:
    names = [tensor.name for tensor in shop.manifest.inputs]
    good = np.zeros((1, 4), np.int8)
    wrong: dict[str, NDArray[Any]] = {
        "shape": np.zeros((4, 1), np.int8), "type": np.zeros((1, 4), np.float32), "size": np.zeros((1, 5), np.int8),
        "scalar": np.zeros((), np.int8), "empty": np.zeros((0,), np.int8), "large": np.zeros((1, 1 << 16), np.int8),
    }  # fmt: skip
    for label, value in wrong.items():

        def act(target: Target, value: NDArray[Any] = value) -> str:
            target.board.infer({names[0]: good, names[1]: value})
            return ACCEPTED

        yield Case(label, act)


def _noise(_: Workshop) -> Iterator[Case]:
    chance = random.Random(7)  # noqa: S311 - noise, no secret
    streams = {
        "random": chance.randbytes(16 * 1024),
        "zeros": bytes(16 * 1024),
        "ones": b"\xff" * 16 * 1024,
        "boot-log": b"[    0.000000] Booting Linux on physical CPU 0x0\r\n" * 400,
        "login-prompt": b"\r\nDebian GNU/Linux 12 ks100 ttyS0\r\n\r\nks100 login: " * 20,
        "short-frames": b"\x01\x00" * 20_000,
        "long-frame": b"\x01" * 70_000 + b"\0",
        "modem": b"AT+CGMI\r" * 500,
    }
    for label, data in streams.items():

        def act(target: Target, data: bytes = data) -> str:
            target.board.close()
            try:
                link = target.open_link()
                try:
                    link.write(data)
                except BridgeError:
                    pass  # it may hang up on noise
                finally:
                    link.close()
            finally:
                target.reopen()
            return SURVIVED

        yield Case(label, act)


def _vanished(shop: Workshop) -> Iterator[Case]:
    for label, chunks in {"after-hello": -1, "after-offer": 0, "after-a-chunk": 1, "before-finish": 4}.items():
        package = _fresh(shop)

        def act(target: Target, package: RawPackage = package, chunks: int = chunks) -> str:
            target.board.close()
            try:
                session = RawSession(target.open_link())
                if chunks >= 0:
                    session.ask(m.Offer(package.head))
                for index in range(chunks):
                    session.tell(m.Chunk(index, package.chunk(index), deflated=False))
                session.vanish()
            finally:
                target.reopen()
            target.board.push(package)
            return ACCEPTED

        yield Case(label, act)


def _flood(shop: Workshop) -> Iterator[Case]:
    package = shop.package()
    heads = {"frames": b"\x89KSM" + bytes(200), "signatures": package.head[:-1] + b"\0", "large": bytes(8000)}
    for label, head in heads.items():

        def act(target: Target, head: bytes = head) -> str:
            refused = 0
            for _ in range(20):
                try:
                    target.board.push(replace(package, head=head))
                except BridgeError:
                    refused += 1
            return SURVIVED if refused == 20 else ACCEPTED

        yield Case(label, act)


def _second_writer(shop: Workshop) -> Iterator[Case]:
    package = _fresh(shop)
    requests: dict[str, m.Message] = {
        "offer": m.Offer(package.head), "provision": m.Provision(b""), "activate": m.Activate("a"),
        "confirm": m.Confirm(), "reboot": m.Reboot(), "finish": m.Finish(),
    }  # fmt: skip
    for label, request in requests.items():

        def act(target: Target, request: m.Message = request) -> str:
            target.board.confirm()  # this session now holds the board
            with RawSession(target.open_link()) as session:
                session.ask(request)
            return ACCEPTED

        yield Case(label, act)


def _second_reader(_: Workshop) -> Iterator[Case]:
    for label, request in {"info": m.GetInfo(), "trust": m.GetTrust(), "audit": m.GetAudit(0)}.items():

        def act(target: Target, request: m.Message = request) -> str:
            target.board.confirm()
            with RawSession(target.open_link()) as session:
                session.ask(request)
            return ACCEPTED

        yield Case(label, act)


_T, _A = Group.TRANSFER, Group.AVAILABILITY
_CHUNK, _FAULT, _SURVIVED, _ACCEPTED = reasons(R.CHUNK), (FAULT,), (SURVIVED,), (ACCEPTED,)
RULES = (
    Rule(
        "chunk-bits",
        _T,
        "each chunk is the signed one",
        "a cable that fails, or somebody on it, alters the model",
        _CHUNK,
        _chunk_bits,
    ),
    Rule(
        "chunk-mixed-up",
        _T,
        "each chunk in its place, of its length",
        "pieces of good packages make a bad one",
        _CHUNK,
        _chunk_mixed,
    ),
    Rule(
        "chunk-number",
        _T,
        "chunk numbers are within the table",
        "writing where nothing was reserved",
        _CHUNK,
        _chunk_number,
    ),
    Rule(
        "deflate",
        _T,
        "a chunk unpacks to a chunk and no further",
        "a bomb fills the memory",
        (*_CHUNK, FAULT),
        _deflate,
        silent=True,
    ),
    Rule(
        "incomplete",
        _T,
        "nothing is installed before all of it is there",
        "half a model",
        _FAULT,
        _incomplete,
        silent=True,
    ),
    Rule(
        "resumed",
        _T,
        "a transfer is resumed with the package that began it",
        "chunks of another package slip in",
        _CHUNK,
        _resumed,
    ),
    Rule(
        "replayed",
        _T,
        "chunks may come twice and in any order",
        "retransmission must not look like an attack",
        _ACCEPTED,
        _replayed,
    ),
    Rule(
        "senseless-request",
        _A,
        "a request out of place is answered by name",
        "a state machine that is led astray",
        _FAULT,
        _senseless,
        silent=True,
    ),
    Rule("wrong-tensors", _A, "inputs are those of the graph", "reading past a buffer", _FAULT, _tensors, silent=True),
    Rule(
        "noise",
        _A,
        "noise on the line is not the end of the board",
        "a board off the line until somebody drives there",
        _SURVIVED,
        _noise,
        silent=True,
    ),
    Rule(
        "vanished-host", _A, "a host that vanishes holds nothing", "a board that is busy for ever", _ACCEPTED, _vanished
    ),
    Rule(
        "flood",
        _A,
        "refusals cost little, and the next good request is served",
        "a board wedged by refusing",
        _SURVIVED,
        _flood,
    ),
    Rule(
        "second-writer",
        _A,
        "one writer at a time; the second is told who holds the board",
        "two transfers mixed into one slot",
        (BUSY,),
        _second_writer,
        needs=OVER_SSH,
        silent=True,
    ),
    Rule(
        "second-reader",
        _A,
        "reading is always possible",
        "a monitor that is locked out",
        _ACCEPTED,
        _second_reader,
        needs=OVER_SSH,
        silent=True,
    ),
)
