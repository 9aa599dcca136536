"""``python -m firmware_bridge.agent serve``: the daemon of a real board, put together from its command line."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from firmware_bridge.agent.daemon import SerialLine, run_daemon
from firmware_bridge.agent.deadline import process_deadline
from firmware_bridge.agent.identity import BoardIdentity, device_serial
from firmware_bridge.agent.inference.clock import RealClock
from firmware_bridge.agent.inference.engine import RuntimeEngine
from firmware_bridge.agent.inference.rails import HWMON, HwmonRails
from firmware_bridge.agent.notify import Supervisor
from firmware_bridge.agent.service import BoardParts, BoardService
from firmware_bridge.agent.state.storage import LocalStorage
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.device.runtime import default_runtime
from firmware_bridge.errors import BenchError, BridgeError
from firmware_bridge.links.tty import FASTEST_BAUD

__all__ = ["main", "parser", "serve_until_stopped"]

DEFAULT_BAUD = 921600


def parser() -> argparse.ArgumentParser:
    """Return the options of ``serve``."""
    options = argparse.ArgumentParser(prog="firmware_bridge.agent serve", description=__doc__)
    options.add_argument("--state", type=Path, required=True, help="folder of the board's state")
    options.add_argument("--socket", required=True, help="unix socket that `attach` connects to")
    options.add_argument(
        "--serial", metavar="TTY", help="terminal of the serial line, e.g. /dev/ttyS1 (no getty on it)"
    )
    options.add_argument("--baud", type=int, default=DEFAULT_BAUD, help=f"of the serial line, default {DEFAULT_BAUD}")
    options.add_argument(
        "--fastest-baud",
        type=int,
        default=FASTEST_BAUD,
        help=f"what the line may be raised to by agreement with a host, default {FASTEST_BAUD}",
    )
    options.add_argument("--board", default="ks100", help="kind of board: a profile's name, default ks100")
    options.add_argument("--serial-number", help="default: the one of the boot firmware")
    options.add_argument("--runtime", help="litert or tflite-runtime; default: what is installed")
    options.add_argument(
        "--delegate", type=Path, metavar="LIB", help="external delegate of the NPU, e.g. /usr/lib/libvx_delegate.so"
    )
    options.add_argument("--hwmon", type=Path, default=HWMON, help=f"folder of the power sensors, default {HWMON}")
    options.add_argument("--trust-time", action="store_true", help="the clock is trusted: check validity periods")
    return options


def main(arguments: list[str]) -> int:
    """Serve until a signal or a host's reboot request; systemd then restarts it."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        profile = BoardProfile.load(options.board)
        service = BoardService(
            BoardParts(
                identity=BoardIdentity(profile.name, options.serial_number or device_serial()),
                capacity_bytes=profile.capacity_bytes,
                storage=LocalStorage(options.state),
                engine=_engine(options),
                clock=RealClock(),
                rails=_rails(options.hwmon, profile),
                wall_s=time.time,
                time_is_trusted=options.trust_time,
                deadline=process_deadline,
            )
        )
        line = SerialLine(options.serial, options.baud, options.fastest_baud) if options.serial else None
        serve_until_stopped(service, options.socket, line)
    except (BridgeError, OSError) as error:
        sys.stderr.write(f"the agent cannot start: {error}\n")
        return 3
    return 0


def _rails(root: Path, profile: BoardProfile) -> HwmonRails:
    rails = HwmonRails(root, profile.rails)
    log = logging.getLogger(__name__)
    log.info("power rails: %s", ", ".join(rails.labels) or "none")
    for line in rails.left_out:
        log.info("not a power rail: %s", line)
    return rails


def _engine(options: argparse.Namespace) -> RuntimeEngine:
    delegate: Path | None = options.delegate
    if delegate is not None and not delegate.is_file():
        raise BenchError(f"there is no delegate {delegate}; install the library of the NPU's vendor")
    return RuntimeEngine(default_runtime(options.runtime, delegate), delegate.name if delegate else "")


def serve_until_stopped(
    service: BoardService,
    socket_path: str,
    line: SerialLine | None,
    stop: threading.Event | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Boot the board, and serve it until SIGTERM, SIGINT, ``stop`` or a reboot requested by a host.

    ``ready`` is called once hosts can connect, after the service manager was notified.

    Raises:
        OSError: its state or socket cannot be used.
    """
    stop = stop or threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    supervisor = Supervisor()
    service.start()
    supervisor.keep_alive(stop)

    def is_ready() -> None:
        supervisor.ready()
        ready()

    run_daemon(service, socket_path, line, stop=stop, ready=is_ready)
    supervisor.stopping()
