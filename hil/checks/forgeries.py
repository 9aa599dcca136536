"""Packages that a board must refuse, derived from one that it accepts.

Each is what a fault or an attacker would make of the genuine package without the program's key. Nothing here is written
to a disk; keys made here live as long as the call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.errors import RejectedError
from firmware_bridge.host.board import Board
from firmware_bridge.host.transfer import ChunkSource
from firmware_bridge.package.container import HEADER_BYTES, PackageFile, build
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.signing import PemSigner
from firmware_bridge.protocol.messages import BoardInfo, SlotInfo
from hil.measurements.results import Rejection

__all__ = ["ACCEPTED", "FLIPPED_PAYLOAD", "FORGERIES", "AlteredSource", "Forgery", "attempt"]

ACCEPTED = "accepted"
"""Stands for the reason when the board accepted what it had to refuse."""


@dataclass(frozen=True)
class AlteredSource:
    """A package as a push sees it, whose head or chunks are altered.

    Attributes:
        head: header, envelope and chunk table.
        package: where the chunks come from.
        flip: whether one bit of each chunk is flipped: whichever crosses the link first must be refused.
    """

    head: bytes
    package: PackageFile
    flip: bool = False

    @property
    def chunk_count(self) -> int:
        """How many chunks the payload has."""
        return self.package.chunk_count

    def chunk(self, index: int) -> bytes:
        """Return one chunk."""
        data = self.package.chunk(index)
        return _flipped(data, len(data) // 2) if self.flip else data


@dataclass(frozen=True, slots=True)
class Forgery:
    """One kind of package that must be refused.

    Attributes:
        case: short name.
        title: what was done, in words.
        expected: the reasons that are right.
        make: makes it from the genuine package.
    """

    case: str
    title: str
    expected: tuple[RejectReason, ...]
    make: Callable[[PackageFile], AlteredSource]


def attempt(board: Board, forgery: Forgery, source: ChunkSource) -> Rejection:
    """Push what must be refused; return what the board said, and whether its active slot is the same as before.

    If the board accepts it, the detail is the digest of the graph that it then has.

    Raises:
        BoardError, TransferError: the board or the link broke instead of refusing.
    """
    before, wire_before = board.info(), _wire_bytes(board)
    got, detail = ACCEPTED, ""
    try:
        detail = board.push(source).digest
    except RejectedError as error:
        got, detail = error.reason.code, error.detail
    wire = _wire_bytes(board) - wire_before
    unchanged = _active(before) == _active(board.info())
    expected = tuple(reason.code for reason in forgery.expected)
    return Rejection(forgery.case, forgery.title, expected, got, detail, unchanged, wire)


def _active(info: BoardInfo) -> SlotInfo | None:
    return next((slot for slot in info.slots if slot.name == info.active), None)


def _wire_bytes(board: Board) -> int:
    return board.statistics.wire_bytes_sent


def _flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :]


def _flipped_manifest(package: PackageFile) -> AlteredSource:
    # The manifest is the envelope's payload as it stands; its middle is a digest or a name, which stays valid CBOR.
    manifest = package.envelope_unverified.payload
    middle = package.head.index(manifest) + manifest.index(package.manifest_unverified.payload_sha256) + 16
    return AlteredSource(_flipped(package.head, middle), package)


def _flipped_signature(package: PackageFile) -> AlteredSource:
    # r || s ends the envelope.
    return AlteredSource(_flipped(package.head, HEADER_BYTES + package.header.envelope_bytes - 1), package)


def _flipped_table(package: PackageFile) -> AlteredSource:
    return AlteredSource(_flipped(package.head, len(package.head) - 1), package)


def _flipped_chunks(package: PackageFile) -> AlteredSource:
    return AlteredSource(package.head, package, flip=True)


def _truncated(package: PackageFile) -> AlteredSource:
    return AlteredSource(package.head[:-1], package)


def _lengthened(package: PackageFile) -> AlteredSource:
    return AlteredSource(package.head + b"\0", package)


def _other_key(package: PackageFile) -> AlteredSource:
    return _signed_anew(package, package.manifest_unverified.program)


def _other_program(package: PackageFile) -> AlteredSource:
    return _signed_anew(package, f"not-{package.manifest_unverified.program}")


def _signed_anew(package: PackageFile, program: str) -> AlteredSource:
    signer = PemSigner(ec.generate_private_key(ec.SECP256R1()))
    forged = PackageFile.of(build(replace(package.manifest_unverified, program=program), package.payload(), signer))
    return AlteredSource(forged.head, forged)


FLIPPED_PAYLOAD = Forgery(
    "flipped-payload-bit", "one bit of the payload flipped on the way", (RejectReason.CHUNK,), _flipped_chunks
)
"""Only a board that lacks the payload's chunks can show this one: it is tried before the package is installed."""

FORGERIES = (
    Forgery("flipped-manifest-bit", "one bit of the manifest flipped", (RejectReason.SIGNATURE,), _flipped_manifest),
    Forgery("flipped-signature-bit", "one bit of the signature flipped", (RejectReason.SIGNATURE,), _flipped_signature),
    Forgery("flipped-table-bit", "one bit of the chunk table flipped", (RejectReason.CHUNK_TABLE,), _flipped_table),
    Forgery("truncated", "the head cut by one byte", (RejectReason.LENGTH, RejectReason.FRAME), _truncated),
    Forgery("trailing-byte", "one byte after the head", (RejectReason.TRAILING, RejectReason.LENGTH), _lengthened),
    Forgery(
        "unknown-key", "signed anew with a key that the board does not know", (RejectReason.UNKNOWN_KEY,), _other_key
    ),
    Forgery(
        "other-program",
        "signed for another program with that program's key",
        (RejectReason.UNKNOWN_KEY, RejectReason.PROGRAM),
        _other_program,
    ),
)
