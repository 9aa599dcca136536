"""A KS-100 without hardware, as a process of its own: real agent, rules, runtime, SSH server and serial line.

Its numerics are real; how long the NPU takes and what the rails draw is modelled. See docs/adr/0003.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

from firmware_bridge.errors import BenchError
from hil.virtual.handle import VirtualBoard, checked_profile

__all__ = ["EmulatedBoard"]

_POLL_S = 0.02


class EmulatedBoard(VirtualBoard):
    """A running emulated board."""

    @classmethod
    def start(
        cls,
        state: Path,
        *,
        ssh: bool = True,
        profile: str | None = None,
        runtime: str | None = None,
        serial_number: str | None = None,
        byte_error_rate: float = 0.0,
        noise: bool = True,
        seed: int = 0,
    ) -> EmulatedBoard:
        """Start a board; it ends with `stop`, or by itself when this process does.

        Args:
            state: its folder: empty or missing makes a factory-new board.
            ssh: whether it has an SSH server.
            profile: kind of a factory-new board, a profile's name or TOML file; the default kind if None.
            runtime: ``litert`` or ``tflite-runtime``; by default what the profile ships.
            serial_number: of a factory-new board; by default a random one.
            byte_error_rate: fraction of the serial line's bytes that lose a bit.
            noise: whether latency, power and sensors vary as the profile's `Noise` says.
            seed: of the noise and of the lost bits; with it, serial number and starts say what each run draws.

        Raises:
            InputError: there is no such profile, or it is wrong.
            BenchError: it does not start: no OpenSSH server, no runtime, or the folder's board runs already.
        """
        options = [] if profile is None else ["--profile", checked_profile(profile)]
        options += [] if ssh else ["--no-ssh"]
        options += ["--runtime", runtime] if runtime else []
        options += ["--serial-number", serial_number] if serial_number else []
        options += ["--byte-error-rate", str(byte_error_rate)] if byte_error_rate else []
        options += ["--seed", str(seed), *([] if noise else ["--no-noise"])]
        return cls.spawn(state, "hil.virtual.emulated", options)

    def agent_process(self) -> int:
        """Return the process id of its agent, which ends and begins anew: to kill it, or to make it stand still.

        Raises:
            BenchError: the board has ended, or its agent does not begin anew.
        """
        deadline_s = time.monotonic() + self.start_s
        while time.monotonic() < deadline_s:
            for child in _children(self.process):
                with contextlib.suppress(OSError):
                    if b"hil.virtual.firmware" in Path(f"/proc/{child}/cmdline").read_bytes():
                        return child
            time.sleep(_POLL_S)
        raise BenchError(f"the virtual board in {self.state} has no agent")


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_bytes().split()]
    except OSError as error:
        raise BenchError(f"the virtual board that was process {process} has ended") from error


if __name__ == "__main__":
    from hil.virtual import supervisor

    sys.exit(supervisor.main(sys.argv[1:]))
