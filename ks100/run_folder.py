"""The run folder: provenance of its files by digest, and reuse of valid results.

A step's record is a small JSON file in ``steps/``. A step is valid if its parameters, the digests of its inputs and of
all its code, and the versions of its libraries equal the recorded ones, and its outputs on disk have the recorded
digests. An interrupted step resumes from its partial output if all of that is unchanged, and otherwise starts over.
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
        name: stable, usable as a file name.
        title: shown while it runs.
        work: called with the run folder and a progress callback. A change of it or of anything it imports
            invalidates the result.
        outputs: files and folders it writes, relative to the run folder.
        inputs: files and folders it reads, relative to the run folder.
        parameters: all other dependencies of its result, as JSON values.
        reusable: False for steps that must always run (a measurement, a push).
        lasting: True for results that survive changes of code (keys).
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
    """Outcome of a step: its record, whether an earlier result was reused, and if not, what had changed."""

    name: str
    title: str
    reused: bool
    seconds: float
    outputs: Mapping[str, str]
    why: str = ""


@dataclass(frozen=True)
class _Basis:
    """The dependencies of a result."""

    parameters: Mapping[str, Any]
    inputs: Mapping[str, str]
    code: Mapping[str, str]
    libraries: Mapping[str, str]

    @classmethod
    def of(cls, step: Step, inputs: Mapping[str, str]) -> _Basis:
        code = StepCode({}, {}) if step.lasting or not step.reusable else code_of(step.work)
        parameters = json.loads(json.dumps(dict(step.parameters)))  # normalized as in a record
        return cls(parameters, dict(inputs), code.files, code.libraries)

    def change_since(self, old: _Basis) -> str:
        """Describe the change from an older basis; ``""`` for none."""
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
        """Return a step's record, or None if there is none of this version."""
        try:
            document = json.loads(path.read_text())
            return cls(**{**document, "basis": _Basis(**document["basis"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None


class Run:
    """A run folder, locked by one process at a time."""

    def __init__(self, folder: Path) -> None:
        """Open or create the folder.

        Raises:
            UsageError: it cannot be created, or is in use by another process.
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
            raise UsageError(
                f"{self.folder} is in use by another process; wait for it, or give another --run"
            ) from error

    def close(self) -> None:
        """Release the folder."""
        os.close(self._lock)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, step: Step, progress: Progress) -> Outcome:
        """Run the step unless its earlier result is still valid.

        The record is removed before the work and written after it, so an interrupted step is never valid.

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
        """Remove outputs that this step made on another basis; partial output on the same basis remains.

        Files that no step has made are left in place.
        """
        digest = hashlib.sha256(json.dumps(asdict(basis), sort_keys=True).encode()).hexdigest()
        earlier = begun.read_text() if begun.is_file() else ""
        if made_before or earlier not in ("", digest):
            for output in step.outputs:
                left = self.folder / output
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        write_atomically(begun, digest.encode())

    def _damage(self, step: Step, record: _Record) -> str:
        """Describe the output that has changed since the step wrote it; ``""`` if none has."""
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
    """Return the SHA-256 (hex) of a file, or of a folder's file names and contents."""
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
