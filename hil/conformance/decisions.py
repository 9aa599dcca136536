"""Attacks on trust stores, policy and the graph: everything is signed well, and must still be refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from firmware_bridge.package.manifest import Evidence
from firmware_bridge.package.reasons import RejectReason as R
from firmware_bridge.package.store import ProgramKey
from hil.conformance.rules import Case, Group, Rule, offers, provides, reasons
from hil.conformance.workshop import FLOOR, OTHER_PROGRAM, PROGRAM, STORE_VERSION, Workshop

__all__ = ["RULES"]

_NEXT = STORE_VERSION + 1


# --- trust stores -------------------------------------------------------------------------------------------------


def _too_few(shop: Workshop) -> Iterator[Case]:
    first, second, _ = shop.roots
    yield Case("one-root", provides(shop.raw_store([first])))
    yield Case("no-root", provides(shop.raw_store([shop.stranger])))
    yield Case("program-key", provides(shop.raw_store([first, shop.good])))
    yield Case("two-strangers", provides(shop.raw_store([shop.stranger, shop.other])))
    yield Case("one-and-stranger", provides(shop.raw_store([second, shop.stranger])))


def _one_twice(shop: Workshop) -> Iterator[Case]:
    first = shop.roots[0]
    yield Case("signature-twice", provides(_doubled(shop.raw_store([first]))))
    yield Case("key-listed-twice", provides(shop.raw_store(shop.roots[:2], roots=[first.public_key_spki] * 2)))


def _doubled(store: bytes) -> bytes:
    """Return a store whose only signature stands in it twice."""
    from firmware_bridge.package import cbor

    envelope = cbor.decode(store[2:])
    assert isinstance(envelope, list)
    signatures: Any = envelope[3]
    return store[:2] + cbor.encode([*envelope[:3], [*signatures, *signatures]])


def _self_signed(shop: Workshop) -> Iterator[Case]:
    mine = Workshop(shop.info, shop.now_s)
    yield Case("newer", provides(mine.store(_NEXT).raw))
    yield Case("much-newer", provides(mine.store(1 << 40).raw))
    yield Case("same-version", provides(mine.store(STORE_VERSION).raw))


def _rolled_back(shop: Workshop) -> Iterator[Case]:
    for version in (1, 2, STORE_VERSION - 1):
        yield Case(f"version-{version}", provides(shop.store(version).raw))
    yield Case("same-version-other-bytes", provides(shop.store(STORE_VERSION, created_s=shop.now_s - 1).raw))


def _store_bits(shop: Workshop) -> Iterator[Case]:
    store = shop.store(_NEXT).raw
    allowed = reasons(R.TRUST_SIGNATURES, R.CBOR, R.ENVELOPE, R.ALGORITHM, R.SCHEMA)
    for index in range(24):
        position = len(store) * index // 24
        flipped = store[:position] + bytes([store[position] ^ (1 << index % 8)]) + store[position + 1 :]
        yield Case(f"byte-{position}", provides(flipped), allowed)


def _store_form(shop: Workshop) -> Iterator[Case]:
    roots, store = shop.roots[:2], shop.store(_NEXT).raw
    yield Case("empty", provides(b""), reasons(R.CBOR, R.ENVELOPE))
    yield Case("cut", provides(store[:-1]), reasons(R.CBOR))
    yield Case("trailing", provides(store + b"\0"), reasons(R.CBOR))
    yield Case("over-cap", provides(bytes(64 * 1024 + 1)), reasons(R.LENGTH))
    yield Case("a-package", provides(shop.package().head[24:]), reasons(R.ENVELOPE, R.CBOR))
    changes: dict[str, dict[str, Any]] = {
        "threshold-1": {"threshold": 1},
        "threshold-0": {"threshold": 0},
        "threshold-over-roots": {"threshold": 9},
        "one-root": {"roots": [roots[0].public_key_spki]},
        "no-program": {"program": ...},
        "unknown-field": {"extra": 1},
        "off-the-curve": {"roots": [_off_the_curve(r.public_key_spki) for r in shop.roots]},
        "version-0": {"version": 0},
        "negative-floor": {"floors": [[PROGRAM, -1]]},
    }
    for label, change in changes.items():
        yield Case(label, provides(shop.raw_store(roots, **change)), reasons(R.SCHEMA, R.TRUST_SIGNATURES))


def _off_the_curve(spki: bytes) -> bytes:
    return spki[:-1] + bytes([spki[-1] ^ 1])


def _shared_key(shop: Workshop) -> Iterator[Case]:
    root = shop.roots[2]
    keys = [{"spki": root.public_key_spki, "alg": -7, "program": PROGRAM, "boards": [], "from": None, "until": None,
             "revoked": ""}]  # fmt: skip
    yield Case("root-signs-packages", provides(shop.raw_store(shop.roots[:2], keys=keys)))


def _foreign_store(shop: Workshop) -> Iterator[Case]:
    keys = [ProgramKey(shop.good.public_key_spki, OTHER_PROGRAM)]
    yield Case("same-roots", provides(shop.store(_NEXT, program=OTHER_PROGRAM, keys=keys, floors=[]).raw))


# --- policy -------------------------------------------------------------------------------------------------------


def _program(shop: Workshop) -> Iterator[Case]:
    yield Case("key-of-another", offers(shop.package(shop.other)))
    yield Case("package-and-key-of-another", offers(shop.package(shop.other, program=OTHER_PROGRAM)))
    yield Case("package-of-another", offers(shop.package(program=OTHER_PROGRAM)))
    for name in ("Conformance", "conformanc", "conformance2", "conformance.x"):
        yield Case(f"named-{name}", offers(shop.package(program=name)))


def _board(shop: Workshop) -> Iterator[Case]:
    kind = shop.info.board
    for label, boards in {"another": ("another-board",), "longer": (f"{kind}0",), "shorter": (kind[:-1],),
                          "two-others": ("another-board", "third-board")}.items():  # fmt: skip
        yield Case(label, offers(shop.package(boards=boards)))


def _scope(shop: Workshop) -> Iterator[Case]:
    kind = shop.info.board
    yield Case("this-board", offers(shop.package(shop.narrow)))
    both = tuple(sorted((kind, "another-board")))
    yield Case("this-and-its-own", offers(shop.package(shop.narrow, boards=both)))


def _runtime(shop: Workshop) -> Iterator[Case]:
    name, version = shop.info.runtime.name, shop.info.runtime.version
    major = int(version.split(".")[0])
    yield Case("another", offers(shop.package(runtimes=(("onnx", "1.0"),))))
    for label, least in {"next-major": f"{major + 1}.0.0", "next-patch": f"{version}.1", "huge": "999999.0"}.items():
        yield Case(label, offers(shop.package(runtimes=((name, least),))))


def _operations(shop: Workshop) -> Iterator[Case]:
    for op in ("CUSTOM:INT8", "CONV_3D:INT4", "ADD:INT4", "NO_SUCH_OP:INT8"):
        ops = tuple(sorted({*shop.manifest.ops, op}))
        yield Case(f"{op.lower().replace(':', '-')}", offers(shop.package(ops=ops)))


def _rollback(shop: Workshop) -> Iterator[Case]:
    for version in range(FLOOR):
        yield Case(f"security-{version}", offers(shop.package(security_version=version)))
        yield Case(f"security-{version}-es384", offers(shop.package(shop.good384, security_version=version)))
    waived = replace(shop.manifest.evidence, waiver="urgent")
    yield Case("waived", offers(shop.package(security_version=0, evidence=waived)))
    yield Case("newer-name", offers(shop.package(security_version=FLOOR - 1, version="99.0.0")))


def _validity(shop: Workshop) -> Iterator[Case]:
    now = shop.now_s
    for label, until in {"a-minute-ago": now - 60, "a-year-ago": now - 365 * 86_400, "in-1970": 1}.items():
        yield Case(f"expired-{label}", offers(shop.package(not_after_s=until)))
    for label, since in {"in-an-hour": now + 3600, "in-a-century": now + 100 * 365 * 86_400}.items():
        yield Case(f"begins-{label}", offers(shop.package(not_before_s=since)))


def _key_validity(shop: Workshop) -> Iterator[Case]:
    for label, key in {"expired": shop.expired, "not-yet": shop.early}.items():
        yield Case(label, offers(shop.package(key)))
        yield Case(f"{label}-package-valid", offers(shop.package(key, not_before_s=0, not_after_s=shop.now_s + 3600)))
        yield Case(f"{label}-backdated", offers(shop.package(key, created_s=1)))


def _evidence(shop: Workshop) -> Iterator[Case]:
    passed = shop.manifest.evidence
    yield Case("none", offers(shop.package(evidence=Evidence())))
    for verdict in ("FAIL", "INCONCLUSIVE"):
        yield Case(verdict.lower(), offers(shop.package(evidence=replace(passed, verdict=verdict))))
    yield Case("pass-without-digests", offers(shop.package(evidence=Evidence(verdict="PASS"))))
    yield Case("pass-without-gate", offers(shop.package(evidence=replace(passed, gate=bytes(32)))))


def _capacity(shop: Workshop) -> Iterator[Case]:
    room = shop.info.capacity_bytes
    for label, size in {"one-byte-more": room + 1, "twice": 2 * room}.items():
        if size <= _PAYLOAD_LIMIT:
            yield Case(label, offers(shop.package(payload=shop.graph + bytes(size - len(shop.graph)))))


_PAYLOAD_LIMIT = 64 << 20


# --- graph --------------------------------------------------------------------------------------------------------


def _broken(shop: Workshop) -> Iterator[Case]:
    graph = shop.graph
    payloads = {
        "no-root": b"\x10\0\0\0TFL3" + b"\xff" * 64,
        "root-outside": b"\xff\xff\xff\x7fTFL3" + graph[8:],
        "other-identifier": graph[:4] + b"XXXX" + graph[8:],
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
    """Tell whether a bent graph is one that the reference parser refuses: some offsets matter to nobody."""
    from firmware_bridge.errors import InputError
    from firmware_bridge.target.graph import Graph

    try:
        Graph.parse(payload)
    except InputError:
        return True
    return False


def _undeclared(shop: Workshop) -> Iterator[Case]:
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


def _other_operations(shop: Workshop) -> Iterator[Case]:
    known = [op for op in shop.info.runtime.ops if op not in shop.manifest.ops][:6]
    for op in known:
        yield Case(f"{op}-instead", offers(shop.package(payload=shop.fresh_payload(), ops=(op,))))
        more = tuple(sorted((*shop.manifest.ops, op)))
        yield Case(f"{op}-more", offers(shop.package(payload=shop.fresh_payload(), ops=more)))


_T, _P, _G = Group.TRUST, Group.POLICY, Group.GRAPH
_SIGNATURES = reasons(R.TRUST_SIGNATURES)
RULES = (
    Rule(
        "store-too-few-roots",
        _T,
        "enough distinct roots sign a store",
        "one stolen root replaces every key",
        _SIGNATURES,
        _too_few,
    ),
    Rule(
        "store-root-twice",
        _T,
        "one root counts once",
        "a threshold that one key reaches alone",
        reasons(R.TRUST_SIGNATURES, R.ENVELOPE, R.SCHEMA),
        _one_twice,
        "CVE-2020-6174 (TUF: one key's signatures counted twice)",
    ),
    Rule(
        "store-self-signed",
        _T,
        "the current roots decide about the next",
        "anybody's own store is whole",
        _SIGNATURES,
        _self_signed,
    ),
    Rule(
        "store-rolled-back",
        _T,
        "versions grow",
        "a key that was revoked comes back",
        reasons(R.TRUST_VERSION),
        _rolled_back,
    ),
    Rule(
        "store-bits",
        _T,
        "no bit of a store is outside its signatures",
        "a scope or a floor is changed",
        _SIGNATURES,
        _store_bits,
    ),
    Rule(
        "store-form",
        _T,
        "a store is strict, bounded and complete",
        "a threshold of one, a point off the curve, a bomb",
        reasons(R.SCHEMA),
        _store_form,
        "CVE-2020-0601 (unchecked curve parameters)",
    ),
    Rule(
        "store-key-in-two-roles",
        _T,
        "a root signs no packages",
        "one stolen key does both",
        reasons(R.SCHEMA),
        _shared_key,
    ),
    Rule(
        "store-of-another-program",
        _T,
        "a board stays with its program",
        "a board changes hands in silence",
        reasons(R.PROGRAM),
        _foreign_store,
    ),
    Rule(
        "program",
        _P,
        "package, key and board are of one program",
        "another program's model runs here",
        reasons(R.PROGRAM),
        _program,
    ),
    Rule(
        "board",
        _P,
        "a package runs on the boards that it names, within its key's scope",
        "a model for another sensor",
        reasons(R.BOARD),
        _board,
    ),
    Rule(
        "key-scope",
        _P,
        "a key signs for its kinds of boards",
        "a key for the bench signs for the field",
        reasons(R.BOARD),
        _scope,
    ),
    Rule(
        "runtime",
        _P,
        "the runtime is the one, in a version that computes right",
        "kernels that are wrong in old versions",
        reasons(R.RUNTIME),
        _runtime,
    ),
    Rule(
        "runtime-operations",
        _P,
        "the runtime has every declared operation",
        "a graph that fails halfway through its first frame",
        reasons(R.RUNTIME),
        _operations,
    ),
    Rule(
        "rollback",
        _P,
        "nothing below the floor, whatever else it says",
        "a model whose fault is known comes back",
        reasons(R.ROLLBACK),
        _rollback,
    ),
    Rule(
        "validity",
        _P,
        "packages and keys have their time",
        "an expired waiver lives on",
        reasons(R.VALIDITY),
        _validity,
    ),
    Rule(
        "key-validity",
        _P,
        "a key has its time, whatever its packages say",
        "a key that should be gone",
        reasons(R.VALIDITY),
        _key_validity,
    ),
    Rule(
        "evidence",
        _P,
        "a passed gate, or a signed waiver",
        "a model runs that nobody has judged",
        reasons(R.EVIDENCE),
        _evidence,
    ),
    Rule(
        "capacity",
        _P,
        "what does not fit is refused at its head",
        "a disk that is full in the middle",
        reasons(R.CAPACITY),
        _capacity,
    ),
    Rule(
        "graph-broken",
        _G,
        "a broken graph is refused, although it is signed",
        "a FlatBuffer that reads outside itself",
        reasons(R.GRAPH),
        _broken,
        "CVE-2020-15209 (TFLite: a crafted model)",
    ),
    Rule(
        "graph-operations",
        _G,
        "the graph has the operations that the manifest declares, and no others",
        "an operation that nobody has reviewed",
        reasons(R.GRAPH),
        _other_operations,
    ),
    Rule(
        "graph-undeclared",
        _G,
        "the graph is what the manifest declares",
        "another network under a judged name",
        reasons(R.GRAPH),
        _undeclared,
    ),
)
