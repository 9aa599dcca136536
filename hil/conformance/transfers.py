"""Attacks on the way: chunks that are altered, mixed up, repeated or left out."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from firmware_bridge.package.manifest import CHUNK_BYTES
from firmware_bridge.package.reasons import RejectReason as R
from firmware_bridge.protocol import messages as m
from hil.conformance.rules import (
    ACCEPTED,
    FAULT,
    Case,
    Group,
    Rule,
    offers,
    reasons,
)
from hil.conformance.session import RawSession, in_own_session
from hil.conformance.signing_kit import RawPackage, SigningKit

__all__ = ["RULES"]


def _flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 4]) + data[position + 1 :]


def _chunk_bits(shop: SigningKit) -> Iterator[Case]:
    for index in range(4):
        for share in range(3):
            package = shop.fresh_package()
            data = package.chunk(index)
            swaps = {index: _flipped(data, (len(data) - 1) * share // 2)}
            yield Case(f"chunk-{index}-at-{share}-of-2", offers(replace(package, swaps=swaps)))


def _chunk_mixed(shop: SigningKit) -> Iterator[Case]:
    foreign = shop.fresh_package().chunk(1)
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
        package = shop.fresh_package()
        yield Case(label, offers(replace(package, swaps=mix(package))))


def _chunk_number(shop: SigningKit) -> Iterator[Case]:
    package = shop.fresh_package()
    for index in (4, 5, 255, 1 << 16, (1 << 31) - 1):

        def script(session: RawSession, index: int = index) -> str:
            session.ask(m.Offer(package.head))
            session.tell(m.Chunk(index, package.chunk(0), deflated=False))
            session.answer()
            return ACCEPTED

        yield Case(f"chunk-{index}", in_own_session(script))


def _deflate(shop: SigningKit) -> Iterator[Case]:
    package = shop.fresh_package()
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

        yield Case(label, in_own_session(script))


def _incomplete(shop: SigningKit) -> Iterator[Case]:
    package, other = shop.fresh_package(), shop.fresh_package()

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
        yield Case(label, in_own_session(script))


def _resumed(shop: SigningKit) -> Iterator[Case]:
    package, other = shop.fresh_package(), shop.fresh_package()

    def script(session: RawSession) -> str:
        session.ask(m.Offer(package.head))
        session.tell(m.Chunk(0, package.chunk(0), deflated=False))
        session.tell(m.Chunk(1, other.chunk(1), deflated=False))
        session.answer()
        return ACCEPTED

    yield Case("with-anothers-chunk", in_own_session(script))


def _replayed(shop: SigningKit) -> Iterator[Case]:
    package = shop.fresh_package()

    def script(session: RawSession) -> str:
        session.ask(m.Offer(package.head))
        for index in (0, 0, 3, 2, 2, 1, 0):
            session.tell(m.Chunk(index, package.chunk(index), deflated=False))
        session.ask(m.Finish())
        return ACCEPTED

    yield Case("repeated-and-out-of-order", in_own_session(script))


_CHUNK = reasons(R.CHUNK)
RULES = (
    Rule(
        "chunk-bits",
        Group.TRANSFER,
        "each chunk is the signed one",
        "a faulty cable, or an attacker on it, alters the model",
        _CHUNK,
        _chunk_bits,
    ),
    Rule(
        "chunk-mixed-up",
        Group.TRANSFER,
        "each chunk in its place, of its length",
        "pieces of good packages make a bad one",
        _CHUNK,
        _chunk_mixed,
    ),
    Rule(
        "chunk-number",
        Group.TRANSFER,
        "chunk numbers are within the table",
        "writing where nothing was reserved",
        _CHUNK,
        _chunk_number,
    ),
    Rule(
        "deflate",
        Group.TRANSFER,
        "a chunk unpacks to a chunk and no further",
        "a bomb fills the memory",
        (*_CHUNK, FAULT),
        _deflate,
        silent=True,
    ),
    Rule(
        "incomplete",
        Group.TRANSFER,
        "nothing is installed before all of it is there",
        "half a model",
        (FAULT,),
        _incomplete,
        silent=True,
    ),
    Rule(
        "resumed",
        Group.TRANSFER,
        "a transfer is resumed with the package that began it",
        "chunks of another package slip in",
        _CHUNK,
        _resumed,
    ),
    Rule(
        "replayed",
        Group.TRANSFER,
        "chunks may come twice and in any order",
        "retransmission must not look like an attack",
        (ACCEPTED,),
        _replayed,
    ),
)
