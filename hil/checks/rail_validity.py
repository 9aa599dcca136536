"""Whether a rail's samples can be power at all: a sensor that sticks, saturates or sleeps gives no number.

Knows samples and windows; what a window's mean is, and how sure, is `hil.checks.power`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.profile_options import Validity
from firmware_bridge.protocol.messages import RailTrace

__all__ = ["Coverage", "Window", "coverage", "defects"]

_GAP = 1.5
"""A step longer than this many usual ones lacks samples."""

_TOP_RUN = 8
"""So many equal samples at the very top of a rail's range are a limit of the sensor, not of the load."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a run on the board's clock, seconds: ``idle window`` or ``loop``."""

    name: str
    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """Samples of a rail in a window: how many came, how many were due at the sensor's usual step, how many gaps."""

    received: int
    expected: int
    gaps: int
    step_s: float

    @property
    def missing(self) -> float:
        """Fraction of the due samples that did not come."""
        return max(0.0, 1.0 - self.received / self.expected) if self.expected else 1.0


def coverage(trace: RailTrace, window: Window) -> Coverage:
    """Count a rail's samples in a window against those that were due."""
    time_s: NDArray[np.float64] = np.asarray(trace.time_s, np.float64)
    inside = time_s[(time_s > window.begin_s) & (time_s <= window.end_s)]
    if len(time_s) < 2:
        return Coverage(len(inside), 0, 0, float("nan"))
    step_s = float(np.median(np.diff(time_s)))
    edges = np.concatenate([[window.begin_s], inside, [window.end_s]])
    gaps = int((np.diff(edges) > _GAP * step_s).sum())
    expected = max(len(inside), int((window.end_s - window.begin_s) / step_s)) if step_s > 0 else 0
    return Coverage(len(inside), expected, gaps, step_s)


def defects(trace: RailTrace, windows: Iterable[tuple[Window, Coverage]], validity: Validity) -> list[str]:
    """Return why a rail's samples are not valid as power, one clause each; empty if they are."""
    time_s: NDArray[np.float64] = np.asarray(trace.time_s, np.float64)
    power_mw: NDArray[np.float64] = np.asarray(trace.power_mw, np.float64)
    if len(time_s) != len(power_mw) or not (np.isfinite(time_s).all() and np.isfinite(power_mw).all()):
        return ["its samples are not all numbers"]
    found = ["its clock runs backwards"] if (np.diff(time_s) <= 0).any() else []
    if (power_mw < 0).any():
        found.append(f"{int((power_mw < 0).sum())} samples are negative")
    if len(power_mw) >= validity.window_samples and (power_mw == power_mw[0]).all():
        found.append(f"it is stuck: every sample is {power_mw[0]:g} mW")
    elif _is_saturated(power_mw):
        found.append(f"it is saturated at {power_mw.max():g} mW")
    for window, counted in windows:
        found += _window_defects(counted, window, validity)
    return found


def _window_defects(found: Coverage, window: Window, validity: Validity) -> Iterable[str]:
    length_s = window.end_s - window.begin_s
    needed = validity.window_samples
    if found.received < needed:
        slow = f", one every {found.step_s:.3g} s" if found.step_s == found.step_s else ""
        yield (
            f"{found.received} samples in the {window.name} of {length_s:.3g} s{slow}, {needed} are needed; "
            "run it longer, or let the sensor update faster"
        )
    elif found.missing > validity.missing_fraction:
        yield (
            f"{found.received} of {found.expected} samples came in the {window.name}, with {found.gaps} gaps; "
            f"at most {validity.missing_fraction:.0%} may be missing"
        )


def _is_saturated(power_mw: NDArray[np.float64]) -> bool:
    """Whether the largest value is a ceiling: noise moves the values below it, and it stays for a while at a time."""
    top = power_mw.max(initial=0.0)
    at_top = power_mw == top
    edges = np.flatnonzero(np.diff(np.concatenate([[False], at_top, [False]]).astype(np.int8)))
    longest = int((edges[1::2] - edges[::2]).max(initial=0))
    below = np.unique(power_mw[~at_top])
    # A quantised but quiet load also repeats its top; a ceiling cuts a spread of many values off.
    return longest >= _TOP_RUN and len(below) > 4 * _TOP_RUN and float(at_top.mean()) > 0.05
