"""Rendering scenes, each from its own random stream, so that frames do not depend on the number of workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.captures import CaptureSet
from models.scenes.backdrop import build_backdrop
from models.scenes.place import draw_place
from models.scenes.render import Frame, render
from models.scenes.sensor import LwirSensor
from models.scenes.spec import FRAMES_PER_SCENE, SceneSpec

__all__ = ["render_scene", "render_scenes", "scene_stream"]

_CAMERA_STREAM = 1
_SCENE_STREAM = 2


def render_scenes(spec: SceneSpec, scenes: Sequence[int], report: Callable[[], None] | None = None) -> CaptureSet:
    """Render the given scenes of the set, in order; ``report`` is called after each."""
    frames: list[Frame] = []
    for scene in scenes:
        frames += render_scene(spec, scene)
        if report is not None:
            report()
    return CaptureSet.from_arrays(
        spec.name, [f.capture for f in frames], np.stack([f.eo for f in frames]), np.stack([f.lwir for f in frames])
    )


def render_scene(spec: SceneSpec, scene: int) -> list[Frame]:
    """Render the frames of one scene of the set."""
    camera = np.random.default_rng(spec.entropy(_CAMERA_STREAM))
    sensor = LwirSensor.build(spec.height, spec.width, camera)
    rng = scene_stream(spec, scene)
    place = draw_place(spec, scene, rng)
    backdrop = build_backdrop(place, spec.width * 3 // 2, rng)
    count = min(FRAMES_PER_SCENE, spec.count - scene * FRAMES_PER_SCENE)
    return [render(place, backdrop, sensor, f"{place.id}-{k}", rng) for k in range(count)]


def scene_stream(spec: SceneSpec, scene: int) -> np.random.Generator:
    """Return the random numbers of one scene of the set, from their start: its place is drawn first."""
    return np.random.default_rng(spec.entropy(_SCENE_STREAM, scene))
