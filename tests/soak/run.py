"""Flashing while things go wrong, over and over: `make soak MINUTES=n`, or `python -m tests.soak.run --minutes n`.

Real processes: emulated boards, `ks100 flash`, OpenSSH, pseudo-terminals with byte errors. Meanwhile agents are killed
or stand still, hosts are killed or interrupted. Each command must end in time and in words, and the package must be
on the board in the end. The seed decides what happens; when, the machine does. Outcomes are printed as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from firmware_bridge.host.address import BoardAddress
from firmware_bridge.package.container import PackageFile
from hil.boards import connect
from hil.virtual.emulated import EmulatedBoard
from tests.agent.board_kit import Office, graph_bytes

_SIZES_BYTES = {"serial": (20_000, 300_000, 2_000_000), "ssh": (300_000, 10_000_000, 30_000_000)}
_BEGIN_S = {"serial": (0.3, 6.0), "ssh": (0.3, 2.0)}  # of a misfortune, after the command's begin
_BYTE_ERROR_RATES = (0.0, 1e-5, 1e-4)
_MISFORTUNES_MAX = 4  # of one package; after these it is left alone
_FREEZES_S = (0.5, 3.0, 9.0, 15.0, 35.0)  # below and above what a host waits
_LIMIT_S = 180.0  # of one command: two attempts, each with its connecting and its silence
_BOOT_S = 60.0
_TRANSFER, _INTERRUPTED, _KILLED = 5, 130, -signal.SIGKILL


def main() -> int:
    """Soak one board on each link, at once; return 1 if anything was not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ks100-soak-") as folder:
        soaks = [_Soak(Path(folder) / link, link, options.seed + i) for i, link in enumerate(_SIZES_BYTES)]
        threads = [threading.Thread(target=soak.run, args=(60 * options.minutes,)) for soak in soaks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    results = [soak.result() for soak in soaks]
    sys.stdout.write(json.dumps({"seed": options.seed, "minutes": options.minutes, "boards": results}, indent=1) + "\n")
    return int(any(soak.trouble for soak in soaks))


class _Soak:
    """One board, and what became of its packages."""

    def __init__(self, folder: Path, link: str, seed: int) -> None:
        folder.mkdir()
        self.trouble: list[str] = []
        self._folder, self._link, self._chance = folder, link, random.Random(seed)
        self._office = Office()
        self._trust = folder / "trust.ksr"
        self._trust.write_bytes(self._office.trust())
        self._ends: Counter[str] = Counter()
        self._packages = 0
        self._longest_s = 0.0

    def result(self) -> dict[str, object]:
        """Return what is printed of it."""
        return {
            "link": self._link,
            "packages": self._packages,
            "exits": dict(sorted(self._ends.items())),
            "longest_s": round(self._longest_s, 1),
            "trouble": self.trouble,
        }

    def run(self, seconds: float) -> None:
        """Flash package after package; what goes wrong ends up in ``trouble``."""
        end_s = time.monotonic() + seconds
        errors = self._chance.choice(_BYTE_ERROR_RATES)
        try:
            with EmulatedBoard.start(self._folder / "board", byte_error_rate=errors, seed=1) as board:
                with connect(BoardAddress.parse(board.ssh_url)) as opened:
                    opened.provision(self._office.trust())
                while time.monotonic() < end_s and not self.trouble:
                    self._package(board)
        except Exception as error:  # noqa: BLE001  # the other board's soak goes on
            self.trouble.append(f"package {self._packages}: {type(error).__name__}: {error}")

    def _package(self, board: EmulatedBoard) -> None:
        """Flash one package until it is on the board, whatever happens meanwhile."""
        self._packages += 1
        graph = graph_bytes(self._packages, padding_bytes=self._chance.choice(_SIZES_BYTES[self._link]))
        package = self._office.package(graph)
        path = self._folder / "package.ksm"
        path.write_bytes(package.head + graph)
        misfortunes: list[Callable[[EmulatedBoard, subprocess.Popen[str]], None]] = [
            self._kill_agent, self._kill_agent_twice, self._freeze_agent, self._interrupt_host, self._kill_host
        ]  # fmt: skip
        for _ in range(_MISFORTUNES_MAX):
            if self._flash(board, path, self._chance.choice(misfortunes)) or self.trouble:
                break
        else:
            if not self._flash(board, path, None):
                self.trouble.append(f"package {self._packages} cannot be flashed although nothing happens")
        self._check(board, package)

    def _flash(
        self,
        board: EmulatedBoard,
        package: Path,
        misfortune: Callable[[EmulatedBoard, subprocess.Popen[str]], None] | None,
    ) -> bool:
        """Run the command with a misfortune; return whether it said that the board has the package."""
        url = board.serial_url if self._link == "serial" else board.ssh_url
        ks100 = Path(sys.executable).with_name("ks100")
        command = [ks100, "flash", package, "--board", url, "--trust", self._trust, "--events"]
        begun_s = time.monotonic()
        host = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        reader = _Reader(host)
        name = misfortune.__name__.strip("_") if misfortune else "nothing"
        if misfortune is not None:
            time.sleep(self._chance.uniform(*_BEGIN_S[self._link]))
            with contextlib.suppress(ProcessLookupError):
                misfortune(board, host)
        try:
            host.wait(_LIMIT_S)
        except subprocess.TimeoutExpired:
            host.kill()
            self.trouble.append(f"package {self._packages}, {name}: the command hung; {reader.end()[-500:]}")
            return False
        said = reader.end()
        self._longest_s = max(self._longest_s, time.monotonic() - begun_s)
        self._ends[f"{name}: {host.returncode}"] += 1
        expected = {0, _TRANSFER, {"interrupt_host": _INTERRUPTED, "kill_host": _KILLED}.get(name, 0)}
        if "Traceback" in said or host.returncode not in expected:
            self.trouble.append(f"package {self._packages}, {name}: exit {host.returncode}; {said[-1500:]}")
        return host.returncode == 0

    def _check(self, board: EmulatedBoard, package: PackageFile) -> None:
        with connect(BoardAddress.parse(board.ssh_url), patience_s=_BOOT_S) as opened:
            info = opened.info()
        active = next((slot for slot in info.slots if slot.name == info.active), None)
        expected = package.manifest_unverified.payload_sha256.hex()
        if active is None or (active.digest, active.state) != (expected, "confirmed"):
            self.trouble.append(f"package {self._packages}: the board runs {active}, not {expected[:16]}")

    # --- what goes wrong ---

    def _kill_agent(self, board: EmulatedBoard, _: subprocess.Popen[str]) -> None:
        os.kill(board.agent_process(), signal.SIGKILL)

    def _kill_agent_twice(self, board: EmulatedBoard, host: subprocess.Popen[str]) -> None:
        self._kill_agent(board, host)
        time.sleep(self._chance.uniform(0.2, 3.0))
        self._kill_agent(board, host)

    def _freeze_agent(self, board: EmulatedBoard, _: subprocess.Popen[str]) -> None:
        agent = board.agent_process()
        os.kill(agent, signal.SIGSTOP)
        time.sleep(self._chance.choice(_FREEZES_S))
        os.kill(agent, signal.SIGCONT)

    def _interrupt_host(self, _: EmulatedBoard, host: subprocess.Popen[str]) -> None:
        host.send_signal(signal.SIGINT)

    def _kill_host(self, _: EmulatedBoard, host: subprocess.Popen[str]) -> None:
        host.kill()


class _Reader:
    """Keeps what a command says, so that it never waits for its reader."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._lines.extend, args=(process.stdout,))
        self._thread.start()

    def end(self) -> str:
        """Return all of it, once the command has ended."""
        self._thread.join()
        return "".join(self._lines)


if __name__ == "__main__":
    sys.exit(main())
