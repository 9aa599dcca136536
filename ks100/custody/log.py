"""The append-only custody log: a folder that anyone can copy, and anyone with the public key can verify.

Handles the folder, locking, appending, and detecting tampering. `ks100.custody.chain` interprets the statements.

    entries.jsonl   one DSSE envelope per line; a line without its line end is a leaf of the Merkle tree
    checkpoint      the signed note over all entries, replaced atomically after each append
    lock            held (flock) while appending
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import InputError
from firmware_bridge.files import write_atomically
from firmware_bridge.package.ecdsa import PublicKey
from firmware_bridge.package.signing import Signer
from ks100.custody import dsse, merkle
from ks100.custody.checkpoint import Checkpoint
from ks100.custody.faults import BrokenCustodyError, CustodyFault
from ks100.custody.statement import Statement

__all__ = ["CustodyLog", "Entry", "verify_log"]

_ENTRIES, _CHECKPOINT, _LOCK = "entries.jsonl", "checkpoint", "lock"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log.

    Attributes:
        index: its position, from 0.
        statement: the statement.
        key_id: key id of the signer, hex.
        leaf: its leaf hash, hex.
        line: its bytes in the log.
    """

    index: int
    statement: Statement
    key_id: str
    leaf: str
    line: bytes

    @property
    def reference(self) -> str:
        """Its reference in a manifest: index and leaf hash."""
        return f"{self.index}:{self.leaf}"

    @classmethod
    def parse(cls, index: int, line: bytes) -> Entry:
        """Read an entry without verifying its signature.

        Raises:
            BrokenCustodyError: STATEMENT, with the entry's index.
        """
        try:
            envelope = dsse.Envelope.parse(line)
            return cls(index, envelope.statement(), envelope.key_id, merkle.leaf_hash(line).hex(), line)
        except BrokenCustodyError as error:
            raise BrokenCustodyError(error.fault, f"entry {index}: {error.detail}") from error


