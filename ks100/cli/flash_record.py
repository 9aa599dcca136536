"""What became of each board in the last ``flash`` of a package, kept so that only the failed are tried again.

One small JSON file a package, named by the package's digest. It is written before the first board is touched and after
the end of each, so that a run that is killed leaves the truth behind. Runs of one package at the same time share it.
Where the usual folder cannot be written, the next of several places takes it; reading takes the newest.
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

__all__ = ["FlashEntry", "FlashRecord", "RecordKeeper", "record_places"]

_FORMAT = 2

_Kept = Callable[["FlashRecord"], Sequence["FlashEntry"]]
"""What of the record before stays."""


@dataclass(frozen=True, slots=True)
class FlashEntry:
    """One board's end.

    Attributes:
        name: what the user called it.
        url: its address.
        serial: its serial number, ``""`` when it was never reached.
        outcome: a name of `FlashOutcome`, or ``PENDING`` while it has not ended.
        passed: whether what was asked for is done.
        exit_code: what its end means, see ``ks100 --help``.
        error: why it failed, ``""`` otherwise.
        finished_s: when, seconds since 1970.
        run: the process that wrote this, see `this_process`.
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
    """All boards of the last run, with later retries in their place."""

    boards: tuple[FlashEntry, ...] = ()
    saved_s: float = 0.0

    @classmethod
    def load(cls, places: Sequence[Path]) -> FlashRecord:
        """Return the newest record in these files; an empty one when there is none.

        Raises:
            UsageError: there is only one that cannot be read.
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
        """Return the record with these entries put in, each in the place of the one of its name."""
        kept = {entry.name: entry for entry in self.boards}
        return replace(self, boards=tuple((kept | {entry.name: entry for entry in entries}).values()))


class RecordKeeper:
    """Keeps the record of one run on the disk, as its boards end; a disk that fails ends no run.

    Attributes:
        path: where the record is, or None while it could not be written anywhere.
        trouble: why it is not where it should be, ``""`` when it is.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        """Keep the record in the first of ``places`` that can be written."""
        self._places = tuple(places)
        self._run = this_process()
        self._entries: dict[str, FlashEntry] = {}
        self.path: Path | None = None
        self.trouble = ""

    def begin(self, boards: Sequence[FlashEntry], *, again: bool) -> None:
        """Note which boards are about to be flashed; with ``again`` the others of the last run stay in the record."""
        self._entries = {entry.name: replace(entry, run=self._run) for entry in boards}
        self._save(lambda record: record.boards if again else _of_living_runs(record))

    def end(self, entry: FlashEntry) -> None:
        """Note how a board ended."""
        self._entries[entry.name] = replace(entry, run=self._run, finished_s=round(time.time(), 3))
        self._save(lambda record: record.boards)

    def text(self) -> str:
        """Return the entries of this run as the file would have them."""
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
    """Hold the record against other runs of the same package."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def record_places(package_digest: str) -> tuple[Path, ...]:
    """Return where the record of a package may be, best first, given the package's digest in hex."""
    name = f"{package_digest[:32]}.json"
    folders = []
    with contextlib.suppress(RuntimeError):  # a user without a home
        folders.append(Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "ks100")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folders += [Path(runtime) / "ks100"] if runtime else []
    folders += [Path(tempfile.gettempdir()) / f"ks100-{os.getuid()}", Path("/dev/shm") / f"ks100-{os.getuid()}"]  # noqa: S108
    return tuple(folder / "flash" / name for folder in folders if _is_ours(folder))


def _is_ours(folder: Path) -> bool:
    """Return whether a folder may be used: in a place that all users share, another one may have made it."""
    try:
        return folder.stat().st_uid == os.getuid()
    except FileNotFoundError:
        return True
    except OSError:
        return True  # writing says what is wrong with it
