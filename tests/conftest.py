"""What all tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import IO

import pytest
from hypothesis import settings

from firmware_bridge.links.processes import command_of

# A busy machine is no broken promise: no example is timed. A verdict on the code does not depend on chance: the
# examples of the default tests are always the same, and `make properties` looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("same")

# A shell that starts the tests in the background has them ignore interrupts, and what they start would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_history(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the runs of tests out of the history of whoever runs them."""
    os.environ["KS100_HISTORY"] = str(tmp_path_factory.mktemp("history") / "hil.sqlite")


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run `ks100` with these arguments; return exit code, standard output and standard error."""
    from ks100.cli.main import main

    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture
def sleeper() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `sleep`, and return it once the system calls it so: for an instant it still has its parent's name."""
    started: list[subprocess.Popen[bytes]] = []

    def start(stdin: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["sleep", "60"], stdin=stdin)
        started.append(process)
        while command_of(process.pid) != "sleep":
            time.sleep(0.001)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
