"""The run folder: which step made which file from what, by digest, and what of it is still valid.

A step's record is a small JSON file in ``steps/``. A step is valid when its parameters, the digests of its inputs and
of all code that makes it, and the versions of the libraries that compute it are the recorded ones, and its outputs on
disk still have the recorded digests. A step that was interrupted goes on with what it had written as long as all of
that is still the same; otherwise it begins anew. Knows files and digests; nothing of what a step does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from firmware_bridge.files import write_atomically
from ks100.errors import UsageError
from ks100.step_code import StepCode, code_of
from models.progress import Progress

__all__ = ["Outcome", "Run", "Step", "digest_path"]

_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Step:
    """One visible step of the pipeline.

    Attributes:
        name: file-name safe, stable.
        title: what a person reads while it runs.
        work: does it; gets the run folder and a progress callback. What it imports is followed: a change of any of that
            makes the result stale.
        outputs: files and folders it writes, relative to the run folder.
        inputs: files and folders it reads, relative to the run folder.
        parameters: everything else that its result depends on; JSON values.
        reusable: False for what must happen each time (a measurement, a push).
        lasting: True for what is made once and kept whatever code changes (keys).
    """

    name: str
    title: str
    work: Callable[[Path, Progress], None]
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reusable: bool = True
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: its record, whether an earlier result was still valid, and if not, what had changed."""

    name: str
    title: str
    reused: bool
    seconds: float
    outputs: Mapping[str, str]
    why: str = ""


@dataclass(frozen=True)
class _Basis:
    """What a result depends on."""

    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    code: Mapping[str, str]
    libraries: Mapping[str, str]

    @classmethod
    def of(cls, step: Step, inputs: Mapping[str, str]) -> _Basis:
        code = StepCode({}, {}) if step.lasting or not step.reusable else code_of(step.work)
        parameters = json.loads(json.dumps(dict(step.parameters)))  # as a record gives them back
        return cls(parameters, dict(inputs), code.files, code.libraries)

    def change_since(self, old: _Basis) -> str:
        """Return in words what differs from an older basis, ``""`` if nothing does."""
        for name in ("parameters", "inputs", "libraries", "code"):
            now, then = getattr(self, name), getattr(old, name)
            changed = sorted(key for key in now.keys() | then.keys() if now.get(key) != then.get(key))
            if changed:
                more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
                return f"{'parameter ' if name == 'parameters' else ''}{changed[0]}{more} changed"
        return ""


@dataclass(frozen=True)
class _Record:
    name: str
    basis: _Basis
    outputs: Mapping[str, str]
    seconds: float
    finished_s: float

    @classmethod
    def load(cls, path: Path) -> _Record | None:
        """Return a step's record, or None when there is none of this version."""
        try:
            document = json.loads(path.read_text())
            return cls(**{**document, "basis": _Basis(**document["basis"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


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
        path, begun = self._path(step, "json"), self._path(step, "begun")
        record = _Record.load(path)
        basis = _Basis.of(step, self._digests(step.inputs, f"step {step.name!r} needs"))
        why = "" if record is None else basis.change_since(record.basis) or self._damage(step, record)
        if step.reusable and record is not None and not why:
            return Outcome(step.name, step.title, True, record.seconds, record.outputs)
        path.unlink(missing_ok=True)
        if step.reusable and not step.lasting:
            self._begin(step, basis, begun, made_before=record is not None)
        started = time.monotonic()
        step.work(self.folder, progress)
        record = _Record(
            name=step.name,
            basis=basis,
            outputs=self._digests(step.outputs, f"step {step.name!r} did not write"),
            seconds=time.monotonic() - started,
            finished_s=time.time(),
        )
        write_atomically(path, json.dumps(asdict(record), indent=1).encode() + b"\n")
        begun.unlink(missing_ok=True)
        return Outcome(step.name, step.title, False, record.seconds, record.outputs, why)

    def _begin(self, step: Step, basis: _Basis, begun: Path, *, made_before: bool) -> None:
        """Remove what this step made on another basis; what it had begun on the same one it may go on with.

        Files of the same names that no step has made are left to the step.
        """
        digest = hashlib.sha256(json.dumps(asdict(basis), sort_keys=True).encode()).hexdigest()
        earlier = begun.read_text() if begun.is_file() else ""
        if made_before or earlier not in ("", digest):
            for output in step.outputs:
                left = self.folder / output
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        write_atomically(begun, digest.encode())

    def _damage(self, step: Step, record: _Record) -> str:
        """Return in words which output is not what the step wrote, ``""`` if all are."""
        if set(step.outputs) != set(record.outputs):
            return "it writes other files"
        for name in step.outputs:
            if not (self.folder / name).exists():
                return f"{name} is missing"
            if digest_path(self.folder / name) != record.outputs[name]:
                return f"{name} was changed"
        return ""

    def _path(self, step: Step, suffix: str) -> Path:
        return self.folder / "steps" / f"{step.name}.{suffix}"

    def _digests(self, names: Sequence[str], complaint: str) -> dict[str, str]:
        for name in names:
            if not (self.folder / name).exists():
                raise UsageError(f"{complaint} {self.folder / name}; run the step that makes it")
        return {name: digest_path(self.folder / name) for name in names}


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
