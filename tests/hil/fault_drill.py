"""The fault drill: every fault of the emulated board, its line and its bench against verdict, words and exit code.

`make fault-drill` tries them with the real command and writes `docs/fault-drill.md`; it fails when a fault ends
otherwise than is expected here.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import profile_text
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import write
from hil.boards import open_board
from hil.checks.free_board import claim, open_free_board
from hil.errors import EvidenceError
from hil.measurements.results import HilResults, Outcome
from hil.virtual.emulated import EmulatedBoard
from tests.hil.hil_bench import DETECTOR, Bench, make_bench, manifest, new_key

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fault-drill.md"
_LIMIT_S = 300
_WORDS = 150


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: the command's exit code, the verdict of its results, and the line that says why."""

    code: int
    verdict: str
    words: str


def _nothing(process: subprocess.Popen[str], folder: Path) -> None:
    """Leave the command alone."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        what: in words.
        code: the exit code that is right.
        verdict: of the results; ``"none"`` where the run did not begin.
        words: what the line that says why must contain.
        make: brings it about for the block and gives the command's arguments; gets the bench and an empty folder.
        meanwhile: what happens to the running command, by its process and the board's state.
    """

    what: str
    code: int
    verdict: str
    words: str
    make: Callable[[Bench, Path], Iterator[Sequence[str]]]
    meanwhile: Callable[[subprocess.Popen[str], Path], None] = _nothing


def _on(*arguments: str, package: str = "package") -> Callable[[Bench, Path], Iterator[Sequence[str]]]:
    """Give arguments that need nothing prepared."""

    def make(bench: Bench, folder: Path) -> Iterator[Sequence[str]]:
        yield [str(getattr(bench, package)), *arguments]

    return make


def _board(**options: object) -> Callable[[Bench, Path], Iterator[Sequence[str]]]:
    """Give a board of its own, which runs outside the command."""
    link = str(options.pop("link", "ssh"))

    def make(bench: Bench, folder: Path) -> Iterator[Sequence[str]]:
        with EmulatedBoard.start(folder / "board", **options) as board:  # type: ignore[arg-type]
            url = board.ssh_url if link == "ssh" else board.serial_url
            _provision(url, bench)
            yield [str(bench.package), "--board", url]

    return make


def _busy(bench: Bench, folder: Path) -> Iterator[Sequence[str]]:
    with EmulatedBoard.start(folder / "board") as board:
        _provision(board.ssh_url, bench)
        over = threading.Event()
        with open_free_board(board.ssh_url) as held:
            user = threading.Thread(target=_use, args=(held, over), daemon=True)
            user.start()
            yield [str(bench.package), "--board", board.ssh_url]
            over.set()
            user.join()


def _use(board: Board, over: threading.Event) -> None:
    """Use a board now and then: one whose holder does nothing is given to the next one."""
    while not over.wait(2.0):
        claim(board)


def _provision(url: str, bench: Bench) -> None:
    with open_board(url) as board:
        board.provision(bench.trust.read_bytes())


def _foreign(bench: Bench, folder: Path) -> Iterator[Sequence[str]]:
    payload = DETECTOR.read_bytes()
    write(folder / "foreign.ksm", manifest(Graph.parse(payload), 3), payload, new_key())
    yield [str(folder / "foreign.ksm"), "--trust", str(bench.trust), "--board", "emu:"]


def _profiled(pattern: str, replacement: str) -> Callable[[Bench, Path], Iterator[Sequence[str]]]:
    """Judge the board by a profile in which one number is another."""

    def make(bench: Bench, folder: Path) -> Iterator[Sequence[str]]:
        text, count = re.subn(pattern, replacement, profile_text("ks100"), count=1, flags=re.MULTILINE)
        assert count == 1, pattern
        (folder / "strict.toml").write_text(text)
        yield [str(bench.package), "--board", "emu:", "--profile", str(folder / "strict.toml")]

    return make


