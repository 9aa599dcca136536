"""Twelve boards flashed at once while boards die, disks fail and boards hang, and the host itself is stopped or killed.

The boards are real agents with a stand-in for the runtime, served on sockets by this process; the host is a process of
its own, with the run that ``ks100 flash`` makes: record, custody log, signals. After each run, and once more after a
retry of what failed on repaired boards, every entry of the record is compared with the board itself.
"""

from __future__ import annotations

import contextlib
import errno
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path

from firmware_bridge.agent.server import serve
from firmware_bridge.agent.session_rules import SessionLock
from firmware_bridge.agent.sockets import connect_unix, listen_unix
from firmware_bridge.agent.state.storage import LocalStorage
from firmware_bridge.errors import BenchError
from firmware_bridge.host.address import BoardAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.fleet import FlashTarget
from firmware_bridge.links.socket import socket_link
from firmware_bridge.package.container import PackageFile
from firmware_bridge.package.signing import PemSigner
from ks100.cli.flash_record import FlashEntry, FlashRecord
from ks100.cli.flash_run import FlashRequest, FlashRun
from ks100.custody.log import CustodyLog
from ks100.custody.recorder import ProvenanceRecorder
from ks100.custody.statement import Act
from tests.powercut.board import boot
from tests.powercut.signing_kit import SigningKit

__all__ = ["Campaign", "fault_of"]

_BOARDS = 12
_SILENCE_S = 1.0  # a board that hangs is given up after this, instead of 20 s
_HOST_S = 60.0
_STOP_WITHIN_S = 1.5
_PASSPHRASE = "campaign"  # noqa: S105  # of a key that lives as long as a run
_processes = multiprocessing.get_context("forkserver")


class _Fate(Enum):
    """What happens to a board in a run, at a chunk drawn by chance."""

    NONE = "none"
    KILLED = "its agent ends, and does not come back"
    DISK = "its disk is full"
    HUNG = "it hears and answers nothing any more"


