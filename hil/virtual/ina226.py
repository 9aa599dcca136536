"""INA226 chips on a bus in memory (Linux i2c-stub): the power model writes their registers, the real driver reads them.

Registers and steps: TI INA226 data sheet (SBOS547), sections 7.5 and 7.6; the driver's calibration: Linux
``drivers/hwmon/ina2xx.c``, where the current step is 2.5 uV / shunt and the power step 25 times that.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
from pathlib import Path

from firmware_bridge.device.profile import BoardProfile, Rail

__all__ = ["ADDRESSES", "SHUNT_UOHM", "Ina226", "ina226_chips"]

ADDRESSES = tuple(range(0x40, 0x4A))
"""Addresses that the chip's two pins choose, one a rail in the profile's order; a bus in memory has at most ten."""

SHUNT_UOHM = 20_000
"""Shunt resistor: 20 mOhm, so that 4 A, as much as the budget allows at 0.8 V twice over, are in range."""

_VOLTAGE_REGISTER, _POWER_REGISTER, _CURRENT_REGISTER = 0x02, 0x03, 0x04
_VOLTAGE_STEP_V = 1.25e-3
_CURRENT_STEP_A = 2.5e-6 / (SHUNT_UOHM * 1e-6)
_POWER_STEP_W = 25 * _CURRENT_STEP_A
_REGISTER_LARGEST = 0x7FFF

# linux/i2c-dev.h, linux/i2c.h
_I2C_SLAVE_FORCE = 0x0706  # although a driver has the address
_I2C_SMBUS = 0x0720
_SMBUS_WRITE = 0
_SMBUS_WORD_DATA = 3


class _Transfer(ctypes.Structure):
    """struct i2c_smbus_ioctl_data."""

    _fields_ = (
        ("read_write", ctypes.c_uint8),
        ("command", ctypes.c_uint8),
        ("size", ctypes.c_uint32),
        ("data", ctypes.POINTER(ctypes.c_uint16)),
    )


class Ina226:
    """One chip; a `hil.virtual.power.Sensor`.

    Attributes:
        label: its rail's label.
        device: its name on the bus, e.g. ``0-0040``.
    """

    def __init__(self, bus: Path, address: int, rail: Rail) -> None:
        """Open the bus, and show the rail's voltage.

        Raises:
            OSError: no such bus.
        """
        self.label = rail.label
        self.device = f"{bus.name.rpartition('-')[2]}-{address:04x}"
        self._nominal_v = rail.nominal_v
        self._shown = -1
        self._bus = os.open(bus, os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(self._bus, _I2C_SLAVE_FORCE, address)
        self._set(_VOLTAGE_REGISTER, rail.nominal_v / _VOLTAGE_STEP_V)

    def write(self, power_mw: float) -> None:
        """See `hil.virtual.power.Sensor.write`."""
        power = round(power_mw / 1e3 / _POWER_STEP_W)
        if power != self._shown:
            self._set(_POWER_REGISTER, power)
            self._set(_CURRENT_REGISTER, power_mw / 1e3 / self._nominal_v / _CURRENT_STEP_A)
            self._shown = power

    def _set(self, register: int, steps: float) -> None:
        value = min(_REGISTER_LARGEST, round(steps))
        swapped = (value & 0xFF) << 8 | value >> 8  # the chip sends the high byte first, SMBus the low one
        word = ctypes.c_uint16(swapped)
        transfer = _Transfer(_SMBUS_WRITE, register, _SMBUS_WORD_DATA, ctypes.pointer(word))
        fcntl.ioctl(self._bus, _I2C_SMBUS, transfer)


def ina226_chips(bus: Path, profile: BoardProfile) -> tuple[Ina226, ...]:
    """Return a chip for each rail of the profile.

    Raises:
        OSError: no such bus.
    """
    return tuple(Ina226(bus, address, rail) for address, rail in zip(ADDRESSES, profile.rails, strict=False))
