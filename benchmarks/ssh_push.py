"""Push random bytes to the board at an SSH address and print the seconds, and the processor's with those of ssh.

``python -m benchmarks.ssh_push URL MIB``: a process of its own, because it has to run in a network namespace.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time

from benchmarks.paced_line import PlainPackage
from firmware_bridge.host.board import Board
from firmware_bridge.host.open import open_link


def children_cpu_s() -> float:
    """Return the processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _main(url: str, mebibytes: int) -> None:
    package = PlainPackage(random.Random(1).randbytes(mebibytes << 20))  # noqa: S311  # incompressible, not secret
    import firmware_bridge.links.openssh  # noqa: F401  # loaded before the clock runs, as the peer is

    begun_s, cpu_s = time.monotonic(), time.process_time() + children_cpu_s()
    with Board(open_link(url), "benchmark") as board:
        connected_s = time.monotonic()
        board.push(package)
        push_s = time.monotonic() - connected_s
    seconds = time.monotonic() - begun_s
    cpu_s = time.process_time() + children_cpu_s() - cpu_s
    json.dump({"seconds": seconds, "push_s": push_s, "cpu_s": cpu_s}, sys.stdout)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
