"""Rendering one frame: objects composited into the backdrop, the atmosphere, both cameras, and the ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.captures import Capture, TruthObject
from models.scenes.actors import Actor, draw_actors
from models.scenes.backdrop import Backdrop, airlight
from models.scenes.ground import noise_patch
from models.scenes.ood import degrade
from models.scenes.palette import draw_palette
from models.scenes.place import Place
from models.scenes.raster import Sprite, rasterise
from models.scenes.sensor import NETD_K, EoSensor, LwirSensor
from models.scenes.solid import Pose

__all__ = ["Frame", "render"]

# Johnson (1958): detection at 50 % takes one line pair, two pixels, across the critical (smaller) dimension.
_DETECTION_PX = 2.0
# An object barely above the noise in both bands cannot be expected to be found.
_MIN_SNR = 1.0
_HIDDEN_SHARE = 0.8


@dataclass(frozen=True)
class Frame:
    """A rendered pair of images and its description."""

    capture: Capture
    eo: NDArray[np.uint8]
    lwir: NDArray[np.uint16]


@dataclass
class _Stage:
    """The frame during composition, at the lens."""

    place: Place
    eo: NDArray[np.float32]
    lwir: NDArray[np.float32]
    cover: NDArray[np.float32]
    cover_range_m: NDArray[np.float32]


def render(place: Place, backdrop: Backdrop, lwir_sensor: LwirSensor, frame_id: str, rng: np.random.Generator) -> Frame:
    """Draw the objects at a random pan over the backdrop and expose both cameras."""
    width, height = place.camera.width, place.camera.height
    pan = int(rng.integers(0, backdrop.eo.shape[1] - width + 1))
    cut = slice(pan, pan + width)
    stage = _Stage(place, backdrop.eo[:, cut].copy(), backdrop.lwir[:, cut].copy(), backdrop.cover[:, cut],
                   backdrop.cover_range_m[:, cut])  # fmt: skip
    actors = draw_actors(place, rng)
    sprites = [_sprite(place, backdrop, actor, rng) for actor in actors]
    for actor, sprite in zip(actors, sprites, strict=True):
        _cast_shadow(stage, sprite, actor)
    opacities = [_set_in(stage, actor, sprite) for actor, sprite in zip(actors, sprites, strict=True)]
    _add_rain(stage, rng)
    white = max(float(stage.eo.mean()) / (0.22 if place.thermal == "day" else 0.10), 0.12)
    sensor = EoSensor(place.light_electrons, white)
    objects = tuple(
        item
        for index in range(len(actors))
        if (item := _truth(stage, actors, sprites, opacities, index, sensor)) is not None
    )
    capture = Capture(frame_id, place.id, width, height, place.conditions, objects)
    eo, lwir = sensor.expose(stage.eo, rng), lwir_sensor.expose(stage.lwir, rng)
    if place.ood is not None:
        eo, lwir = degrade(place.ood, eo, lwir, rng)
    return Frame(capture, eo, lwir)


def _sprite(place: Place, backdrop: Backdrop, actor: Actor, rng: np.random.Generator) -> Sprite:
    palette = draw_palette(actor.kind, place, backdrop.ground_colour, actor.running, actor.contrast, rng)
    pose = Pose(actor.aspect_rad, place.camera.depression_rad(actor.range_m), place.sun)
    foot = (actor.across_px, place.camera.row(actor.range_m))
    sprite = rasterise(actor.solid, pose, palette, foot, place.camera.px_per_m(actor.range_m), place.direct)
    # Dirt and folds; on camouflage, a disruptive pattern.
    grain = noise_patch(sprite.opacity.shape[0], sprite.opacity.shape[1], rng)
    fraction = np.float32(0.05 + 0.45 * (1 - actor.contrast))
    sprite.colour[:] *= np.maximum(1 + fraction * grain, np.float32(0.2))[..., None]
    sprite.kelvin[:] += sprite.opacity * grain * np.float32(0.2)
    return sprite


def _window(
    shape: tuple[int, ...], x: int, y: int, size: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Return the part of the frame that a patch at (x, y) covers, and the part of the patch inside the frame."""
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + size[1], shape[1]), min(y + size[0], shape[0])
    if x0 >= x1 or y0 >= y1:
        return None
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))


def _cast_shadow(stage: _Stage, sprite: Sprite, actor: Actor) -> None:
    """Darken, and cool a little, the ground in the object's shadow."""
    if sprite.shadow is None:
        return
    found = _window(stage.lwir.shape, sprite.shadow_x, sprite.shadow_y, sprite.shadow.shape)
    if found is None:
        return
    at, part = found
    shade = sprite.shadow[part] * (1 - stage.cover[at])
    through = float(stage.place.atmosphere.eo_transmission(actor.range_m))
    veil = airlight(stage.place) * np.float32(1 - through)
    dim = np.float32(0.95 * stage.place.direct)
    stage.eo[at] -= np.maximum(stage.eo[at] - veil, 0) * (shade * dim)[..., None]
    stage.lwir[at] -= shade * np.float32(2.0 * stage.place.direct * through)


