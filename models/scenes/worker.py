"""A worker process of `models.scenes.generate`, ``python -m models.scenes.worker``: renders scenes into a folder.

It reads a request (one line of JSON) and writes one byte per finished scene, which lets the parent show progress and
ends the worker when the parent ends. A program of its own rather than multiprocessing: spawning re-imports the caller's
main module, and forking a process that runs TensorFlow can hang.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.scenes.scene import render_scenes
from models.scenes.spec import SceneSpec

__all__ = ["Worker"]


@dataclass
class Worker:
    """The parent's handle of a worker that renders every ``step``-th scene from ``first``."""

    process: subprocess.Popen[bytes]
    folder: Path
    done: int = 0

    @classmethod
    def start(cls, spec: SceneSpec, first: int, step: int, folder: Path) -> Worker:
        """Start a process that renders into ``folder``."""
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "models.scenes.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        request = {"spec": asdict(spec), "first": first, "step": step, "folder": str(folder)}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.close()
        os.set_blocking(process.stdout.fileno(), False)
        return cls(process, folder)

    def scenes_done(self) -> int:
        """Return how many scenes it has rendered so far."""
        assert self.process.stdout is not None
        self.done += len(self.process.stdout.read() or b"")
        return self.done

    def collect(self) -> CaptureSet | None:
        """Wait for the worker and return its part; None if it failed and the part must be rendered here."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), True)
        self.done += len(self.process.stdout.read())
        self.process.stdout.close()
        if self.process.wait() != 0:
            return None
        try:
            return CaptureSet.load(self.folder)
        except DataError:
            return None

    def stop(self) -> None:
        """Kill the worker."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _main() -> None:
    request = json.loads(sys.stdin.readline())
    spec = SceneSpec(**request["spec"])
    scenes = range(request["first"], spec.scenes, request["step"])

    def report() -> None:
        os.write(1, b".")

    render_scenes(spec, scenes, report).save(Path(request["folder"]))


if __name__ == "__main__":
    _main()
