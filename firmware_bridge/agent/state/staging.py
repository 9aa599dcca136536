"""What arrives: the offered package, chunk by chunk, until it stands whole beside a slot.

Owns which package is on offer, and the room that it needs. Whether it is welcome is decided before it comes here.
"""

from __future__ import annotations

from firmware_bridge.agent.errors import StateError
from firmware_bridge.agent.state.chunks import ChunkStore
from firmware_bridge.agent.state.slots import Slots
from firmware_bridge.agent.state.storage import Storage
from firmware_bridge.errors import RejectedError
from firmware_bridge.package.manifest import CHUNK_BYTES
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.trust import AcceptedPackage, VerifiedPackage

__all__ = ["Staging"]

_SPARE_BYTES = 1 << 20  # for the records and the audit log beside a package


class Staging:
    """The package on offer, if there is one."""

    def __init__(self, storage: Storage, chunks: ChunkStore, slots: Slots) -> None:
        """Receive into ``chunks``, assemble in ``slots``; both are in ``storage``."""
        self._storage = storage
        self._chunks = chunks
        self._slots = slots
        self._offered: tuple[bytes, AcceptedPackage] | None = None

    @property
    def head(self) -> bytes:
        """The offered head; raises StateError when nothing is offered."""
        return self._current()[0]

    @property
    def accepted(self) -> AcceptedPackage:
        """The offered package; raises StateError when nothing is offered."""
        return self._current()[1]

    def begin(self, head: bytes, accepted: AcceptedPackage) -> list[bool]:
        """Put an accepted package on offer; chunks of others are dropped.

        Returns:
            For each chunk, whether it must be sent.

        Raises:
            RejectedError: CAPACITY, it does not fit on the disk.
        """
        self._chunks.keep_only(set(accepted.chunk_digests))
        missing = self._slots.missing(accepted)
        # The missing chunks, and the payload once more while it is put together.
        needed = accepted.manifest.payload_bytes + sum(missing) * CHUNK_BYTES + _SPARE_BYTES
        free = self._storage.free_bytes()
        if needed > free:
            raise RejectedError(RejectReason.CAPACITY, f"{needed} bytes needed on the disk, {free} free")
        self._offered = head, accepted
        return missing

    def chunk(self, index: int, data: bytes) -> None:
        """Check and keep one chunk.

        Raises:
            StateError: nothing is offered.
            RejectedError: CHUNK, it is not that chunk.
        """
        accepted = self.accepted
        accepted.check_chunk(index, data)
        self._chunks.put(accepted.chunk_digests[index], data)

    def assemble(self, slot: str) -> VerifiedPackage:
        """Put the payload together beside ``slot``, and verify it there; errors as `Slots.assemble`."""
        self._chunks.sync()
        return self._slots.assemble(slot, self.accepted)

    def end(self, *, received: bool = False) -> None:
        """Offer nothing any more; what has arrived stays for another try, unless it was ``received`` as a whole."""
        self._offered = None
        if received:
            self._chunks.keep_only(())

    def _current(self) -> tuple[bytes, AcceptedPackage]:
        if self._offered is None:
            raise StateError("no package was offered; offer its head first")
        return self._offered
