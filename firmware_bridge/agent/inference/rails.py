"""The board's power rails, read through the files of the Linux hwmon class (Documentation/hwmon/sysfs-interface.rst).

    hwmonN/name  powerC_input (uW)  powerC_label | inC_label  inC_input (mV)  currC_input (mA)  update_interval (ms)

Refuses to know whose files they are: an INA2xx driver's, or those of a virtual board.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

__all__ = ["HWMON", "HwmonRails", "NoRails", "Rails"]

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


class NoRails:
    """A board without power sensors."""

    labels: tuple[str, ...] = ()
    period_s = _DEFAULT_PERIOD_S

    def read_mw(self) -> tuple[float | None, ...]:
        """See `Rails.read_mw`."""
        return ()


@dataclass(frozen=True, slots=True)
class _Channel:
    """One rail: the open ``powerC_input``, or where a chip has none, ``inC_input`` and ``currC_input``."""

    label: str
    descriptors: tuple[int, ...]

    def read_mw(self) -> float | None:
        try:
            values = [int(os.pread(descriptor, _VALUE_BYTES, 0)) for descriptor in self.descriptors]
        except (OSError, ValueError):
            return None
        return values[0] / 1e3 if len(values) == 1 else values[0] * values[1] / 1e3  # uW; mV times mA


class HwmonRails:
    """The power channels of all hwmon chips under a folder. Their files stay open: reading is then ten times faster."""

    def __init__(self, root: Path = HWMON, labels: Mapping[str, str] = MappingProxyType({})) -> None:
        """Find the channels, in the order of the chips' numbers; those that appear later are not seen.

        Args:
            root: the folder of the chips.
            labels: a rail by its chip's device, e.g. ``0-0040``, where the driver gives no label.
        """
        self._channels: list[_Channel] = []
        periods_s = []
        for chip in sorted(root.glob("hwmon*"), key=lambda path: _number(path.name)):
            found = _channels(chip, labels)
            self._channels += found
            if found:
                periods_s.append(_period_s(chip))
        self._period_s = max(_SHORTEST_PERIOD_S, min(periods_s, default=_DEFAULT_PERIOD_S))

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


def _channels(chip: Path, given: Mapping[str, str]) -> list[_Channel]:
    name = _text(chip / "name") or chip.name
    by_device = given.get((chip / "device").resolve().name)
    numbers = sorted({_number(path.name) for kind in ("power", "curr") for path in chip.glob(f"{kind}*_input")})
    found = []
    for number in numbers:
        files = [chip / f"power{number}_input"]
        if not files[0].exists():
            files = [chip / f"in{number}_input", chip / f"curr{number}_input"]
        if not all(file.exists() for file in files):
            continue
        labels = [_text(chip / f"{kind}{number}_label") for kind in ("power", "in", "curr")] + [by_device]
        label = next(filter(None, labels), f"{name}/{chip.name}/{number}")
        found.append(_Channel(label, tuple(os.open(file, os.O_RDONLY | os.O_CLOEXEC) for file in files)))
    return found


def _period_s(chip: Path) -> float:
    with contextlib.suppress(ValueError):
        return int(_text(chip / "update_interval")) / 1e3
    return _DEFAULT_PERIOD_S


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(name: str) -> int:
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else 0
