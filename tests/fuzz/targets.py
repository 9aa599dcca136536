"""What is fuzzed: each target takes any bytes, refuses most, and breaks no promise on those that it takes.

`python -m tests.fuzz.targets NAME [libFuzzer's flags] CORPUS` runs one; `tests.fuzz.run` runs all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_MESSAGE_PEAK_BYTES = 64 * 2**20
VECTORS = Path(__file__).parent.parent / "vectors"


@dataclass(frozen=True)
class Target:
    """One entry point.

    Attributes:
        seeds: good and nearly good inputs to start from.
        make: imports what is fuzzed, and returns the function that takes the bytes.
    """

    seeds: Callable[[], Iterator[bytes]]
    make: Callable[[], Callable[[bytes], None]]


def _packages() -> Iterator[bytes]:
    return (path.read_bytes() for path in sorted(VECTORS.glob("*.ksm")))


def _manifests() -> Iterator[bytes]:
    from firmware_bridge.package.container import PackageFile

    for name in ("accepted-es256", "accepted-waived", "accepted-es384"):
        yield PackageFile.of((VECTORS / f"{name}.ksm").read_bytes()).envelope_unverified.payload


def _container() -> Callable[[bytes], None]:
    from firmware_bridge.errors import RejectedError
    from firmware_bridge.package import trust
    from firmware_bridge.package.container import PackageFile

    store = trust.TrustStore.decode((VECTORS / "trust.store").read_bytes())
    board = trust.BoardContext.any_board()
    signed = {PackageFile.of(package).body for package in _packages() if _accepted(package, store, board)}

    def take(data: bytes) -> None:
        try:
            verified = trust.verify_package(data, store, board)
        except RejectedError:
            return
        assert verified.payload in signed, "a package was accepted that nobody signed"

    return take


def _accepted(package: bytes, store: object, board: object) -> bool:
    from firmware_bridge.errors import RejectedError
    from firmware_bridge.package import trust

    try:
        trust.verify_package(package, store, board)
    except RejectedError:
        return False
    return True


def _cbor() -> Callable[[bytes], None]:
    from firmware_bridge.errors import RejectedError
    from firmware_bridge.package import cbor

    def take(data: bytes) -> None:
        try:
            value = cbor.decode(data)
        except RejectedError:
            return
        assert cbor.encode(value) == data, "strict CBOR has one encoding"

    return take


def _manifest() -> Callable[[bytes], None]:
    from firmware_bridge.errors import RejectedError
    from firmware_bridge.package import manifest

    def take(data: bytes) -> None:
        try:
            value = manifest.decode(data)
        except RejectedError:
            return
        assert manifest.encode(value) == data, "a manifest has one encoding"

    return take


def _messages() -> Iterator[bytes]:
    from firmware_bridge.protocol import messages as m
    from firmware_bridge.protocol.codec import encode

    slot = m.SlotInfo("a", "confirmed", "net", "1.0", 3, "00" * 32)
    for message in (m.Hello(3, "bench"), m.Offer(bytes(40)), m.Audit((m.AuditEntry(1, 2.0, "boot", "x", "ok"),)),
                    m.Infer({"x": m.Tensor("int8", (1, 4), bytes(4))}), m.Refusal("signature", str(slot))):  # fmt: skip
        yield encode(message)


def _message() -> Callable[[bytes], None]:
    import tracemalloc

    from firmware_bridge.errors import ProtocolError
    from firmware_bridge.protocol.codec import decode, encode

    tracemalloc.start()

    def take(data: bytes) -> None:
        for greeted in (False, True):
            try:
                message = decode(data, greeted=greeted)
            except ProtocolError:
                continue
            assert decode(encode(message)) == message, "a message is what its encoding says"
        assert tracemalloc.get_traced_memory()[1] < _MESSAGE_PEAK_BYTES, "a few kilobytes took too much memory"
        tracemalloc.reset_peak()

    return take


TARGETS = {
    "message": Target(_messages, _message),
    "container": Target(_packages, _container),
    "cbor": Target(_manifests, _cbor),
    "manifest": Target(_manifests, _manifest),
}


def main() -> None:
    """Run one target under libFuzzer."""
    import atheris

    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["firmware_bridge", "cbor2"]):
        take = TARGETS[name].make()
    atheris.Setup(sys.argv, take)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
