"""Optional parts of a profile: the samples needed as evidence, and the variation of an emulated board of the kind."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Noise", "Validity"]


@dataclass(frozen=True, slots=True)
class Validity:
    """Fewer samples than this give no number.

    Attributes:
        missing_fraction: of a window's rail samples that may be missing; what a gap drew is a guess.
        window_samples: of a rail in the idle window and in the loop: fewer leave the mean to the two at the window's
            ends, which stand for time outside it.
        latency_samples: frames below which a latency's tail has no verdict; the default is the minimum at which MLPerf
            Inference's single-stream scenario stops early at the 90 % quantile.
    """

    missing_fraction: float = 0.05
    window_samples: int = 20
    latency_samples: int = 64


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations of what varies on an emulated board, fractions of the modelled value where no unit is given.

    The first four act on whole runs, from one activation of a model to the next: with drift between neighbouring runs
    alike, and with the rest independent. Their defaults are nobody's measurement. The sensor's are those of an INA226
    at 20 mOhm (TI SBOS547): a power step of 3.125 mW, an offset of up to 10 uV, 0.5 mA at 0.9 V.

    Attributes:
        latency_run: latency, independent in each run.
        latency_drift: latency, slow.
        power_run: power, independent in each run.
        power_drift: power, slow: temperature and what leaks with it.
        latency_jitter: of single frames, a gamma distribution whose tail is towards the slow side.
        sensor_mw: one sample of a rail, milliwatts.
        offset_mw: a rail's sensor in a run, milliwatts.
    """

    latency_run: float = 0.004
    latency_drift: float = 0.004
    power_run: float = 0.004
    power_drift: float = 0.006
    latency_jitter: float = 0.01
    sensor_mw: float = 3.0
    offset_mw: float = 0.45
