"""A KS-100 without hardware, as a process of its own: real agent, rules, runtime, SSH server and serial line.

Its numerics are real; how long the NPU takes and what the rails draw is modelled. See docs/adr/0003.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hil.virtual.handle import VirtualBoard

__all__ = ["EmulatedBoard"]


class EmulatedBoard(VirtualBoard):
    """A running emulated board."""

    @classmethod
    def start(
        cls,
        state: Path,
        *,
        ssh: bool = True,
        profile: str = "ks100",
        runtime: str | None = None,
        serial_number: str | None = None,
        byte_error_rate: float = 0.0,
        seed: int = 0,
    ) -> EmulatedBoard:
        """Start a board; it ends with `stop`, or by itself when this process does.

        Args:
            state: its folder: empty or missing makes a factory-new board.
            ssh: whether it has an SSH server.
            profile: kind of board.
            runtime: ``litert`` or ``tflite-runtime``; by default what the profile ships.
            serial_number: of a factory-new board; by default a random one.
            byte_error_rate: how many bytes of the serial line lose a bit.
            seed: which ones.

        Raises:
            BenchError: it does not start: no OpenSSH server, no runtime, or the folder's board runs already.
        """
        options = ["--profile", profile]
        options += [] if ssh else ["--no-ssh"]
        options += ["--runtime", runtime] if runtime else []
        options += ["--serial-number", serial_number] if serial_number else []
        options += ["--byte-error-rate", str(byte_error_rate), "--seed", str(seed)] if byte_error_rate else []
        return cls.spawn(state, "hil.virtual.emulated", options)


if __name__ == "__main__":
    from hil.virtual import supervisor

    sys.exit(supervisor.main(sys.argv[1:]))