def _unwritable(bench: Bench, folder: Path) -> Iterator[Sequence[str]]:
    (folder / "file").touch()
    yield [str(bench.package), "--board", "emu:", "--results", str(folder / "file" / "out")]


def _named(bench: Bench, folder: Path) -> Iterator[Sequence[str]]:
    (folder / "lab.yaml").write_text("targets:\n  bench-1:\n    resources:\n      KS100Board: {url: 'emu:'}\n")
    yield [str(bench.package), "--board", "bench-2", "--inventory", str(folder / "lab.yaml")]


def _when_measuring(do: Callable[[subprocess.Popen[str], Path], None]) -> Callable[[subprocess.Popen[str], Path], None]:
    """Do something once the board has the package."""

    def meanwhile(process: subprocess.Popen[str], folder: Path) -> None:
        deadline_s = time.monotonic() + _LIMIT_S
        while process.poll() is None and time.monotonic() < deadline_s:
            try:
                if any(c.name.startswith("test_install::") for c in HilResults.load(folder / "out").checks):
                    do(process, folder)
                    return
            except EvidenceError:
                pass
            time.sleep(0.05)

    return meanwhile


def _agent(folder: Path, number: signal.Signals) -> None:
    board = EmulatedBoard.find(folder / "board")
    assert board is not None
    os.kill(board.agent_process(), number)


def _power_off(folder: Path) -> None:
    board = EmulatedBoard.find(folder / "board")
    assert board is not None
    os.kill(board.process, signal.SIGKILL)


FAULTS = (
    Fault("none", 0, "pass", "", _on("--board", "emu:")),
    Fault("a serial line that damages one byte in 20,000", 0, "pass", "",
          _board(link="serial", byte_error_rate=5e-5, seed=3)),
    Fault("no such serial port", 3, "none", "there is no serial port", _on("--board", "serial:///dev/no-such-port")),
    Fault("nobody answers at the address", 3, "none", "ssh", _on("--board", "ssh://lab@127.0.0.1:9")),
    Fault("a name that the inventory lacks", 2, "none", "did you mean bench-1?", _named),
    Fault("another job has the board", 3, "board or bench fault", "in use by", _busy),
    Fault("the agent dies in the middle", 3, "board or bench fault", "", _board(),
          _when_measuring(lambda _, folder: _agent(folder, signal.SIGKILL))),
    Fault("the agent stands still", 3, "board or bench fault", "", _board(),
          _when_measuring(lambda _, folder: _agent(folder, signal.SIGSTOP))),
    Fault("the board loses power", 3, "board or bench fault", "", _board(),
          _when_measuring(lambda _, folder: _power_off(folder))),
    Fault("a package of an unknown key", 4, "rejected by trust", "unknown-key", _foreign),
    Fault("a package older than the rollback floor", 4, "rejected by trust", "rollback",
          _on("--board", "emu:", package="older")),
    Fault("power over the budget", 1, "limit failed", "power budget",
          _profiled(r"^budget_mw = \{ value = 8000", "budget_mw = { value = 900")),
    Fault("answers after the decision window", 1, "limit failed", "decision window",
          _profiled(r"^window_ms = \{ value = 80", "window_ms = { value = 0.001")),
    Fault("a rail that the board does not report", 1, "limit failed", "reports",
          _profiled(r'^label = "VDD_IO"$', 'label = "VDD_LOST"')),
    Fault("results cannot be written", 2, "none", "cannot be written", _unwritable),
    Fault("SIGTERM in the middle", 130, "INCOMPLETE", "SIGTERM", _board(),
          _when_measuring(lambda process, _: process.terminate())),
)  # fmt: skip


