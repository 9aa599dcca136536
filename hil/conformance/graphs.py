"""Attacks on the graph itself: broken, or another one than its manifest declares, under a good signature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from firmware_bridge.device.graph import Graph
from firmware_bridge.errors import InputError
from firmware_bridge.package.reasons import RejectReason as R
from hil.conformance.rules import Case, Group, Rule, offers, reasons
from hil.conformance.signing_kit import SigningKit

__all__ = ["RULES"]


def _broken(shop: SigningKit) -> Iterator[Case]:
    graph = shop.graph
    payloads = {
        "no-root": b"\x10\0\0\0TFL3" + b"\xff" * 64,
        "root-outside": b"\xff\xff\xff\x7fTFL3" + graph[8:],
        "other-identifier": graph[:4] + b"TFL4" + graph[8:],
        "cut-in-half": graph[: len(graph) // 2],
        "only-noise": bytes(range(256)) * 4,
        "text": b"not a model at all, whatever its manifest says " * 4,
    }
    for label, payload in payloads.items():
        yield Case(label, offers(shop.package(payload=payload)))
    for position in range(8, len(graph) - 4, max(4, (len(graph) - 12) // 24)):
        bent = graph[:position] + b"\xff\xff\xff\x7f" + graph[position + 4 :]
        if _is_broken(bent):
            yield Case(f"offset-{position}", offers(shop.package(payload=bent)))


def _is_broken(payload: bytes) -> bool:
    """Return whether the reference parser refuses a corrupted graph: some offsets are not used."""
    try:
        Graph.parse(payload)
    except InputError:
        return True
    return False


def _undeclared(shop: SigningKit) -> Iterator[Case]:
    manifest = shop.manifest
    first = manifest.inputs[0]
    changes: dict[str, dict[str, Any]] = {
        "inputs-swapped": {"inputs": manifest.inputs[::-1]},
        "input-missing": {"inputs": manifest.inputs[:1]},
        "input-renamed": {"inputs": (replace(first, name="z"), *manifest.inputs[1:])},
        "input-shape": {"inputs": (replace(first, shape=(1, 4096)), *manifest.inputs[1:])},
        "input-type": {"inputs": (replace(first, dtype="uint8"), *manifest.inputs[1:])},
        "input-scale": {"inputs": (replace(first, scale=first.scale * 2), *manifest.inputs[1:])},
        "input-zero-point": {"inputs": (replace(first, zero_point=first.zero_point + 1), *manifest.inputs[1:])},
        "output-renamed": {"outputs": (replace(manifest.outputs[0], name="z"),)},
        "output-shape": {"outputs": (replace(manifest.outputs[0], shape=(1 << 20, 1 << 10)),)},
        "outputs-as-inputs": {"outputs": manifest.inputs},
    }
    for label, change in changes.items():
        yield Case(label, offers(shop.package(payload=shop.fresh_payload(), **change)))


def _other_operations(shop: SigningKit) -> Iterator[Case]:
    known = [op for op in shop.info.runtime.ops if op not in shop.manifest.ops][:6]
    for op in known:
        yield Case(f"{op}-instead", offers(shop.package(payload=shop.fresh_payload(), ops=(op,))))
        more = tuple(sorted((*shop.manifest.ops, op)))
        yield Case(f"{op}-more", offers(shop.package(payload=shop.fresh_payload(), ops=more)))


RULES = (
    Rule(
        "graph-broken",
        Group.GRAPH,
        "a broken graph is refused, although it is signed",
        "a FlatBuffer that reads outside itself",
        reasons(R.GRAPH),
        _broken,
        "CVE-2020-15209 (TFLite: a crafted model)",
    ),
    Rule(
        "graph-operations",
        Group.GRAPH,
        "the graph has the operations that the manifest declares, and no others",
        "an operation that was never reviewed",
        reasons(R.GRAPH),
        _other_operations,
    ),
    Rule(
        "graph-undeclared",
        Group.GRAPH,
        "the graph is what the manifest declares",
        "another network under a judged name",
        reasons(R.GRAPH),
        _undeclared,
    ),
)