class CustodyLog:
    """A custody log in a folder; several processes may append to it at once.

    Attributes:
        folder: the log's folder.
    """

    def __init__(self, folder: Path, signer: Signer | None) -> None:
        """Use `open`."""
        self.folder = folder
        self._signer = signer

    @classmethod
    def open(cls, folder: Path, signer: Signer | None = None) -> CustodyLog:
        """Open a log; create it if it is missing and a signer is given.

        Args:
            folder: the log's folder.
            signer: signs checkpoints and, by default, entries; None for reading only.

        Raises:
            InputError: there is no log, or the folder cannot be written.
        """
        log = cls(folder, signer)
        if (folder / _CHECKPOINT).exists():
            return log
        if signer is None:
            raise InputError(f"{folder} is not a custody log; give the folder written by the pipeline")
        with log._locked():
            if not (folder / _CHECKPOINT).exists():
                origin = f"ks100-custody/{signer.key_id.hex()[:16]}"
                (folder / _ENTRIES).touch()
                log._write_checkpoint(Checkpoint.sign(origin, 0, merkle.root_of([]), signer))
        return log

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, signatures unverified.

        Raises:
            BrokenCustodyError: UNREADABLE or STATEMENT.
        """
        return tuple(Entry.parse(index, line) for index, line in enumerate(_read_lines(self.folder)))

    def append(self, statement: Statement, signer: Signer | None = None) -> Entry:
        """Sign a statement and append it; when this returns, entry and checkpoint are durable.

        Args:
            statement: what was done.
            signer: signs the entry; the log's signer if None.

        Raises:
            InputError: the log was opened without a signer, or cannot be written.
            BrokenCustodyError: CHECKPOINT_SIGNATURE, CUT or EDITED: the log was tampered with; nothing is appended.
        """
        if self._signer is None:
            raise InputError(f"the custody log {self.folder} is open for reading; open it with the log's key to append")
        line = dsse.seal(statement, signer or self._signer).to_line()
        with self._locked():
            current = Checkpoint.verify(_read_checkpoint(self.folder), self._signer.public_key_spki)
            lines = _read_lines(self.folder)
            leaves = [merkle.leaf_hash(kept) for kept in lines]
            _require_covers(current, leaves)
            leaves.append(merkle.leaf_hash(line))
            self._write_line(line, sum(len(kept) + 1 for kept in lines))
            self._write_checkpoint(Checkpoint.sign(current.origin, len(leaves), merkle.root_of(leaves), self._signer))
        return Entry.parse(len(leaves) - 1, line)

    def checkpoint(self) -> Checkpoint:
        """Return the checkpoint over all entries.

        Raises:
            InputError: the log was opened without a signer; use `verify_log` with the public key.
            BrokenCustodyError: UNREADABLE or CHECKPOINT_SIGNATURE.
        """
        if self._signer is None:
            raise InputError("a checkpoint is checked with the log's key; use verify_log with the public key")
        return Checkpoint.verify(_read_checkpoint(self.folder), self._signer.public_key_spki)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / _LOCK).open("a")
        except OSError as error:
            raise InputError(f"cannot write the custody log {self.folder}: {error.strerror}") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write_line(self, line: bytes, at: int) -> None:
        """Write one line after the last complete one, over the remains of a line after a power cut."""
        with (self.folder / _ENTRIES).open("r+b") as file:
            file.truncate(at)
            file.seek(at)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _write_checkpoint(self, checkpoint: Checkpoint) -> None:
        write_atomically(self.folder / _CHECKPOINT, checkpoint.text.encode())


def verify_log(
    folder: Path,
    checkpoint: Checkpoint | str | None,
    public_key_spki: bytes,
    signers: Iterable[bytes] | None = None,
) -> tuple[Entry, ...]:
    """Verify a log: its checkpoint, every entry, and that it extends an earlier checkpoint.

    Args:
        folder: the log.
        checkpoint: the last checkpoint that the caller has archived, or None. Without it, a log that was truncated or
            forked together with its checkpoint cannot be distinguished from a valid one.
        public_key_spki: the log's key.
        signers: SPKI of all keys that may sign entries; only the log's key if None.

    Returns:
        The entries, all verified.

    Raises:
        BrokenCustodyError: UNREADABLE, CHECKPOINT_SIGNATURE, CUT, EDITED, UNCOVERED, ORIGIN, FORKED, STATEMENT,
            ENTRY_SIGNER or ENTRY_SIGNATURE.
    """
    current = Checkpoint.verify(_read_checkpoint(folder), public_key_spki)
    lines = _read_lines(folder)
    leaves = [merkle.leaf_hash(line) for line in lines]
    _require_covers(current, leaves)
    if len(leaves) > current.size:
        raise BrokenCustodyError(CustodyFault.UNCOVERED, f"{len(leaves)} entries, checkpoint of {current.size}")
    if checkpoint is not None:
        text = checkpoint if isinstance(checkpoint, str) else checkpoint.text
        _require_extends(Checkpoint.verify(text, public_key_spki), current, leaves)
    keys = {key.key_id.hex(): key for key in map(PublicKey, signers or (public_key_spki,))}
    return tuple(_verified_entry(index, line, keys) for index, line in enumerate(lines))


def _verified_entry(index: int, line: bytes, keys: dict[str, PublicKey]) -> Entry:
    entry = Entry.parse(index, line)
    try:
        dsse.Envelope.parse(line).verify(keys)
    except BrokenCustodyError as error:
        raise BrokenCustodyError(error.fault, f"entry {index}: {error.detail}") from error
    return entry


def _require_covers(checkpoint: Checkpoint, leaves: list[bytes]) -> None:
    if len(leaves) < checkpoint.size:
        raise BrokenCustodyError(CustodyFault.CUT, f"{len(leaves)} entries, its checkpoint has {checkpoint.size}")
    if merkle.root_of(leaves[: checkpoint.size]) != checkpoint.root:
        raise BrokenCustodyError(CustodyFault.EDITED, f"the root over {checkpoint.size} entries is not the signed one")


def _require_extends(seen: Checkpoint, current: Checkpoint, leaves: list[bytes]) -> None:
    if seen.origin != current.origin:
        raise BrokenCustodyError(CustodyFault.ORIGIN, f"seen {seen.origin}, this is {current.origin}")
    if current.size < seen.size:
        raise BrokenCustodyError(CustodyFault.CUT, f"{current.size} entries, {seen.size} were seen before")
    if merkle.root_of(leaves[: seen.size]) != seen.root:
        raise BrokenCustodyError(CustodyFault.FORKED, f"its first {seen.size} entries are not those seen before")


def _read_lines(folder: Path) -> list[bytes]:
    """Return the complete lines; an incomplete last one was never acknowledged (a power cut while appending)."""
    try:
        return (folder / _ENTRIES).read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise BrokenCustodyError(CustodyFault.UNREADABLE, f"{folder / _ENTRIES}: {error.strerror}") from error


def _read_checkpoint(folder: Path) -> str:
    try:
        return (folder / _CHECKPOINT).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenCustodyError(CustodyFault.UNREADABLE, f"{folder / _CHECKPOINT}") from error
