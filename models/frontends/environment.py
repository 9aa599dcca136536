"""Python environments of converters whose pins are not ours: found, or made once and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from models.errors import DataError

__all__ = ["ONNX", "TORCH", "environment_python", "run_worker"]

ONNX = ("onnx2tf==1.29.24",)
TORCH = ("torch==2.13.0", "litert-torch==0.10.0")
_READY = "ks100-ready"
_WORK_S = 3600


def environment_python(pins: Sequence[str], say: Callable[[str], None]) -> Path:
    """Return the interpreter of an environment with these packages; make it if there is none yet.

    It lies in the user's cache, by the digest of the pins. One that was begun and not finished is made anew.

    Raises:
        DataError: it cannot be made; the text has pip's last word.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ks100"
    folder = cache / f"import-{hashlib.sha256(' '.join(pins).encode()).hexdigest()[:12]}"
    python = folder / "bin/python"
    if (folder / _READY).is_file():
        return python
    say(f"making an environment with {', '.join(pins)} in {folder}: some minutes, once")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-P", "-m", "venv", "--without-pip", str(folder)])
        pip = [sys.executable, "-P", "-m", "pip", "--python", str(python), "--quiet", "--disable-pip-version-check"]
        _run([*pip, "install", *pins])
    except (OSError, subprocess.SubprocessError) as error:
        raise DataError(
            f"the environment with {', '.join(pins)} cannot be made in {folder}: {_last_line(error)}; make one "
            "yourself, and name its interpreter with --python"
        ) from error
    (folder / _READY).write_text("\n".join(pins) + "\n")
    return python


def run_worker(python: Path, worker: Path, folder: Path, arguments: Sequence[str]) -> None:
    """Run a worker in its environment, with ``folder`` as its directory.

    Raises:
        DataError: it fails; the text has its last line.
    """
    try:
        _run([str(python), str(worker), *arguments], folder)
    except (OSError, subprocess.SubprocessError) as error:
        raise DataError(f"{arguments[0]} cannot be converted: {_last_line(error)}") from error


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": ""}
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=_WORK_S, env=quiet, cwd=folder)


def _last_line(error: Exception) -> str:
    """Return the last line that a child wrote, or the error's own text."""
    written = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
    lines = [line.strip() for line in (written or "").splitlines() if line.strip()]
    return lines[-1][:300] if lines else str(error)