class _FullDisk(LocalStorage):
    """A disk that fills up when it is told to."""

    full = False

    def write(self, name: str, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        super().write(name, data)


class _Board:
    """One board on a socket, which meets its fate at a chunk."""

    def __init__(self, folder: Path, serial: str, trust: bytes, fate: _Fate, at_chunk: int) -> None:
        self.path, self.serial, self.sessions = folder / "s", serial, 0
        self._storage = _FullDisk(folder / "state")
        self._service = boot(self._storage, serial=serial)
        if not self._service.trust().store:
            self._service.provision(trust)
        self._fate, self._left = fate, at_chunk
        chunk = self._service.chunk
        self._service.chunk = lambda index, data: self._chunk(chunk, index, data)  # type: ignore[method-assign]
        self._stop, self._deaf = threading.Event(), threading.Event()
        self._lock = SessionLock()
        self._listener = listen_unix(str(self.path))
        self._sessions: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _chunk(self, chunk: Callable[[int, bytes], None], index: int, data: bytes) -> None:
        self._left -= 1
        if self._left < 0:
            match self._fate:
                case _Fate.DISK:
                    self._storage.full = True
                case _Fate.KILLED:
                    self._end()
                    raise OSError(errno.EIO, "killed")
                case _Fate.HUNG:
                    self._deaf.set()
                    self._stop.wait()
        chunk(index, data)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            self.sessions += 1
            self._sessions.append(connected)
            thread = threading.Thread(target=self._serve, args=(connected,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connected: socket.socket) -> None:
        if self._deaf.is_set():
            self._stop.wait()
            return
        link = _DeafLink(connected.dup(), self._deaf)
        serve(link, self._service, lock=self._lock, stop=self._stop)

    def _end(self) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.path.unlink(missing_ok=True)
        for connected in self._sessions:
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def runs(self, digest: str) -> bool:
        """End the board, and return whether it has confirmed the graph with this digest, as its disk says."""
        self._end()
        for thread in self._threads:
            thread.join(10)
        for one in (self._listener, *self._sessions):
            one.close()
        self._storage.close()
        storage = LocalStorage(self.path.parent / "state")
        info = boot(storage, serial=self.serial).info()
        storage.close()
        return any(s.name == info.active and s.state == "confirmed" and s.digest == digest for s in info.slots)


class _DeafLink:
    """The socket's link until the board hangs: then nothing arrives and nothing leaves."""

    reliable = True

    def __init__(self, connected: socket.socket, deaf: threading.Event) -> None:
        self._link, self._deaf = socket_link(connected), deaf
        self.name = self._link.name

    def read(self, timeout_s: float) -> bytes:
        data = self._link.read(timeout_s)
        return b"" if self._deaf.is_set() else data

    def write(self, data: bytes) -> None:
        if not self._deaf.is_set():
            self._link.write(data)

    def close(self) -> None:
        self._link.close()


@dataclass(frozen=True, slots=True)
class _Job:
    """What the host's process is given."""

    folder: Path
    places: tuple[Path, ...]
    trust: bytes
    again: bool

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"b{number:02}" for number in range(_BOARDS))

    def signer(self) -> PemSigner:
        return PemSigner.load(self.folder / "key", _PASSPHRASE)


class _Run(FlashRun):
    """The command's run, whose boards are behind sockets."""

    def _target(self, name: str, address: BoardAddress) -> FlashTarget:
        return FlashTarget(name, partial(_open, address.url.removeprefix("emu:")))


@contextmanager
def _open(path: str) -> Iterator[Board]:
    try:
        connected = connect_unix(path)
    except OSError as error:
        raise BenchError(f"no board answers at {path}") from error
    with Board(socket_link(connected), "campaign", silence_s=_SILENCE_S) as board:
        yield board


def _host(job: _Job) -> None:
    """Flash the boards that are not done yet, as the command does."""
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    package = PackageFile.open(job.folder / "package.ksm")
    done = {entry.name for entry in FlashRecord.load(job.places).boards if entry.passed} if job.again else set()
    boards = {n: BoardAddress.parse(f"emu:{job.folder / n / 's'}") for n in job.names if n not in done}
    recorder = ProvenanceRecorder(job.folder / "custody", job.signer())
    run = _Run(
        job.folder / "package.ksm", package, job.trust, boards, job.places, FlashRequest(again=job.again), recorder
    )
    os._exit(run.go(events=False, as_json=True))


class Campaign:
    """Runs, by seed; what was found is kept in a file, so that a campaign that is interrupted goes on.

    Attributes:
        done: by seed, the boards whose records were wrong or missing, in words.
    """

    def __init__(self, record: Path | None = None) -> None:
        """Go on from ``record``, where there is one."""
        self._record = record
        self._kit = SigningKit()
        self.done: dict[int, list[str]] = {}
        if record is not None and record.exists():
            for line in record.read_text("utf-8").splitlines():
                one = json.loads(line)
                self.done[one["seed"]] = one["lost"]
        _processes.set_forkserver_preload([__name__])

    @property
    def lost(self) -> list[str]:
        """All that was lost so far."""
        return [f"run {seed}: {text}" for seed, texts in sorted(self.done.items()) for text in texts]

    def run(self, count: int) -> None:
        """Do the runs 0 ... ``count`` - 1 that have not been done."""
        for seed in range(count):
            if seed in self.done:
                continue
            self.done[seed] = self._one(seed)
            if self._record is not None:
                with self._record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"seed": seed, "lost": self.done[seed]}) + "\n")

    def _one(self, seed: int) -> list[str]:
        rng = random.Random(seed)  # noqa: S311  # chance, no secret
        shared = Path("/dev/shm")  # noqa: S108  # fsync is quick there; what is tested is order, not the disk
        folder = Path(tempfile.mkdtemp(prefix="ks100-flash-", dir=shared if shared.is_dir() else None))
        try:
            return self._in(folder, rng)
        finally:
            shutil.rmtree(folder)

    def _in(self, folder: Path, rng: random.Random) -> list[str]:
        package = self._kit.package(rng.randrange(1 << 30), noise_bytes=150_000)
        (folder / "package.ksm").write_bytes(package.data)
        PemSigner.generate(folder / "key", _PASSPHRASE)
        places = [folder / "state" / "record.json"]
        if rng.random() < 0.3:  # the usual folder cannot be written: a file stands in its way
            (folder / "file").touch()
            places.insert(0, folder / "file" / "record.json")
        job = _Job(folder, tuple(places), self._kit.trust(), again=False)
        fates = [rng.choice(list(_Fate)) if rng.random() < 0.4 else _Fate.NONE for _ in job.names]
        stop = rng.choice([None, None, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        lost = self._round(job, fates, rng, stop, package)
        again = _Job(folder, job.places, job.trust, again=True)
        lost += [f"after the retry, {text}" for text in self._round(again, [_Fate.NONE] * _BOARDS, rng, None, package)]
        return lost

    def _round(
        self, job: _Job, fates: list[_Fate], rng: random.Random, stop: signal.Signals | None, package: PackageFile
    ) -> list[str]:
        boards = {}
        for name, fate in zip(job.names, fates, strict=True):
            (job.folder / name).mkdir(exist_ok=True)
            boards[name] = _Board(job.folder / name, f"S-{name}", job.trust, fate, rng.randrange(package.chunk_count))
        host = _processes.Process(target=_host, args=(job,))
        host.start()
        host.join(_HOST_S if stop is None else rng.random() * _STOP_WITHIN_S)
        if stop is not None and host.pid is not None and host.is_alive():
            os.kill(host.pid, stop)
            host.join(_HOST_S)
        lost = []
        if host.is_alive():
            host.kill()
            host.join()
            lost.append(f"the host did not end within {_HOST_S:.0f} s")
        digest = package.manifest_unverified.payload_sha256.hex()
        runs = {name: board.runs(digest) for name, board in boards.items()}
        entries = {entry.name: entry for entry in FlashRecord.load(job.places).boards}
        statements = _activated(job, package.digest)
        for name, board in boards.items():
            fault = fault_of(
                entries.get(name), runs_it=runs[name], statements=statements.count(board.serial),
                sessions=board.sessions, ended=host.exitcode is not None and host.exitcode >= 0,
            )  # fmt: skip
            if not fault and job.again and not runs[name]:
                fault = "is not done"
            lost += [f"{name} {fault}"] if fault else []
        return lost


def _activated(job: _Job, digest: str) -> list[str]:
    """Return the serial number in each statement of an activation of the package."""
    if not (job.folder / "custody").exists():
        return []
    return [
        entry.statement.parameter("board") or ""
        for entry in CustodyLog.open(job.folder / "custody", job.signer()).entries
        if entry.statement.act is Act.ACTIVATE and digest in {item.sha256 for item in entry.statement.subjects}
    ]


def fault_of(entry: FlashEntry | None, *, runs_it: bool, statements: int, sessions: int, ended: bool) -> str:
    """Return what the records say wrongly of a board, or ``""``.

    Args:
        entry: of the board in the record.
        runs_it: whether the board has confirmed the package, by its own disk.
        statements: how many activations of the package on this board the custody log states.
        sessions: how often the board was opened.
        ended: whether the host has ended by itself; one that was killed may leave a board pending, to be tried again.
    """
    if entry is None:
        return "was opened, and is not in the record" if sessions else ""
    if entry.passed and not runs_it:
        return "is done by the record, and does not run the package"
    if entry.passed and not statements:
        return "is done by the record, and no statement says so"
    if statements > 1:
        return "is stated more than once"
    if ended and entry.outcome == "PENDING":
        return "has no end in the record"
    return "runs the package, and is not done by the record" if ended and runs_it and not entry.passed else ""
