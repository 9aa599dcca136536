"""The two model slots on disk: assembling a package in one, and reading it back verified.

Owns the slots' files and the only way from them to a model that may run: `load` reads head and payload once, judges
them with all rules of `firmware_bridge.package.trust`, and returns the very bytes it judged. Refuses to know which
slot is active.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

from firmware_bridge.agent.errors import StateError
from firmware_bridge.agent.state.chunks import ChunkStore
from firmware_bridge.agent.state.slot_table import SLOT_NAMES, SlotRecord, SlotState
from firmware_bridge.agent.state.storage import Storage, temporary_name
from firmware_bridge.errors import RejectedError
from firmware_bridge.package.container import ENVELOPE_LIMIT_BYTES, HEADER_BYTES, Header
from firmware_bridge.package.manifest import CHUNK_BYTES, PAYLOAD_LIMIT_BYTES
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.trust import (
    AcceptedPackage,
    BoardContext,
    VerifiedPackage,
    verify_head,
    verify_payload,
)
from firmware_bridge.package.trust_store import TrustStore

__all__ = ["Slots", "slot_record"]

_FOLDER = "slots"
_DIGEST_BYTES = 32
_HEAD_LIMIT_BYTES = HEADER_BYTES + ENVELOPE_LIMIT_BYTES + _DIGEST_BYTES * (PAYLOAD_LIMIT_BYTES // CHUNK_BYTES)


class Slots:
    """The files of both slots."""

    def __init__(self, storage: Storage, chunks: ChunkStore) -> None:
        """Use the slots in ``storage``, and what has been received in ``chunks``."""
        self._storage = storage
        self._chunks = chunks

    def missing(self, accepted: AcceptedPackage) -> list[bool]:
        """Return for each chunk of a package whether it must be sent; chunks that a slot already has need not be."""
        stored = self._index()
        return [self._find(digest, stored) is None for digest in accepted.chunk_digests]

    def assemble(self, slot: str, accepted: AcceptedPackage) -> VerifiedPackage:
        """Write a package's payload beside the slot's own, and verify it as it stands on the disk.

        Nothing of the slot changes before `adopt`.

        Raises:
            StateError: chunks are missing.
            RejectedError: the payload does not match the head.
            OSError: the disk failed.
        """
        stored, temporary = self._index(), temporary_name(_payload(slot))
        self._storage.write(temporary, b"")
        try:
            for index, digest in enumerate(accepted.chunk_digests):
                data = self._find(digest, stored)
                if data is None:
                    raise StateError(f"chunk {index} of {len(accepted.chunk_digests)} is missing; offer it again")
                self._storage.append(temporary, data)
            self._storage.fsync(temporary)
            return verify_payload(accepted, self._storage.read(temporary, accepted.manifest.payload_bytes))
        except BaseException:
            self._storage.unlink(temporary)
            raise

    def adopt(self, slot: str, head: bytes) -> None:
        """Make the payload that `assemble` wrote, with its head, the content of ``slot``; durable on return.

        In between, head and payload are of two packages: the caller has marked the slot as empty before.
        """
        temporary = temporary_name(_head(slot))
        self._storage.write(temporary, head)
        self._storage.fsync(temporary)
        self._storage.rename(temporary, _head(slot))
        self._storage.rename(temporary_name(_payload(slot)), _payload(slot))
        self._storage.sync_folder(_FOLDER)

    def load(
        self, slot: str, store: TrustStore | None, context: BoardContext, head_digest: str | None = None
    ) -> VerifiedPackage:
        """Read a slot once, and return its package if every rule accepts it.

        Args:
            slot: the slot.
            store: the board's trust store.
            context: the board.
            head_digest: SHA-256 of the head that was installed, hex; None when that is not known any more.

        Raises:
            RejectedError: any reason; SLOT if the files are not there, not readable, or of another package.
        """
        try:
            head = self._storage.read(_head(slot), _HEAD_LIMIT_BYTES)
            if head_digest is not None and hashlib.sha256(head).hexdigest() != head_digest:
                raise RejectedError(
                    RejectReason.SLOT, f"slot {slot} does not contain the package that was installed in it"
                )
            accepted = verify_head(head, store, context)
            # One byte more, so that a longer file is refused as such by the rules.
            payload = self._storage.read(_payload(slot), accepted.manifest.payload_bytes + 1)
        except OSError as error:
            raise RejectedError(RejectReason.SLOT, f"slot {slot} cannot be read: {error.strerror}") from error
        return verify_payload(accepted, payload)

    def head(self, slot: str) -> bytes:
        """Return the head in a slot.

        Raises:
            OSError: it cannot be read.
        """
        return self._storage.read(_head(slot), _HEAD_LIMIT_BYTES)

    def clean(self) -> None:
        """Remove what an interrupted `assemble` has left."""
        for name in self._storage.names(_FOLDER):
            if name not in {file(slot) for slot in SLOT_NAMES for file in (_head, _payload)}:
                with contextlib.suppress(OSError):  # a read-only disk keeps it, and the board runs all the same
                    self._storage.unlink(name)

    def _find(self, digest: bytes, stored: dict[bytes, tuple[str, int]]) -> bytes | None:
        data = self._chunks.get(digest)
        if data is not None or digest not in stored:
            return data
        slot, index = stored[digest]
        try:
            data = self._storage.read_part(_payload(slot), index * CHUNK_BYTES, CHUNK_BYTES)
        except OSError:
            return None
        return data if hashlib.sha256(data).digest() == digest else None

    def _index(self) -> dict[bytes, tuple[str, int]]:
        """Return where the slots claim to hold which chunk; `_find` believes it only after hashing."""
        return {digest: (slot, index) for slot in SLOT_NAMES for index, digest in enumerate(self._table(slot))}

    def _table(self, slot: str) -> Iterator[bytes]:
        try:
            head = self._storage.read(_head(slot), _HEAD_LIMIT_BYTES)
            header = Header.parse(head)
        except (OSError, RejectedError):
            return
        for start in range(HEADER_BYTES + header.envelope_bytes, header.head_bytes, _DIGEST_BYTES):
            yield head[start : start + _DIGEST_BYTES]


def slot_record(package: VerifiedPackage, head: bytes) -> SlotRecord:
    """Return the slot table's record of a package that was installed with this head."""
    manifest, digest = package.manifest, hashlib.sha256(head)
    head_digest = digest.hexdigest()
    digest.update(package.payload)
    return SlotRecord(
        state=SlotState.INSTALLED,
        model=manifest.model,
        version=manifest.version,
        security_version=manifest.security_version,
        digest=manifest.payload_sha256.hex(),
        head_digest=head_digest,
        waiver=manifest.evidence.waiver,
        package_digest=digest.hexdigest(),
    )


def _head(slot: str) -> str:
    return f"{_FOLDER}/{slot}.head"


def _payload(slot: str) -> str:
    return f"{_FOLDER}/{slot}.payload"
