"""Packages and stores that must be accepted, at every edge of the allowed: a board with false alarms is useless."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from firmware_bridge.package.ecdsa import Algorithm
from firmware_bridge.package.manifest import CHUNK_BYTES, Evidence
from hil.conformance.rules import ACCEPTED, Act, Case, Group, Rule, Target, provides
from hil.conformance.signing_kit import FLOOR, STORE_VERSION, RawPackage, SigningKit

__all__ = ["RULES"]


def _runs(package: RawPackage) -> Act:
    """Push, activate, run once; then the model from before is made active again."""

    def act(target: Target) -> str:
        slot = target.board.push(package).slot
        target.board.activate(slot)
        try:
            target.board.infer({t.name: np.zeros(t.shape, t.dtype) for t in target.kit.manifest.inputs})
        finally:
            target.board.activate(target.baseline)
        return ACCEPTED

    return act


def _sizes(shop: SigningKit) -> Iterator[Case]:
    least = len(shop.graph)
    edges = (1, 2, 3, 4, 8)
    sizes = {least, least + 1, *(n * CHUNK_BYTES + d for n in edges for d in (-1, 0, 1)), 12 * CHUNK_BYTES + 7777}
    for size in sorted(sizes):
        yield Case(f"{size}-bytes", _runs(shop.package(payload=shop.fresh_payload(size - least))))


def _signatures(shop: SigningKit) -> Iterator[Case]:
    for index in range(4):
        yield Case(f"es256-{index}", _runs(shop.package(package_id=bytes([index] * 16))))
        yield Case(f"es384-{index}", _runs(shop.package(shop.good384, package_id=bytes([index] * 16))))
    yield Case("high-s", _runs(shop.enveloped(signature=lambda s: _with_s(s, high=True))))
    yield Case("low-s", _runs(shop.enveloped(signature=lambda s: _with_s(s, high=False))))


def _with_s(signature: bytes, *, high: bool) -> bytes:
    """Return the one of the two valid signatures whose s is the larger or the smaller."""
    s = int.from_bytes(signature[32:], "big")
    both = sorted((s, Algorithm.ES256.order - s))
    return signature[:32] + both[high].to_bytes(32, "big")


def _fields(shop: SigningKit) -> Iterator[Case]:
    manifest, now = shop.manifest, shop.now_s
    name, version = shop.info.runtime.name, shop.info.runtime.version
    changes: dict[str, dict[str, Any]] = {
        "equal-to-floor": {"security_version": FLOOR},
        "far-above-floor": {"security_version": 1 << 40},
        "longest-name": {"model": "m" * 64},
        "dotted-name": {"model": "fusion.small-v2_1"},
        "long-version": {"version": "1.2.3-rc.4+build.567"},
        "two-boards": {"boards": tuple(sorted((shop.info.board, "another-board")))},
        "two-runtimes": {"runtimes": tuple(sorted(((name, version), ("onnx", "9.9"))))},
        "older-runtime-enough": {"runtimes": ((name, "0.1"),)},
        "same-runtime": {"runtimes": ((name, version),)},
        "waived-fail": {"evidence": Evidence(verdict="FAIL", waiver="bench only")},
        "waived-none": {"evidence": Evidence(waiver="first light")},
        "longest-waiver": {"evidence": Evidence(waiver="w" * 256)},
        "passed-and-waived": {"evidence": replace(manifest.evidence, waiver="also this")},
        "created-in-1970": {"created_s": 0},
        "created-tomorrow": {"created_s": now + 86_400},
        "valid-since-now": {"not_before_s": now - 5},
        "valid-for-an-hour": {"not_after_s": now + 3600},
        "valid-window": {"not_before_s": now - 3600, "not_after_s": now + 3600},
        "custody-named": {"custody": "12:" + "ab" * 32},
        "npu-ops": {"npu_ops": 0},
    }
    for label, change in changes.items():
        yield Case(label, _runs(shop.package(**change)))


def _again(shop: SigningKit) -> Iterator[Case]:
    package = shop.fresh_package()
    for label in ("first", "again", "once-more"):
        yield Case(label, _runs(package))


def _stores(shop: SigningKit) -> Iterator[Case]:
    yield Case("the-same", provides(shop.installed.raw))
    yield Case("next", provides(shop.store(STORE_VERSION + 1).raw))
    yield Case("far-ahead", provides(shop.store(STORE_VERSION + 1000).raw))
    yield Case("all-roots", provides(shop.store(STORE_VERSION + 1001, signers=shop.roots).raw))
    yield Case("other-two-roots", provides(shop.store(STORE_VERSION + 1002, signers=shop.roots[1:]).raw))


_V = Group.VALID
RULES = (
    Rule(
        "valid-sizes",
        _V,
        "payloads of any size up to the slot's",
        "off by one at a chunk's edge",
        (ACCEPTED,),
        _sizes,
        loads=True,
    ),
    Rule(
        "valid-signatures",
        _V,
        "both curves, and either of the two forms of s",
        "a good package that every third board refuses",
        (ACCEPTED,),
        _signatures,
        loads=True,
    ),
    Rule(
        "valid-fields",
        _V,
        "every field at the edge of what is allowed",
        "a rule that is stricter than specified",
        (ACCEPTED,),
        _fields,
        loads=True,
    ),
    Rule(
        "valid-again", _V, "a package may be pushed again", "a retry that is refused", (ACCEPTED,), _again, loads=True
    ),
    Rule(
        "valid-stores",
        _V,
        "a newer store of the same roots",
        "a board that cannot learn of a stolen key",
        (ACCEPTED,),
        _stores,
        loads=True,
    ),
)
"""Tried last: the stores raise the board's store version."""
