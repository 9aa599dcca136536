"""The run folder: which step made which file from what, by digest, and what of it is still valid.

A step's record is a small JSON file in ``steps/``. A step is valid when its parameters, the digests of its inputs
and of the code that makes it are the recorded ones, and its outputs on disk still have the recorded digests.
Knows files and digests; nothing of what a step does.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from firmware_bridge.files import write_atomically
from ks100.errors import UsageError
from models.progress import Progress

__all__ = ["Outcome", "Run", "Step", "digest_path"]

_ROOT = Path(__file__).resolve().parent.parent
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Step:
    """One visible step of the pipeline.

    Attributes:
        name: file-name safe, stable.
        title: what a person reads while it runs.
        work: does it; gets the run folder and a progress callback.
        outputs: files and folders it writes, relative to the run folder.
        inputs: files and folders it reads, relative to the run folder.
        parameters: everything else that its result depends on; JSON values.
        code: modules that make it (paths below the checkout, files or folders): a change makes the result stale.
        reusable: False for what must happen each time (a measurement, a push).
    """

    name: str
    title: str
    work: Callable[[Path, Progress], None]
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    reusable: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: its record, and whether an earlier result was still valid."""

    name: str
    title: str
    reused: bool
    seconds: float
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Record:
    name: str
    key: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    code: str
    outputs: Mapping[str, str]
    seconds: float
    finished_s: float


class Run:
    """A run folder, held by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Open or create the folder.

        Raises:
            UsageError: it cannot be created, or another process works in it.
        """
        self.folder = folder
        try:
            (folder / "steps").mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UsageError(f"cannot write the run folder {folder}: {error.strerror}; give another --run") from error
        self._hold()

    def _hold(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise UsageError(f"another process works in {self.folder}; wait for it, or give another --run") from error

    def close(self) -> None:
        """Let others work in the folder."""
        os.close(self._lock)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, step: Step, progress: Progress) -> Outcome:
        """Do the step, unless its earlier result is still valid.

        The record is removed before the work begins and written after it ended: an interrupted step is never valid.

        Raises:
            UsageError: an input is missing.
        """
        record = self._valid_record(step)
        if record is not None:
            return Outcome(step.name, step.title, True, record.seconds, record.outputs)
        path = self._record_path(step)
        path.unlink(missing_ok=True)
        inputs = self._digests(step.inputs, f"step {step.name!r} needs")
        started = time.monotonic()
        step.work(self.folder, progress)
        record = _Record(
            name=step.name,
            key=self._key(step, inputs),
            parameters=dict(step.parameters),
            inputs=inputs,
            code=_code_digest(step.code),
            outputs=self._digests(step.outputs, f"step {step.name!r} did not write"),
            seconds=time.monotonic() - started,
            finished_s=time.time(),
        )
        write_atomically(path, json.dumps(asdict(record), indent=1).encode() + b"\n")
        return Outcome(step.name, step.title, False, record.seconds, record.outputs)

    def _valid_record(self, step: Step) -> _Record | None:
        if not step.reusable:
            return None
        try:
            record = _Record(**json.loads(self._record_path(step).read_text()))
            if record.key != self._key(step, self._digests(step.inputs, "")):
                return None
            return record if self._digests(step.outputs, "") == dict(record.outputs) else None
        except (OSError, ValueError, TypeError, UsageError):
            return None  # no record, or not one of this version: the step is done again

    def _record_path(self, step: Step) -> Path:
        return self.folder / "steps" / f"{step.name}.json"

    def _digests(self, names: Sequence[str], complaint: str) -> dict[str, str]:
        for name in names:
            if not (self.folder / name).exists():
                raise UsageError(f"{complaint} {self.folder / name}; run the step that makes it")
        return {name: digest_path(self.folder / name) for name in names}

    @staticmethod
    def _key(step: Step, inputs: Mapping[str, str]) -> str:
        parts = [step.name, step.parameters, dict(inputs), _code_digest(step.code), list(step.outputs)]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def digest_path(path: Path) -> str:
    """SHA-256 (hex) of a file, or of a folder's file names and contents."""
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            digest.update(f"{file.relative_to(path).as_posix()}\0{digest_path(file)}\n".encode())
        return digest.hexdigest()
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


@cache
def _code_digest(code: tuple[str, ...]) -> str:
    return hashlib.sha256("".join(digest_path(_ROOT / name) for name in code).encode()).hexdigest()
