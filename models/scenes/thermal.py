"""Surface temperatures over the day: targets and background cross twice.

Each surface responds to the first harmonic of solar heating as a linear body: a half-space by its thermal
inertia P (Carslaw and Jaeger 1959, 2.6; Watson 1975), a sheet by its heat capacity C, both losing heat to the air
through one exchange coefficient h:

    T(t) = T_air + (a S/pi - L)/h + Re[ a S/2 / (h + P sqrt(w) e^(i pi/4) + i w C) * e^(i w (t - noon)) ]

for absorptivity a, noon irradiance S (a half-sine day has mean S/pi and first harmonic S/2) and long-wave loss L to
the sky. The difference of two surfaces is a constant plus one sinusoid: zero exactly twice a day, or never.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

__all__ = ["SURFACES", "Heating", "Surface", "crossover_hours", "skin_temperature_k", "surface_temperature_k"]

_OMEGA = 2 * math.pi / 86400.0


@dataclass(frozen=True, slots=True)
class Surface:
    """Thermal properties of a surface.

    Attributes:
        absorptivity: solar absorptivity times the fraction of the sky that the surface faces.
        inertia: P = sqrt(conductivity density heat), J m-2 K-1 s-1/2; 0 for a sheet.
        capacity: J m-2 K-1 of a sheet; 0 for a half-space.
        exchange: convection and linearised radiation to the air, W m-2 K-1.
        loss: net long-wave and evaporative loss, W m-2, under a clear sky.
    """

    absorptivity: float
    inertia: float
    capacity: float
    exchange: float
    loss: float


# Thermal inertia after Jaeger (1953) and Price (1977); absorptivity from albedo tables (Oke 1987). Exchange and
# loss are chosen so that vehicles' paint crosses each ground twice a day under a clear sky, as observed.
SURFACES: dict[str, Surface] = {
    "sand": Surface(0.62, 800, 0, 17, 75),
    "grass": Surface(0.60, 900, 0, 20, 85),
    "asphalt": Surface(0.78, 1300, 0, 20, 95),
    "soil": Surface(0.62, 1200, 0, 18, 85),
    "snow": Surface(0.14, 450, 0, 16, 45),
    "foliage": Surface(0.50, 0, 12000, 26, 70),
    "bark": Surface(0.55, 600, 0, 18, 60),
    "wall": Surface(0.45, 1600, 0, 16, 35),
    "rock": Surface(0.65, 1900, 0, 16, 55),
    "metal": Surface(0.52, 0, 12000, 14, 76),
    "rubber": Surface(0.62, 0, 30000, 16, 60),
    "cloth": Surface(0.35, 0, 2000, 16, 30),
}


@dataclass(frozen=True, slots=True)
class Heating:
    """Heating and cooling of a scene's surfaces.

    Attributes:
        air_k: air temperature, kelvin.
        noon_w_m2: sun's irradiance at noon.
        sky: fraction of the clear sky's long-wave loss, 1 clear, about 0.3 overcast.
        evenness: fraction of the differences between surfaces that wet weather leaves, 0 to 1.
    """

    air_k: float
    noon_w_m2: float
    sky: float
    evenness: float


def surface_temperature_k(surface: Surface, heating: Heating, hour: float) -> float:
    """Return the surface's temperature in kelvin at the local solar ``hour``."""
    absorbed = surface.absorptivity * heating.noon_w_m2
    mean = (absorbed / math.pi - surface.loss * heating.sky) / surface.exchange
    admittance = (
        surface.exchange
        + surface.inertia * math.sqrt(_OMEGA) * cmath.exp(0.25j * math.pi)
        + 1j * _OMEGA * surface.capacity
    )
    phase = cmath.exp(1j * _OMEGA * (hour - 12.0) * 3600.0)
    swing = (absorbed / 2 / admittance * phase).real
    return heating.air_k + heating.evenness * (mean + swing)


def crossover_hours(first: Surface, second: Surface, heating: Heating) -> tuple[float, ...]:
    """Return the two local hours at which both surfaces have the same temperature, ascending; () if there are none."""

    def difference(hour: float) -> float:
        return surface_temperature_k(first, heating, hour) - surface_temperature_k(second, heating, hour)

    # A constant plus a sinusoid: three samples a third of a day apart give all three coefficients.
    samples = [difference(hour) for hour in (0.0, 8.0, 16.0)]
    mean = sum(samples) / 3
    cosine = 2 / 3 * sum(s * math.cos(2 * math.pi * k / 3) for k, s in enumerate(samples))
    sine = 2 / 3 * sum(s * math.sin(2 * math.pi * k / 3) for k, s in enumerate(samples))
    amplitude = math.hypot(cosine, sine)
    if amplitude <= abs(mean) or amplitude == 0:
        return ()
    middle, half = math.atan2(sine, cosine), math.acos(-mean / amplitude)
    hours = [(angle * 12 / math.pi) % 24 for angle in (middle - half, middle + half)]
    return tuple(sorted(hours))


def skin_temperature_k(air_k: float) -> float:
    """Return the temperature of bare skin, about 33 C at rest, less in the cold (after Gagge and Nishi 1977)."""
    return 306.2 - 0.28 * max(0.0, 298.0 - air_k)
