"""A scene's place, weather and time of day: sampled once and shared by its frames.

Samples conditions and camera geometry; `models.scenes.ground` and `models.scenes.clutter` draw the ground.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.captures import Conditions
from models.scenes.atmosphere import Atmosphere
from models.scenes.ood import WEATHER, Ood, air_of, kind_of
from models.scenes.spec import SceneSpec
from models.scenes.thermal import SURFACES, Heating, crossover_hours, surface_temperature_k

__all__ = ["ATMOSPHERES", "BACKGROUNDS", "THERMALS", "Camera", "Place", "draw_place"]

BACKGROUNDS = ("desert_scrub", "grassland", "urban", "forest_edge", "snow")
ATMOSPHERES = ("clear", "haze", "precipitation")
THERMALS = ("day", "night", "crossover")

_GROUND = {
    "desert_scrub": "sand", "grassland": "grass", "urban": "asphalt", "forest_edge": "soil", "snow": "snow",
}  # fmt: skip
_AIR_C = {
    "desert_scrub": (18, 36), "grassland": (8, 27), "urban": (6, 30), "forest_edge": (6, 24), "snow": (-14, -3),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Camera:
    """A level camera over flat ground.

    Attributes:
        height_m: of the lens above the ground.
        horizon_row: row of the horizon; negative when the camera looks below it.
        ifov_rad: angle of a pixel.
        width: pixels.
        height: pixels.
    """

    height_m: float
    horizon_row: float
    ifov_rad: float
    width: int
    height: int

    def row(self, range_m: float) -> float:
        """Return the row of ground at ``range_m``."""
        return self.horizon_row + self.height_m / (range_m * self.ifov_rad)

    def range_m(self, row: float) -> float:
        """Return the range of the ground at ``row``; 5 km at and above the horizon."""
        below = (row - self.horizon_row) * self.ifov_rad
        return min(5000.0, self.height_m / below) if below > 0 else 5000.0

    def depression_rad(self, range_m: float) -> float:
        """Return the depression angle of ground at ``range_m``."""
        return math.atan(self.height_m / range_m)

    def px_per_m(self, range_m: float) -> float:
        """Return pixels per metre across the line of sight at ``range_m``."""
        return 1.0 / (range_m * self.ifov_rad)


@dataclass(frozen=True)
class Place:
    """The properties that all frames of a scene have in common.

    Attributes:
        id: scene id.
        background: category.
        thermal: category.
        atmosphere: the air.
        heating: sun and air.
        hour: local solar hour.
        camera: geometry.
        sun: direction to the sun in the view frame (right, away, up).
        direct: fraction of the light that casts shadows, 0 to 1.
        light_electrons: mean signal of a white pixel, electrons.
        hardness: of the set.
        ood: the kind of weather or fault of a scene that is out of distribution, else None.
    """

    id: str
    background: str
    thermal: str
    atmosphere: Atmosphere
    heating: Heating
    hour: float
    camera: Camera
    sun: tuple[float, float, float]
    direct: float
    light_electrons: float
    hardness: float
    ood: Ood | None = None

    @property
    def conditions(self) -> Conditions:
        """The three condition axes; out of distribution, its kind alone."""
        if self.ood is not None:
            return Conditions((("ood", str(self.ood)),))
        return Conditions(
            (("background", self.background), ("atmosphere", self.atmosphere.category), ("thermal", self.thermal))
        )

    @property
    def ground_k(self) -> float:
        """Temperature of the bare ground."""
        return self.surface_k(_GROUND[self.background])

    def surface_k(self, surface: str) -> float:
        """Return the temperature of a named surface now, kelvin."""
        return surface_temperature_k(SURFACES[surface], self.heating, self.hour)


def draw_place(spec: SceneSpec, scene: int, rng: np.random.Generator) -> Place:
    """Sample the scene's conditions; backgrounds alternate, so that every set has equal numbers of each."""
    kind = kind_of(scene) if spec.ood else None
    background = BACKGROUNDS[(scene if kind is None else scene // len(Ood)) % len(BACKGROUNDS)]
    h = spec.hardness
    category = str(rng.choice(ATMOSPHERES, p=_mix((0.55, 0.25, 0.20), (0.15, 0.55, 0.30), h)))
    thermal = str(rng.choice(THERMALS, p=_mix((0.45, 0.33, 0.22), (0.25, 0.35, 0.40), h)))
    if kind is Ood.SNOW_CROSSOVER:
        background, thermal = "snow", "crossover"
    air_k = 273.15 + rng.uniform(*_AIR_C[background]) - (4 if thermal == "night" else 0)
    atmosphere = air_of(kind, air_k, rng) if kind in WEATHER else _draw_air(category, air_k, h, rng)
    category = atmosphere.category
    wet = category == "precipitation"
    cloud = 0.3 if wet else float(rng.choice([1.0, 0.85, 0.6], p=[0.6, 0.25, 0.15]))
    heating = Heating(air_k, cloud * rng.uniform(620, 900), cloud, 0.45 if wet else 1.0)
    hour = _draw_hour(thermal, background, heating, rng)
    direct, electrons = _light(thermal, cloud, category, rng)
    elevation = math.radians(rng.uniform(28, 58))
    azimuth = rng.uniform(-math.pi, math.pi)
    sun = (
        math.cos(elevation) * math.sin(azimuth), math.cos(elevation) * math.cos(azimuth), math.sin(elevation),
    )  # fmt: skip
    return Place(
        f"{spec.name}-{spec.seed}-{scene:05d}", background, thermal, atmosphere, heating, hour, _draw_camera(spec, rng),
        sun, direct, electrons, h, kind,
    )  # fmt: skip


def _mix(easy: tuple[float, ...], hard: tuple[float, ...], hardness: float) -> list[float]:
    return [(1 - hardness) * e + hardness * d for e, d in zip(easy, hard, strict=True)]


def _draw_air(category: str, air_k: float, hardness: float, rng: np.random.Generator) -> Atmosphere:
    """Sample visibility, rain and humidity; hardness lowers the visibility towards 400 m."""
    if category == "clear":
        return Atmosphere(category, rng.uniform(15e3, 35e3), 0.0, air_k, rng.uniform(0.25, 0.6))
    if category == "haze":
        thin, thick = 3500.0 - 2300.0 * hardness, 900.0 - 500.0 * hardness
        return Atmosphere(category, thick * (thin / thick) ** rng.random(), 0.0, air_k, rng.uniform(0.6, 0.9))
    rain = rng.uniform(1.0, 5.0 + 7.0 * hardness)
    return Atmosphere(category, rng.uniform(2.5e3, 9e3) * (1 - 0.5 * hardness), rain, air_k, rng.uniform(0.8, 0.98))


def _draw_hour(thermal: str, background: str, heating: Heating, rng: np.random.Generator) -> float:
    if thermal == "day":
        return float(rng.uniform(9.0, 14.5))
    if thermal == "night":
        return float(rng.uniform(20.5, 27.5)) % 24
    hours = crossover_hours(SURFACES[_GROUND[background]], SURFACES["metal"], heating)
    return float(rng.choice(hours)) if hours else 6.0


def _light(thermal: str, cloud: float, category: str, rng: np.random.Generator) -> tuple[float, float]:
    """Return the fraction of direct light and the electrons of a white pixel."""
    if thermal == "night":
        return 0.0, float(rng.uniform(25, 90))
    if thermal == "crossover":
        return 0.12 * cloud, float(rng.uniform(350, 1500))
    return (0.7 * cloud if category == "clear" else 0.25 * cloud), 6000.0


def _draw_camera(spec: SceneSpec, rng: np.random.Generator) -> Camera:
    """Sample the range at the frame's lower edge and its depression angle, which together give the camera's height."""
    near_m = 22.0 * 4.0 ** rng.random()
    angle = rng.uniform(0.13, 0.28)
    horizon_row = spec.height - angle / spec.ifov_rad
    return Camera(near_m * angle, horizon_row, spec.ifov_rad, spec.width, spec.height)