def _set_in(stage: _Stage, actor: Actor, sprite: Sprite) -> NDArray[np.float32]:
    """Composite the sprite into the frame behind nearer clutter; return its opacity over the whole frame."""
    opacity = np.zeros(stage.lwir.shape, np.float32)
    found = _window(stage.lwir.shape, sprite.x, sprite.y, sprite.opacity.shape)
    if found is None:
        return opacity
    at, part = found
    clear = 1 - stage.cover[at] * (stage.cover_range_m[at] < actor.range_m)
    alpha = sprite.opacity[part] * clear
    air = stage.place.atmosphere
    through, through_ir = air.eo_transmission(actor.range_m), air.lwir_transmission(actor.range_m)
    veil = airlight(stage.place) * (1 - through)
    colour = sprite.colour[part] * (clear * through)[..., None] + alpha[..., None] * veil
    stage.eo[at] = stage.eo[at] * (1 - alpha)[..., None] + colour
    kelvin = sprite.kelvin[part] * (clear * through_ir)
    kelvin += alpha * (np.float32(stage.place.heating.air_k) * (1 - through_ir))
    stage.lwir[at] = stage.lwir[at] * (1 - alpha) + kelvin
    opacity[at] = alpha
    return opacity


def _add_rain(stage: _Stage, rng: np.random.Generator) -> None:
    """Draw the few drops or flakes near enough to be visible, as faint streaks or blurred specks."""
    rate = stage.place.atmosphere.rain_mm_h
    if rate <= 0:
        return
    height, width = stage.lwir.shape
    count = int(width * height / 500 * rate**0.5)
    flakes = stage.place.background == "snow"
    length = 1 if flakes else int(rng.integers(4, 8))
    x, y = rng.integers(0, width - 1, count), rng.integers(0, height - length, count)
    veil = airlight(stage.place) * np.float32(1.3 if flakes else 1.1)
    fraction = rng.uniform(0.06, 0.35 if flakes else 0.18, count).astype(np.float32)[:, None]
    for step in range(length):
        stage.eo[y + step, x] += (veil - stage.eo[y + step, x]) * fraction
        if flakes:
            stage.eo[y, x + 1] += (veil - stage.eo[y, x + 1]) * fraction * np.float32(0.6)


def _truth(
    stage: _Stage,
    actors: list[Actor],
    sprites: list[Sprite],
    opacities: list[NDArray[np.float32]],
    index: int,
    sensor: EoSensor,
) -> TruthObject | None:
    """Return the truth of an object as it is visible; None if nothing of it is."""
    actor = actors[index]
    visible = opacities[index].copy()
    for nearer in opacities[index + 1 :]:
        visible *= 1 - nearer
    whole, seen = float(sprites[index].opacity.sum()), float(visible.sum())
    rows, columns = np.nonzero(visible.max(axis=1) > 0.3)[0], np.nonzero(visible.max(axis=0) > 0.3)[0]
    if not len(rows) or not len(columns):
        return None
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    occlusion = min(1.0, max(0.0, 1 - seen / whole))
    small = min(box[2] - box[0], box[3] - box[1]) < _DETECTION_PX
    faint = _signal_to_noise(stage, visible, box, sensor) < _MIN_SNR
    return TruthObject(
        actor.kind, box, round(actor.range_m, 2), round(actor.velocity_mps, 3), round(occlusion, 3),
        round(float(np.degrees(actor.aspect_rad)), 1), round(actor.contrast, 3),
        ignore=bool(small or faint or occlusion > _HIDDEN_SHARE), pixels_on_target=round(seen, 1),
    )  # fmt: skip


def _signal_to_noise(
    stage: _Stage, visible: NDArray[np.float32], box: tuple[float, float, float, float], sensor: EoSensor
) -> float:
    """Return the object's contrast to its surroundings over the noise of a pixel, in the better band."""
    x0, y0, x1, y1 = (int(v) for v in box)
    at = (slice(max(y0 - 4, 0), y1 + 4), slice(max(x0 - 4, 0), x1 + 4))
    weight = visible[at]
    around = np.maximum(1 - 2 * weight, 0)
    inside, outside = max(float(weight.sum()), 1e-3), max(float(around.sum()), 1e-3)
    thermal, light = stage.lwir[at], stage.eo[at].mean(axis=2)
    reference_k, reference = float((thermal * around).sum()) / outside, float((light * around).sum()) / outside
    contrast_k = float((np.abs(thermal - reference_k) * weight).sum()) / inside
    contrast = float((np.abs(light - reference) * weight).sum()) / inside
    electrons = max(reference * sensor.electrons, 1.0)
    eo_noise = np.sqrt(electrons + 6.25) / np.sqrt(3.0)
    return max(contrast_k / NETD_K / 2, float(contrast * sensor.electrons / eo_noise) / 2)
