"""The board's trust store on disk; what may replace it is a rule of `firmware_bridge.package.trust`."""

from __future__ import annotations

from firmware_bridge.agent.errors import DamagedError
from firmware_bridge.agent.state.durable_record import DurableRecord
from firmware_bridge.agent.state.storage import Storage
from firmware_bridge.errors import RejectedError
from firmware_bridge.package.trust import accept_store
from firmware_bridge.package.trust_store import STORE_LIMIT_BYTES, TrustStore

__all__ = ["TrustFile"]

_NAME = "trust"


class TrustFile:
    """Stores the current trust store."""

    def __init__(self, storage: Storage) -> None:
        """Use the store in ``storage``; `load` reads it."""
        self._file = DurableRecord(storage, _NAME, STORE_LIMIT_BYTES)
        self._damage: DamagedError | None = None
        self.store: TrustStore | None = None

    def load(self) -> TrustStore | None:
        """Read the store; None on a factory-new board.

        Raises:
            DamagedError: there is one, and it cannot be read. From then on the board trusts nothing, and takes no new
                store either: what looks like a factory-new board might be one whose disk was tampered with.
        """
        try:
            data = self._file.load()
            self.store = None if data is None else TrustStore.decode(data)
        except DamagedError as error:
            self._damage = error
            raise
        except RejectedError as error:
            self._damage = DamagedError(f"the trust store on this board is damaged: {error}")
            raise self._damage from error
        return self.store

    def install(self, data: bytes) -> TrustStore:
        """Judge a new store, and make it the board's; durable on return.

        Raises:
            RejectedError: as `firmware_bridge.package.trust.accept_store`.
            DamagedError: the one that the board has cannot be read.
        """
        if self._damage is not None:
            raise DamagedError(f"{self._damage}; reset the board to its factory state, on site")
        new = accept_store(self.store, data)
        if self.store is None or new.raw != self.store.raw:
            self._file.save(new.raw)
            self.store = new
        return new