def try_fault(fault: Fault, bench: Bench, folder: Path) -> Ending:
    """Bring a fault about, run the command, and return how it ended."""
    with ExitStack() as stack:
        arguments = stack.enter_context(contextmanager(fault.make)(bench, folder))
        out = [] if "--results" in arguments else ["--results", str(folder / "out")]
        command = [sys.executable, "-m", "ks100.cli", "hil", "run", *arguments, "--tier", "smoke", *out]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        watcher = threading.Thread(target=fault.meanwhile, args=(process, folder), daemon=True)
        watcher.start()
        said = process.communicate(timeout=_LIMIT_S)[1]
        watcher.join(5.0)
    lines = [line for line in said.splitlines() if line.startswith("ks100: ")]
    try:
        results = HilResults.load(folder / "out")
    except EvidenceError:
        return Ending(process.returncode, "none", (lines or [""])[-1].removeprefix("ks100: "))
    return Ending(process.returncode, results.verdict.value, _why(results))


def _why(results: HilResults) -> str:
    order = (Outcome.ERROR, Outcome.REJECTED, Outcome.FAILED, Outcome.INCONCLUSIVE)
    said = [check.message for outcome in order for check in results.checks if check.outcome is outcome]
    return results.stopped or next(iter(said), "")


def wrong(fault: Fault, ending: Ending) -> str:
    """Return how an ending differs from what is right, ``""`` if it does not."""
    right = (ending.code, ending.verdict) == (fault.code, fault.verdict) and fault.words in ending.words
    expected = f"exit {fault.code}, {fault.verdict}, {fault.words!r}"
    return "" if right else f"{fault.what}: {ending}, expected {expected}"


def page(endings: Sequence[tuple[Fault, Ending]], before: str = "") -> str:
    """Return the page with the table; faults that were not tried have their row of the page ``before``."""
    tried = {f.what: f"| {f.what} | {e.verdict} | {_shown(e.words)} | {e.code} |" for f, e in endings}
    known = {line.split(" | ")[0].removeprefix("| "): line for line in before.splitlines()}
    rows = [row for fault in FAULTS if (row := tried.get(fault.what) or known.get(fault.what))]
    return "\n".join([
        "# Fault drill", "",
        "*What each fault of a board, link or bench comes to; `make fault-drill` tries all and writes this.*", "",
        "The verdict is that of `results.json`, `none` where the run could not begin. The words say why.", "",
        "| fault | verdict | words | exit code |", "|---|---|---|---|", *rows, "",
    ])  # fmt: skip


def _shown(words: str) -> str:
    """Return words without what differs from run to run: folders, ports, keys, numbers of processes."""
    words = re.sub(r"(/tmp|/root|/home)/[^\s;,]*", "…", words)
    words = re.sub(r"(ssh://)\S+", r"\1…", words)
    words = re.sub(r"\b[0-9a-f]{12,}\b", "…", words)
    words = re.sub(r"in use by .*? for \d+ s", "in use by NAME for N s", words)
    return (words if len(words) <= _WORDS else words[:_WORDS].rsplit(" ", 1)[0] + " …").replace("|", "\\|")


def main() -> int:
    """Try the faults; 1 when one ends otherwise than is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only the faults whose words contain this; the other rows stay")
    only = parser.parse_args().only
    endings: list[tuple[Fault, Ending]] = []
    with tempfile.TemporaryDirectory(prefix="ks100-drill-") as name:
        bench_folder = Path(name) / "bench"
        bench_folder.mkdir()
        bench = make_bench(bench_folder, captures=2)
        for number, fault in enumerate(f for f in FAULTS if only in f.what):
            folder = Path(name) / str(number)
            folder.mkdir()
            ending = try_fault(fault, bench, folder)
            endings.append((fault, ending))
            print(f"{fault.what}: {wrong(fault, ending) or 'as expected'}: {ending}", flush=True)
    PAGE.write_text(page(endings, PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""), encoding="utf-8")
    return 1 if any(wrong(fault, ending) for fault, ending in endings) else 0


if __name__ == "__main__":
    sys.exit(main())
