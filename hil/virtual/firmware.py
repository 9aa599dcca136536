"""The process of a virtual board's agent: the real agent, with a modelled NPU and sensors of modelled power.

    python -m hil.virtual.firmware --state D --socket S [--tty T --baud B] [--i2c BUS] ...

Ends when its standard input does, so that it never outlives the board. Prints one line when hosts can connect.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from firmware_bridge.agent.daemon import SerialLine
from firmware_bridge.agent.deadline import process_deadline
from firmware_bridge.agent.identity import BoardIdentity
from firmware_bridge.agent.inference.rails import HwmonRails
from firmware_bridge.agent.serve_command import serve_until_stopped
from firmware_bridge.agent.service import BoardParts, BoardService
from firmware_bridge.agent.state.storage import LocalStorage
from firmware_bridge.device.profile import DEFAULT_BOARD, BoardProfile
from firmware_bridge.device.runtime import default_runtime
from firmware_bridge.errors import BridgeError
from firmware_bridge.links.tty import FASTEST_BAUD
from hil.virtual.clock import ModelledClock
from hil.virtual.engine import ModelledEngine
from hil.virtual.ina226 import ina226_chips
from hil.virtual.noise import NO_NOISE, BoardNoise, count_start
from hil.virtual.power import ModelledPower, Sensor, hwmon_files

__all__ = ["READY", "main"]

READY = b"ready\n"


def main(arguments: list[str]) -> int:
    """Run until standard input closes, a signal comes, or a host asks for a reboot."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s agent %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    threading.Thread(target=_stop_with_input, args=(stop,), name="lifeline", daemon=True).start()
    try:
        line = SerialLine(options.tty, options.baud, options.fastest_baud) if options.tty else None
        serve_until_stopped(_service(options), options.socket, line, stop, ready=_say_ready)
    except (BridgeError, OSError) as error:
        sys.stderr.write(f"the emulated board's agent cannot start: {error}\n")
        return 3
    return 0


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="hil.virtual.firmware", description=__doc__)
    options.add_argument("--state", type=Path, required=True)
    options.add_argument("--socket", required=True)
    options.add_argument("--tty")
    options.add_argument("--baud", type=int, default=921600)
    options.add_argument("--fastest-baud", type=int, default=FASTEST_BAUD)
    options.add_argument("--profile", default=DEFAULT_BOARD)
    options.add_argument("--runtime")
    options.add_argument("--i2c", type=Path, help="bus of INA226 chips that a kernel driver reads; else files stand in")
    options.add_argument("--serial-number", required=True)
    options.add_argument("--no-noise", action="store_true", help="figures are exactly the model's")
    options.add_argument("--seed", type=int, default=0, help="of the noise")
    return options


def _service(options: argparse.Namespace) -> BoardService:
    profile = BoardProfile.load(options.profile)
    clock = ModelledClock()
    sensors, rails = _power_sensors(options, profile)
    spread = NO_NOISE if options.no_noise else profile.noise
    noise = BoardNoise(spread, options.serial_number, start=count_start(options.state), seed=options.seed)
    power = ModelledPower([noise.on(sensor) for sensor in sensors], profile, clock)
    engine = ModelledEngine(default_runtime(options.runtime or profile.runtime), profile, clock, power, noise)
    return BoardService(
        BoardParts(
            identity=BoardIdentity(profile.name, options.serial_number, emulated=True),
            capacity_bytes=profile.capacity_bytes,
            storage=LocalStorage(options.state / "board"),
            engine=engine,
            clock=clock,
            rails=rails,
            wall_s=time.time,
            time_is_trusted=True,  # the host's clock is its own
            deadline=process_deadline,
        )
    )


def _power_sensors(options: argparse.Namespace, profile: BoardProfile) -> tuple[list[Sensor], HwmonRails]:
    """Return what the model writes to, and the reader that a real board has."""
    if options.i2c is not None:
        chips = ina226_chips(options.i2c, profile)
        named = [replace(rail, chip=chip.device) for rail, chip in zip(profile.rails, chips, strict=False)]
        return list(chips), HwmonRails(named=named)
    hwmon = options.state / "hwmon"
    sensors = hwmon_files(hwmon, profile)  # the files, before the reader looks for them
    return sensors, HwmonRails(hwmon, profile.rails)


def _stop_with_input(stop: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    stop.set()


def _say_ready() -> None:
    os.write(1, READY)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
