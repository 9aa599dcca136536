"""Attacks on the board's attention: requests out of place, noise, hosts that vanish, floods, a second writer."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.errors import BridgeError
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.frames import RateAnswer, RateRequest
from hil.conformance.rules import (
    ACCEPTED,
    BUSY,
    FAULT,
    OVER_A_LINE,
    OVER_SSH,
    SURVIVED,
    Case,
    Group,
    Rule,
    Target,
)
from hil.conformance.session import RawSession, in_own_session
from hil.conformance.signing_kit import RawPackage, SigningKit

__all__ = ["RULES"]

_BACK_S = 9.0  # five seconds of silence at most, and the time to open


def _senseless(shop: SigningKit) -> Iterator[Case]:
    package = shop.fresh_package()
    requests: dict[str, m.Message] = {
        "finish-without-offer": m.Finish(),
        "activate-no-slot": m.Activate(""),
        "activate-slot-c": m.Activate("c"),
        "activate-a-path": m.Activate("a/../b"),
        "activate-long": m.Activate("a" * 4000),
        "infer-nothing": m.Infer({}),
        "infer-other-input": m.Infer({"nobody": m.Tensor("int8", (1, 4), bytes(4))}),
        "infer-other-kernels": m.Infer({}, "fastest"),
        "an-answer": m.ChunksNeeded("a", b"\xff"),
        "a-second-welcome": m.Welcome(1, "ks100", "me"),
    }
    for label, request in requests.items():

        def script(session: RawSession, request: m.Message = request) -> str:
            session.ask(request)
            return ACCEPTED

        yield Case(label, in_own_session(script))

    def unoffered(session: RawSession) -> str:
        session.tell(m.Chunk(0, package.chunk(0), deflated=False))
        session.answer()
        return ACCEPTED

    yield Case("chunk-without-offer", in_own_session(unoffered))


def _tensors(shop: SigningKit) -> Iterator[Case]:
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


def _noise(_: SigningKit) -> Iterator[Case]:
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


def _vanished(shop: SigningKit) -> Iterator[Case]:
    for label, chunks in {"after-hello": -1, "after-offer": 0, "after-a-chunk": 1, "before-finish": 4}.items():
        package = shop.fresh_package()

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


def _slow(shop: SigningKit) -> Iterator[Case]:
    """Hosts that take their time, in sessions that go on to the end."""
    for label, (offered_s, between_s, dribbles) in {
        "thinks-after-the-offer": (2.5, 0.0, False), "thinks-between-chunks": (0.0, 0.4, False),
        "in-tiny-pieces": (0.0, 0.0, True),
    }.items():  # fmt: skip
        package = shop.fresh_package()

        def script(
            session: RawSession,
            package: RawPackage = package,
            offered_s: float = offered_s,
            between_s: float = between_s,
            dribbles: bool = dribbles,
        ) -> str:
            if dribbles:
                session.dribble()
            session.ask(m.Offer(package.head))
            time.sleep(offered_s)
            for index in range(package.chunk_count):
                session.tell(m.Chunk(index, package.chunk(index), deflated=False))
                time.sleep(between_s)
            session.ask(m.Finish())
            return ACCEPTED

        yield Case(label, in_own_session(script))


def _rates(shop: SigningKit) -> Iterator[Case]:
    """Agreements on the line's rate that the host does not keep."""
    inserted: dict[str, RateRequest | RateAnswer] = {
        "agreed-and-not-kept": RateRequest((3_000_000, 2_000_000, 1_500_000)),
        "rates-that-do-not-exist": RateRequest((1, 0, 2**32 - 1)),
        "no-rate-at-all": RateRequest(()),
        "an-answer": RateAnswer(3_000_000),
    }
    for label, frame in inserted.items():

        def script(session: RawSession, frame: RateRequest | RateAnswer = frame) -> str:
            session.insert(frame)
            session.ask(m.GetInfo())
            return SURVIVED

        yield Case(label, in_own_session(script))
    package = shop.fresh_package()

    def vanished(target: Target) -> str:
        target.board.close()
        try:
            session = RawSession(target.open_link(), raises_rate=True)
            session.ask(m.Offer(package.head))
            for index in range(package.chunk_count):
                session.tell(m.Chunk(index, package.chunk(index), deflated=False))
            session.ask(m.GetInfo())
            session.vanish()
        finally:
            gone_s = time.monotonic()
            target.reopen()
        back_s = time.monotonic() - gone_s
        return SURVIVED if back_s < _BACK_S else f"heard after {back_s:.0f} s"

    yield Case("kept-and-vanished", vanished)


