"""Attacks on the policy: everything is signed well, and must still be refused at its head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from firmware_bridge.package.manifest import Evidence, PayloadFormat
from firmware_bridge.package.reasons import RejectReason as R
from hil.conformance.rules import Case, Group, Rule, offers, reasons
from hil.conformance.signing_kit import FLOOR, SigningKit

__all__ = ["RULES"]


def _program(shop: SigningKit) -> Iterator[Case]:
    yield Case("key-of-another", offers(shop.package(shop.other)))
    yield Case("package-and-key-of-another", offers(shop.package(shop.other, program=shop.other_program)))
    yield Case("package-of-another", offers(shop.package(program=shop.other_program)))
    for name in ("Conformance", "conformanc", "conformance2", "conformance.x"):
        yield Case(f"named-{name}", offers(shop.package(program=name)))


def _board(shop: SigningKit) -> Iterator[Case]:
    kind = shop.info.board
    for label, boards in {"another": ("another-board",), "longer": (f"{kind}0",), "shorter": (kind[:-1],),
                          "two-others": ("another-board", "third-board")}.items():  # fmt: skip
        yield Case(label, offers(shop.package(boards=boards)))


def _scope(shop: SigningKit) -> Iterator[Case]:
    kind = shop.info.board
    yield Case("this-board", offers(shop.package(shop.narrow)))
    both = tuple(sorted((kind, "another-board")))
    yield Case("this-and-its-own", offers(shop.package(shop.narrow, boards=both)))


def _format(shop: SigningKit) -> Iterator[Case]:
    for name, version in (("onnx", 3), ("tflite", 2), ("tflite", 4), ("TFLite", 3), ("tflite", 65535)):
        yield Case(f"{name}-{version}", offers(shop.package(format=PayloadFormat(name, version))))


def _runtime(shop: SigningKit) -> Iterator[Case]:
    name, version = shop.info.runtime.name, shop.info.runtime.version
    major = int(version.split(".")[0])
    yield Case("another", offers(shop.package(runtimes=(("onnx", "1.0"),))))
    for label, least in {"next-major": f"{major + 1}.0.0", "next-patch": f"{version}.1", "huge": "999999.0"}.items():
        yield Case(label, offers(shop.package(runtimes=((name, least),))))


def _operations(shop: SigningKit) -> Iterator[Case]:
    for op in ("CUSTOM:INT8", "CONV_3D:INT4", "ADD:INT4", "NO_SUCH_OP:INT8", "CONV_2D:INT8:INT2"):
        ops = tuple(sorted({*shop.manifest.ops, op}))
        yield Case(f"{op.lower().replace(':', '-')}", offers(shop.package(ops=ops)))


def _rollback(shop: SigningKit) -> Iterator[Case]:
    for version in range(FLOOR):
        yield Case(f"security-{version}", offers(shop.package(security_version=version)))
        yield Case(f"security-{version}-es384", offers(shop.package(shop.good384, security_version=version)))
    waived = replace(shop.manifest.evidence, waiver="urgent")
    yield Case("waived", offers(shop.package(security_version=0, evidence=waived)))
    yield Case("newer-name", offers(shop.package(security_version=FLOOR - 1, version="99.0.0")))


def _validity(shop: SigningKit) -> Iterator[Case]:
    now = shop.now_s
    for label, until in {"a-minute-ago": now - 60, "a-year-ago": now - 365 * 86_400, "in-1970": 1}.items():
        yield Case(f"expired-{label}", offers(shop.package(not_after_s=until)))
    for label, since in {"in-an-hour": now + 3600, "in-a-century": now + 100 * 365 * 86_400}.items():
        yield Case(f"begins-{label}", offers(shop.package(not_before_s=since)))


def _key_validity(shop: SigningKit) -> Iterator[Case]:
    for label, key in {"expired": shop.expired, "not-yet": shop.early}.items():
        yield Case(label, offers(shop.package(key)))
        yield Case(f"{label}-package-valid", offers(shop.package(key, not_before_s=0, not_after_s=shop.now_s + 3600)))
        yield Case(f"{label}-backdated", offers(shop.package(key, created_s=1)))


def _evidence(shop: SigningKit) -> Iterator[Case]:
    passed = shop.manifest.evidence
    yield Case("none", offers(shop.package(evidence=Evidence())))
    for verdict in ("FAIL", "INCONCLUSIVE"):
        yield Case(verdict.lower(), offers(shop.package(evidence=replace(passed, verdict=verdict))))
    yield Case("pass-without-digests", offers(shop.package(evidence=Evidence(verdict="PASS"))))
    yield Case("pass-without-gate", offers(shop.package(evidence=replace(passed, gate=bytes(32)))))


def _capacity(shop: SigningKit) -> Iterator[Case]:
    room = shop.info.capacity_bytes
    for label, size in {"one-byte-more": room + 1, "twice": 2 * room}.items():
        if size <= _PAYLOAD_LIMIT:
            yield Case(label, offers(shop.package(payload=shop.graph + bytes(size - len(shop.graph)))))


_PAYLOAD_LIMIT = 64 << 20


RULES = (
    Rule(
        "program",
        Group.POLICY,
        "package, key and board are of one program",
        "another program's model runs here",
        reasons(R.PROGRAM),
        _program,
    ),
    Rule(
        "board",
        Group.POLICY,
        "a package runs on the boards that it names, within its key's scope",
        "a model for another sensor",
        reasons(R.BOARD),
        _board,
    ),
    Rule(
        "key-scope",
        Group.POLICY,
        "a key signs for its kinds of boards",
        "a key for the bench signs for the field",
        reasons(R.BOARD),
        _scope,
    ),
    Rule(
        "format",
        Group.POLICY,
        "the payload is of a format that the board reads, in that version",
        "bytes that mean something else to another reader",
        reasons(R.FORMAT),
        _format,
    ),
    Rule(
        "runtime",
        Group.POLICY,
        "the runtime is the one, in a version that computes right",
        "kernels that are wrong in old versions",
        reasons(R.RUNTIME),
        _runtime,
    ),
    Rule(
        "runtime-operations",
        Group.POLICY,
        "the runtime has every declared operation",
        "a graph that fails halfway through its first frame",
        reasons(R.RUNTIME),
        _operations,
    ),
    Rule(
        "rollback",
        Group.POLICY,
        "nothing below the floor, whatever its other fields",
        "a model whose fault is known comes back",
        reasons(R.ROLLBACK),
        _rollback,
    ),
    Rule(
        "validity",
        Group.POLICY,
        "packages and keys have their time",
        "an expired waiver lives on",
        reasons(R.VALIDITY),
        _validity,
    ),
    Rule(
        "key-validity",
        Group.POLICY,
        "a key has its time, whatever its packages say",
        "a key that should be gone",
        reasons(R.VALIDITY),
        _key_validity,
    ),
    Rule(
        "evidence",
        Group.POLICY,
        "a passed gate, or a signed waiver",
        "a model runs that has not passed the gate",
        reasons(R.EVIDENCE),
        _evidence,
    ),
    Rule(
        "capacity",
        Group.POLICY,
        "what does not fit is refused at its head",
        "a disk that is full in the middle",
        reasons(R.CAPACITY),
        _capacity,
    ),
)
