"""Generating a set of captures in this process and parallel workers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from models.captures import Capture, CaptureSet
from models.progress import Count
from models.scenes.scene import render_scenes
from models.scenes.spec import FRAMES_PER_SCENE, SceneSpec
from models.scenes.worker import Worker

__all__ = ["generate"]

# A worker takes about half a second to start: a single process is faster for fewer pairs than this.
_WORTH_A_WORKER = 150


def generate(spec: SceneSpec, progress: Count | None = None, *, workers: int | None = None) -> CaptureSet:
    """Generate the set; equal specs give equal bytes, whatever the number of workers.

    Args:
        spec: what to generate.
        progress: called with (pairs done, pairs in all).
        workers: processes; None takes one for each core when the set is large enough.
    """
    if workers is None:
        workers = min(len(os.sched_getaffinity(0)), spec.count // _WORTH_A_WORKER)
    workers = max(1, min(workers, spec.scenes))

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ks100-scenes-")))
        others = [Worker.start(spec, k, workers, folder / str(k)) for k in range(1, workers)]
        for worker in others:
            stack.callback(worker.stop)
        own = 0

        def report() -> None:
            nonlocal own
            own += 1
            if progress is not None:
                done = own + sum(worker.scenes_done() for worker in others)
                progress(min(done * FRAMES_PER_SCENE, spec.count), spec.count)

        parts = [render_scenes(spec, range(0, spec.scenes, workers), report)]
        for k, worker in enumerate(others, start=1):
            part = worker.collect()
            parts.append(render_scenes(spec, range(k, spec.scenes, workers)) if part is None else part)
        merged = _interleave(spec, parts)
    if progress is not None:
        progress(spec.count, spec.count)
    return merged


def _interleave(spec: SceneSpec, parts: Sequence[CaptureSet]) -> CaptureSet:
    """Merge the workers' parts, each with every n-th scene, in the order of scenes."""
    if len(parts) == 1:
        return parts[0]
    eo = np.empty((spec.count, spec.height, spec.width, 3), np.uint8)
    lwir = np.empty((spec.count, spec.height, spec.width), np.uint16)
    captures: list[Capture] = []
    taken = [0] * len(parts)
    for scene in range(spec.scenes):
        part = scene % len(parts)
        for _ in range(min(FRAMES_PER_SCENE, spec.count - scene * FRAMES_PER_SCENE)):
            source, at = parts[part], taken[part]
            eo[len(captures)], lwir[len(captures)] = source.frames.eo(at), source.frames.lwir(at)
            captures.append(source.captures[at])
            taken[part] += 1
    return CaptureSet.from_arrays(spec.name, captures, eo, lwir)
