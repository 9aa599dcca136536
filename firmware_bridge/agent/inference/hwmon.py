"""Power channels of the Linux hwmon class: which files of which chip are the power of one rail, and which are not.

    hwmonN/name  powerC_input (uW)  powerC_label | inC_label  inC_input (mV)  currC_input (mA)  update_interval (ms)

See Documentation/hwmon/sysfs-interface.rst, and ina3221.rst for the chip whose numbers mean something else from 4 on.
Reads names, no values; knows no board.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PowerChannel", "find_channels"]

_DEFAULT_PERIOD_S = 0.01
_SUPPLY_NAME = re.compile(
    r"(ucsi|bat\d*$|cmb\d|ac$|ac\d|adp\d|acad|hidpp|sbs[-_]|cros[-_]?pd|.*_psy)|.*batter|.*charger", re.IGNORECASE
)
_INA3221_CHANNELS = 3  # in4 to in6 are shunt voltages, in7 is their sum, curr4 is the sum of the currents
_NO_RAIL_LABEL = re.compile(r"\b(sum of|shunt)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PowerChannel:
    """One channel of a chip that measures power.

    Attributes:
        label: the driver's, or ``""``.
        chip: the chip's name, e.g. ``ina3221``.
        device: the chip's device, e.g. ``0-0040``.
        place: where it is, for people.
        files: ``powerC_input``, or where a chip has none, ``inC_input`` and ``currC_input``.
        period_s: how often the chip has a new value.
    """

    label: str
    chip: str
    device: str
    place: str
    files: tuple[Path, ...]
    period_s: float


def find_channels(root: Path) -> tuple[list[PowerChannel], list[str]]:
    """Return the channels of all chips under ``root`` in their order, and what was left out, each with the reason."""
    channels, left_out = list[PowerChannel](), list[str]()
    for chip in sorted(root.glob("hwmon*"), key=lambda path: _number(path.name)):
        numbers = sorted({_number(path.name) for kind in ("power", "curr") for path in chip.glob(f"{kind}*_input")})
        if not numbers:
            continue
        name = _text(chip / "name") or chip.name
        if _is_supply(chip, name):
            left_out.append(f"{chip.name} ({name}) is a battery or a supply, not a rail")
            continue
        for number in numbers:
            found = _channel(chip, name, number)
            if isinstance(found, PowerChannel):
                channels.append(found)
            else:
                left_out.append(f"{chip.name} ({name}) channel {number} {found}")
    return channels, left_out


def _channel(chip: Path, name: str, number: int) -> PowerChannel | str:
    """Return a channel, or why it is not usable."""
    if name == "ina3221" and number > _INA3221_CHANNELS:
        return "is the chip's sum, not a rail"
    labels = [_text(chip / f"{kind}{number}_label") for kind in ("power", "in", "curr")]
    if any(_NO_RAIL_LABEL.search(label) for label in labels):
        return f"is labelled {next(filter(None, labels))!r}, not a rail"
    files: tuple[Path, ...] = (chip / f"power{number}_input",)
    if not files[0].exists():
        files = (chip / f"in{number}_input", chip / f"curr{number}_input")
    if not all(file.exists() for file in files):
        return "has a current and no voltage"
    if "0" in (_text(chip / f"in{number}_enable"), _text(chip / f"power{number}_enable")):
        return "is switched off"
    device = (chip / "device").resolve().name if (chip / "device").exists() else ""
    label = next(filter(None, labels), "")
    return PowerChannel(label, name, device, f"{name}/{chip.name}/{number}", files, _period_s(chip))


def _is_supply(chip: Path, name: str) -> bool:
    """Whether a chip is a power supply of the kernel (a battery, a charger, a USB-C port), which shows up here too."""
    device = chip / "device"
    subsystem = (device / "subsystem").resolve().name if (device / "subsystem").exists() else ""
    by_path = device.exists() and "power_supply" in device.resolve().parts
    return subsystem == "power_supply" or by_path or _SUPPLY_NAME.match(name) is not None


def _period_s(chip: Path) -> float:
    with contextlib.suppress(ValueError):
        return int(_text(chip / "update_interval")) / 1e3
    return _DEFAULT_PERIOD_S


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(name: str) -> int:
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else 0
