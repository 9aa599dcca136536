"""Record of each board's outcome in the last ``flash`` of a package, for --retry-failed.

One JSON file per package, named by the package's digest. It is written before the first board is touched and after each
board, so it is correct even if the run is killed. Concurrent runs of a package share it. If the usual folder is not
writable, the next of several places is used; reading takes the newest.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from firmware_bridge.links.processes import is_process, this_process
from ks100.errors import UsageError

__all__ = ["FlashEntry", "FlashRecord", "RecordWriter", "record_places"]

_FORMAT = 2

_Kept = Callable[["FlashRecord"], Sequence["FlashEntry"]]
"""Entries of the previous record that remain."""


@dataclass(frozen=True, slots=True)
class FlashEntry:
    """One board's outcome.

    Attributes:
        name: the user's name for it.
        url: its address.
        serial: its serial number, ``""`` if it was never reached.
        outcome: a name of `FlashOutcome`, or ``PENDING``.
        passed: whether everything requested was done.
        exit_code: of its outcome, see ``ks100 --help``.
        error: the reason of a failure, or ``""``.
        finished_s: time of the outcome, seconds since 1970.
        run: the process that wrote the entry, see `this_process`.
    """

    name: str
    url: str
    serial: str = ""
    outcome: str = "PENDING"
    passed: bool = False
    exit_code: int = 130
    error: str = "the command ended before this board did"
    finished_s: float = 0.0
    run: str = ""


@dataclass(frozen=True, slots=True)
class FlashRecord:
    """All boards of the last run, updated by retries."""

    boards: tuple[FlashEntry, ...] = ()
    saved_s: float = 0.0

    @classmethod
    def load(cls, places: Sequence[Path]) -> FlashRecord:
        """Return the newest record in these files; an empty one if there is none.

        Raises:
            UsageError: no record can be read and one is damaged.
        """
        found: list[FlashRecord] = []
        trouble = ""
        for path in places:
            try:
                found.append(cls._parse(path.read_text("utf-8")))
            except FileNotFoundError:
                continue
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                trouble = f"the record of the last run, {path}, cannot be read ({error}); remove it, or give --board"
        if trouble and not found:
            raise UsageError(trouble)
        return max(found, key=lambda record: record.saved_s, default=cls())

    @classmethod
    def _parse(cls, text: str) -> FlashRecord:
        content = json.loads(text)
        if content["format"] != _FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {_FORMAT}")
        return cls(tuple(FlashEntry(**entry) for entry in content["boards"]), float(content["saved_s"]))

    def to_json(self) -> str:
        """Return the file's text."""
        boards = [asdict(entry) for entry in self.boards]
        return json.dumps({"format": _FORMAT, "saved_s": self.saved_s, "boards": boards}, indent=1) + "\n"

    def with_entries(self, entries: Sequence[FlashEntry]) -> FlashRecord:
        """Return the record with these entries, each replacing the one of its name."""
        kept = {entry.name: entry for entry in self.boards}
        return replace(self, boards=tuple((kept | {entry.name: entry for entry in entries}).values()))


class RecordWriter:
    """Writes the record of one run; a disk fault does not end the run.

    Attributes:
        path: the record's file, or None if it could not be written.
        trouble: why it is not in the usual place, or ``""``.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        """Use the first of ``places`` that is writable."""
        self._places = tuple(places)
        self._run = this_process()
        self._entries: dict[str, FlashEntry] = {}
        self.path: Path | None = None
        self.trouble = ""

    def begin(self, boards: Sequence[FlashEntry], *, again: bool) -> None:
        """Record the boards that are about to be flashed; with ``again`` the others of the last run remain."""
        self._entries = {entry.name: replace(entry, run=self._run) for entry in boards}
        self._save(lambda record: record.boards if again else _of_living_runs(record))

    def end(self, entry: FlashEntry) -> None:
        """Record a board's outcome."""
        self._entries[entry.name] = replace(entry, run=self._run, finished_s=round(time.time(), 3))
        self._save(lambda record: record.boards)

    def text(self) -> str:
        """Return the entries of this run as in the file."""
        return FlashRecord(tuple(self._entries.values()), round(time.time(), 3)).to_json()

    def _save(self, kept: _Kept) -> None:
        first_error = ""
        for path in self._places:
            try:
                with _locked(path):
                    self._replace(path, kept)
            except OSError as error:
                first_error = first_error or f"{path.parent}: {error.strerror or error}"
                continue
            self.path, self.trouble = path, first_error
            return
        self.path, self.trouble = None, first_error

    def _replace(self, path: Path, kept: _Kept) -> None:
        try:
            before = FlashRecord.load([path])
        except UsageError:
            before = FlashRecord()
        entries = replace(before, boards=tuple(kept(before))).with_entries(tuple(self._entries.values()))
        new = path.with_suffix(f".{os.getpid()}")
        try:
            with new.open("w", encoding="utf-8") as stream:
                stream.write(replace(entries, saved_s=round(time.time(), 3)).to_json())
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise


def _of_living_runs(record: FlashRecord) -> tuple[FlashEntry, ...]:
    return tuple(entry for entry in record.boards if is_process(entry.run))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock the record against other runs of the same package."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def record_places(package_digest: str) -> tuple[Path, ...]:
    """Return the possible places of a package's record, preferred first, by the package's digest in hex."""
    name = f"{package_digest[:32]}.json"
    folders = []
    with contextlib.suppress(RuntimeError):  # no home folder
        folders.append(Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "ks100")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folders += [Path(runtime) / "ks100"] if runtime else []
    folders += [Path(tempfile.gettempdir()) / f"ks100-{os.getuid()}", Path("/dev/shm") / f"ks100-{os.getuid()}"]  # noqa: S108
    return tuple(folder / "flash" / name for folder in folders if _is_ours(folder))


def _is_ours(folder: Path) -> bool:
    """Return whether a folder may be used: in a shared place another user may have created it."""
    try:
        return folder.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return True
    except OSError:
        return True  # an error shows on writing
