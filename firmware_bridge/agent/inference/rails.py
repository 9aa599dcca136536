"""The board's power rails: those of its profile, found by label and chip among the channels that `hwmon` finds.

Refuses to know whose files they are: an INA2xx driver's, or those of a virtual board.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from firmware_bridge.agent.inference.hwmon import PowerChannel, find_channels

__all__ = ["HWMON", "HwmonRails", "NamedRail", "Rails"]

HWMON = Path("/sys/class/hwmon")

_VALUE_BYTES = 32
_DEFAULT_PERIOD_S = 0.01
_SHORTEST_PERIOD_S = 0.001


class Rails(Protocol):
    """Something that measures the power of a board's rails."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The rails' labels."""
        ...

    @property
    def period_s(self) -> float:
        """How often a new value is there, seconds; the shortest of all rails."""
        ...

    def read_mw(self) -> tuple[float | None, ...]:
        """Return the power of each rail, milliwatts, in the order of `labels`; None for one that cannot be read."""
        ...


class NamedRail(Protocol):
    """A rail in a board's profile."""

    @property
    def label(self) -> str:
        """Its label, as the driver gives it."""
        ...

    @property
    def chip(self) -> str:
        """Its chip's name or device (``ina226``, ``0-0040``), ``""`` for any: needed where the label is not enough."""
        ...


@dataclass(frozen=True, slots=True)
class _Channel:
    """One rail, with the files of its channel open."""

    label: str
    descriptors: tuple[int, ...]

    def read_mw(self) -> float | None:
        try:
            values = [int(os.pread(descriptor, _VALUE_BYTES, 0)) for descriptor in self.descriptors]
        except (OSError, ValueError):
            return None
        return values[0] / 1e3 if len(values) == 1 else values[0] * values[1] / 1e3  # uW; mV times mA


class HwmonRails:
    """Rails of hwmon chips. Their files stay open: reading is then ten times faster.

    Attributes:
        left_out: what was not taken for a rail, and which rail of the profile is not there; one line each.
    """

    def __init__(self, root: Path = HWMON, named: Sequence[NamedRail] | None = None) -> None:
        """Find the channels, in the order of the chips' numbers; those that appear later are not seen.

        Args:
            root: the folder of the chips.
            named: the rails of the board's profile; without them every channel that can be a rail is one.
        """
        channels, left_out = find_channels(root)
        chosen = [(channel.label or channel.place, channel) for channel in channels]
        if named is not None:
            chosen, more = _choose(channels, named)
            left_out += more
        self.left_out = tuple(left_out)
        self._channels = [
            _Channel(label, tuple(os.open(file, os.O_RDONLY | os.O_CLOEXEC) for file in channel.files))
            for label, channel in chosen
        ]
        shortest_s = min((channel.period_s for _, channel in chosen), default=_DEFAULT_PERIOD_S)
        self._period_s = max(_SHORTEST_PERIOD_S, shortest_s)

    @property
    def labels(self) -> tuple[str, ...]:
        """See `Rails.labels`."""
        return tuple(channel.label for channel in self._channels)

    @property
    def period_s(self) -> float:
        """See `Rails.period_s`."""
        return self._period_s

    def read_mw(self) -> tuple[float | None, ...]:
        """See `Rails.read_mw`."""
        return tuple(channel.read_mw() for channel in self._channels)

    def close(self) -> None:
        """Close the files."""
        for channel in self._channels:
            for descriptor in channel.descriptors:
                os.close(descriptor)
        self._channels = []


def _choose(
    channels: Sequence[PowerChannel], named: Sequence[NamedRail]
) -> tuple[list[tuple[str, PowerChannel]], list[str]]:
    """Return the named rails with their channels, in the chips' order, and what does not fit."""
    rail_of: dict[int, str] = {}
    left_out = []
    for rail in named:
        found = [at for at, channel in enumerate(channels) if at not in rail_of and _is_rail(channel, rail)]
        if len(found) == 1:
            rail_of[found[0]] = rail.label
        elif found:
            places = ", ".join(channels[at].place for at in found)
            left_out.append(f"the rail {rail.label} is on several channels ({places}): the profile must name its chip")
        else:
            chip = f" on a chip {rail.chip}" if rail.chip else ""
            left_out.append(f"the rail {rail.label} of the profile is not there{chip}")
    for at, channel in enumerate(channels):
        if at not in rail_of:
            named_as = f" ({channel.label})" if channel.label else ""
            left_out.append(f"{channel.place}{named_as} is not a rail of the profile")
    return [(rail_of[at], channel) for at, channel in enumerate(channels) if at in rail_of], left_out


def _is_rail(channel: PowerChannel, rail: NamedRail) -> bool:
    if rail.chip and rail.chip not in (channel.chip, channel.device):
        return False
    # A driver without labels leaves the device to tell the chips apart.
    return channel.label == rail.label or (not channel.label and rail.chip == channel.device != "")
