"""One command of the host in a separate process: its output, its peak memory, and its end, also when it hangs.

Processes are forked from one that has imported everything, so that hundreds of them cost seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

__all__ = ["CommandEnd", "HostProgram", "run_command"]

_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class HostProgram:
    """The program under test.

    Attributes:
        main: takes a command's arguments, returns its exit code; a function of a module, by which children find it.
        preload: modules that every command needs.
        version: its version.
    """

    main: Callable[[Sequence[str]], int]
    preload: tuple[str, ...]
    version: str

    def context(self) -> ForkServerContext:
        """Return what starts its processes."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*self.preload, self.main.__module__, __name__])
        return context


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ended: see `hil.conformance.host.cases.Ending`."""

    code: int | None
    output: bytes
    memory_mib: float
    seconds: float


def run_command(
    context: ForkServerContext,
    main: Callable[[Sequence[str]], int],
    arguments: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    terminal: bool,
    limit_s: float,
) -> CommandEnd:
    """Run one command to its end, or for ``limit_s`` seconds.

    Args:
        context: starts the process.
        main: what it runs.
        arguments: the command's.
        folder: becomes its current directory.
        environment: what differs in it.
        terminal: whether its output is a terminal; a pipe otherwise.
        limit_s: after which it is killed.
    """
    reading, writing = os.openpty() if terminal else os.pipe()
    memory = context.Value("d", 0.0)
    path = f"/proc/{os.getpid()}/fd/{writing}"
    process = context.Process(target=_child, args=(main, list(arguments), str(folder), dict(environment), path, memory))
    output = bytearray()
    reader = threading.Thread(target=_read_all, args=(reading, output), daemon=True)
    begun_s = time.monotonic()
    try:
        process.start()
        reader.start()
        process.join(limit_s)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
    finally:
        os.close(writing)
        reader.join(5.0)
        os.close(reading)
    return CommandEnd(code, bytes(output), memory.value, time.monotonic() - begun_s)


def _read_all(descriptor: int, output: bytearray) -> None:
    while True:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except OSError:  # a terminal that nobody has open any more
            return
        if not data:
            return
        output += data


def _child(
    main: Callable[[Sequence[str]], int],
    arguments: list[str],
    folder: str,
    environment: dict[str, str],
    output: str,
    memory: multiprocessing.sharedctypes.Synchronized[float],
) -> None:
    """Run ``main`` with its output where the parent reads it."""
    descriptor = os.open(output, os.O_WRONLY | os.O_NOCTTY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    os.environ.update(environment)
    os.chdir(folder)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # as a program begins
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    code = main(arguments)
    memory.value = max(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, before_kib) / 1024
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF)
