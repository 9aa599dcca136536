"""A whole set: scenes by their own random streams, so that frames do not depend on how the work is shared out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.captures import Capture, CaptureSet
from models.scenes.backdrop import build_backdrop
from models.scenes.place import draw_place
from models.scenes.render import Frame, render
from models.scenes.sensor import LwirSensor
from models.scenes.spec import FRAMES_PER_SCENE, SceneSpec

__all__ = ["generate", "render_scene"]

_CAMERA_STREAM = 1
_SCENE_STREAM = 2


def generate(
    spec: SceneSpec, progress: Callable[[int, int], None] | None = None, *, workers: int | None = None
) -> CaptureSet:
    """Generate the set; equal specs give equal bytes, whatever the number of workers.

    Args:
        spec: what to generate.
        progress: called with (pairs done, pairs in all).
        workers: processes; None takes one for each core when the set is large.
    """
    eo = np.empty((spec.count, spec.height, spec.width, 3), np.uint8)
    lwir = np.empty((spec.count, spec.height, spec.width), np.uint16)
    captures: list[Capture] = []
    for scene in range(spec.scenes):
        for frame in render_scene(spec, scene):
            eo[len(captures)], lwir[len(captures)] = frame.eo, frame.lwir
            captures.append(frame.capture)
        if progress is not None:
            progress(len(captures), spec.count)
    return CaptureSet.from_arrays(spec.name, captures, eo, lwir)


def render_scene(spec: SceneSpec, scene: int) -> list[Frame]:
    """Render the frames of one scene of the set."""
    camera = np.random.default_rng(spec.entropy(_CAMERA_STREAM))
    sensor = LwirSensor.build(spec.height, spec.width, camera)
    rng = np.random.default_rng(spec.entropy(_SCENE_STREAM, scene))
    place = draw_place(spec, scene, rng)
    backdrop = build_backdrop(place, spec.width * 3 // 2, rng)
    first = scene * FRAMES_PER_SCENE
    count = min(FRAMES_PER_SCENE, spec.count - first)
    return [render(place, backdrop, sensor, f"{place.id}-{k}", rng) for k in range(count)]