def _flood(shop: SigningKit) -> Iterator[Case]:
    package = shop.package()
    heads = {"frames": b"\x89KSM" + bytes(200), "signatures": package.head[:-1] + b"\0", "large": bytes(8 << 10)}
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


def _second_writer(shop: SigningKit) -> Iterator[Case]:
    package = shop.fresh_package()
    requests: dict[str, m.Message] = {
        "offer": m.Offer(package.head), "provision": m.Provision(b""), "activate": m.Activate("a"),
        "confirm": m.Confirm(), "reboot": m.Reboot(), "finish": m.Finish(),
    }  # fmt: skip
    for label, request in requests.items():

        def act(target: Target, request: m.Message = request) -> str:
            target.board.confirm()  # this session now has the board's lock
            with RawSession(target.open_link()) as session:
                session.ask(request)
            return ACCEPTED

        yield Case(label, act)


def _second_reader(_: SigningKit) -> Iterator[Case]:
    for label, request in {"info": m.GetInfo(), "trust": m.GetTrust(), "audit": m.GetAudit(0)}.items():

        def act(target: Target, request: m.Message = request) -> str:
            target.board.confirm()
            with RawSession(target.open_link()) as session:
                session.ask(request)
            return ACCEPTED

        yield Case(label, act)


RULES = (
    Rule(
        "senseless-request",
        Group.AVAILABILITY,
        "a request out of place is answered by name",
        "a state machine that is led astray",
        (FAULT,),
        _senseless,
        silent=True,
    ),
    Rule(
        "wrong-tensors",
        Group.AVAILABILITY,
        "inputs are those of the graph",
        "reading past a buffer",
        (FAULT,),
        _tensors,
        silent=True,
    ),
    Rule(
        "noise",
        Group.AVAILABILITY,
        "noise on the line is not the end of the board",
        "a board offline until somebody visits it",
        (SURVIVED,),
        _noise,
        silent=True,
    ),
    Rule(
        "vanished-host",
        Group.AVAILABILITY,
        "a host that vanishes locks nothing",
        "a board that is busy for ever",
        (ACCEPTED,),
        _vanished,
    ),
    Rule(
        "slow-host",
        Group.AVAILABILITY,
        "a host that takes its time is served to the end",
        "transfers that fail on a busy bench, and never at a desk",
        (ACCEPTED,),
        _slow,
    ),
    Rule(
        "line-rate",
        Group.AVAILABILITY,
        "a rate that the host does not keep is dropped by itself",
        "a board offline until somebody visits it",
        (SURVIVED,),
        _rates,
        needs=OVER_A_LINE,
        silent=True,
    ),
    Rule(
        "flood",
        Group.AVAILABILITY,
        "refusals cost little, and the next good request is served",
        "a board wedged by refusing",
        (SURVIVED,),
        _flood,
    ),
    Rule(
        "second-writer",
        Group.AVAILABILITY,
        "one writer at a time; the second gets the name of the first",
        "two transfers mixed into one slot",
        (BUSY,),
        _second_writer,
        needs=OVER_SSH,
        silent=True,
    ),
    Rule(
        "second-reader",
        Group.AVAILABILITY,
        "reading is always possible",
        "a monitor that is locked out",
        (ACCEPTED,),
        _second_reader,
        needs=OVER_SSH,
        silent=True,
    ),
)
