"""A push over SSH beside ``sftp`` to the same OpenSSH server: on loopback, and on a shaped link between namespaces."""

from __future__ import annotations

import getpass
import json
import os
import random
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import firmware_bridge
from benchmarks.harness import Benchmark, run
from benchmarks.shaped_link import ADDRESSES, RATE_BYTES_S, cannot_shape, shaped_link, within
from benchmarks.ssh_push import children_cpu_s
from firmware_bridge.host.board import Board
from firmware_bridge.host.open import open_link
from firmware_bridge.links.openssh_command import OpenSsh
from firmware_bridge.links.ssh_server import SshServer

__all__ = ["ssh_rows"]

_MIB = 64
_ROUNDS = 3
_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class _Server:
    """A running sshd: where it is, the user's files, and a prefix that runs a command where it can be reached."""

    address: str
    port: int
    folder: Path
    within: tuple[str, ...]
    processes: tuple[int, ...]

    def cpu_s(self) -> float:
        """Return the processor time of the server, of all its sessions that have ended, and of the board."""
        for _ in range(20):
            if not any(Path(f"/proc/{one}/task/{one}/children").read_text() for one in self.processes):
                break
            time.sleep(0.1)
        stats = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in self.processes]
        return sum(int(ticks) for stat in stats for ticks in stat[11:15]) / os.sysconf("SC_CLK_TCK")

    @property
    def url(self) -> str:
        """The board's address."""
        files = f"identity={self.folder}/id&known_hosts={self.folder}/known&config=/dev/null"
        return f"ssh://{getpass.getuser()}@{self.address}:{self.port}?{files}"

    @property
    def server(self) -> SshServer:
        """The same for OpenSSH."""
        return SshServer(
            self.address, getpass.getuser(), self.port, self.folder / "id", self.folder / "known", Path("/dev/null")
        )


def ssh_rows(bench: Benchmark) -> None:
    """Add the rows of both links."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if sshd is None or shutil.which("sftp") is None:
        for name in ("ratio_vs_sftp_loopback", "ratio_vs_sftp_100mbit"):
            bench.row(name, None, "1", note="skipped: no sshd or sftp; apt-get install openssh-server openssh-client")
        return
    with _serving(sshd, "127.0.0.1", _free_port(), (), ()) as server:
        ours, theirs = _took(server)
        cores = len(os.sched_getaffinity(0))
        note = (
            f"{_MIB} MiB: ours {ours.wall_s:.2f} s (push {ours.push_s:.2f}), sftp {theirs.wall_s:.2f} s, best of "
            f"{_ROUNDS} each, connecting included, {cores} cores"
        )
        bench.row("ratio_vs_sftp_loopback", theirs.wall_s / ours.wall_s, "1", at_least=0.9, peer="sftp", note=note)
        note = f"processor time of both ends: ours {ours.cpu_s:.2f} s, sftp {theirs.cpu_s:.2f} s, best of {_ROUNDS}"
        bench.row("cpu_vs_sftp_loopback", ours.cpu_s / theirs.cpu_s, "1", peer="sftp", note=note)
        _request(bench, server)
    if (reason := cannot_shape()) is not None:
        bench.row("ratio_vs_sftp_100mbit", None, "1", note=f"skipped: {reason}")
        return
    with shaped_link(), _serving(sshd, ADDRESSES[1], 22022, within(0), within(1)) as server:
        ours, theirs = _took(server)
    note = f"100 Mbit/s, 10 ms, namespaces: ours {ours.wall_s:.2f} s, sftp {theirs.wall_s:.2f} s"
    bench.row("ratio_vs_sftp_100mbit", theirs.wall_s / ours.wall_s, "1", at_least=0.95, peer="sftp", note=note)
    connecting_s = ours.wall_s - ours.push_s
    note = f"payload of the push, {connecting_s:.2f} s of connecting not in it; packets of 1500 bytes leave 0.965"
    bench.row(
        "share_100mbit", (_MIB << 20) / ours.push_s / RATE_BYTES_S, "1", at_least=0.95, peer="100 Mbit/s", note=note
    )


def _request(bench: Benchmark, server: _Server, rounds: int = 200) -> None:
    """Ask the board over SSH, and the same server's sftp for a file's size, in turns; the medians count."""
    ours, theirs = list[float](), list[float]()
    with Board(open_link(server.url), "benchmark") as board, _Sftp(server) as sftp:
        for _ in range(rounds):
            begun_s = time.perf_counter()
            board.info()
            asked_s = time.perf_counter()
            sftp.stat(b"/")
            ours.append(asked_s - begun_s)
            theirs.append(time.perf_counter() - asked_s)
    ours_ms, theirs_ms = (1e3 * statistics.median(side) for side in (ours, theirs))
    note = f"GetInfo {ours_ms:.2f} ms through the relay, stat {theirs_ms:.2f} ms, both over OpenSSH"
    bench.row("request_vs_sftp_stat", ours_ms / theirs_ms, "1", peer="sftp", note=note)


class _Sftp:
    """As much of an sftp client as one request takes (draft-ietf-secsh-filexfer-02), on the same OpenSSH client."""

    _INIT, _STAT = 1, 17

    def __init__(self, server: _Server) -> None:
        command = OpenSsh.find(server.server).subsystem("sftp", "logged in")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
        self._ask(struct.pack(">BI", self._INIT, 3))

    def __enter__(self) -> _Sftp:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def stat(self, path: bytes) -> None:
        """Ask for a file's attributes."""
        self._ask(struct.pack(">BII", self._STAT, 1, len(path)) + path)

    def _ask(self, packet: bytes) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(struct.pack(">I", len(packet)) + packet)
        self._process.stdin.flush()
        (size,) = struct.unpack(">I", self._process.stdout.read(4))
        self._process.stdout.read(size)


@dataclass(frozen=True, slots=True)
class _Took:
    """What a transfer took, best of the rounds: by the clock with connecting and without, and of the processors."""

    wall_s: float
    push_s: float
    cpu_s: float

    def better(self, other: _Took | None) -> _Took:
        """Return the smaller of each."""
        return self if other is None else _Took(*map(min, astuple(self), astuple(other)))


def _took(server: _Server) -> tuple[_Took, _Took]:
    """Return what our push and sftp's take, in turns."""
    ours, theirs = None, None
    payload = server.folder / "payload"
    payload.write_bytes(random.Random(1).randbytes(_MIB << 20))  # noqa: S311  # incompressible, not secret
    for _ in range(_ROUNDS):
        ours, theirs = _push(server).better(ours), _sftp(server, payload).better(theirs)
    assert ours is not None
    assert theirs is not None
    return ours, theirs


def _push(server: _Server) -> _Took:
    command = [*server.within, sys.executable, "-m", "benchmarks.ssh_push", server.url, str(_MIB)]
    before_s = server.cpu_s()
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LIMIT_S)
    took = json.loads(done.stdout)
    return _Took(took["seconds"], took["push_s"], took["cpu_s"] + server.cpu_s() - before_s)


def _sftp(server: _Server, payload: Path) -> _Took:
    options = (
        f"IdentityFile={server.folder}/id", f"UserKnownHostsFile={server.folder}/known", "IdentitiesOnly=yes",
        "BatchMode=yes", f"Port={server.port}",
    )  # fmt: skip
    command = [*server.within, "sftp", "-q", "-F", "/dev/null", "-b", "-", *(f"-o{option}" for option in options)]
    script = f"put {payload} {server.folder}/received\n"
    before_s, begun_s = server.cpu_s() + children_cpu_s(), time.monotonic()
    subprocess.run(
        [*command, f"{getpass.getuser()}@{server.address}"],
        input=script, text=True, check=True, capture_output=True, timeout=_LIMIT_S,
    )  # fmt: skip
    wall_s = time.monotonic() - begun_s
    return _Took(wall_s, wall_s, server.cpu_s() + children_cpu_s() - before_s)


def _board_python(folder: Path) -> Path:
    """Return an interpreter that finds the package in its folder, as on a board: an editable install loads slowly."""
    venv.create(folder, symlinks=True)
    purelib = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    Path(purelib, "board.pth").write_text(f"{Path(firmware_bridge.__file__).parents[1]}\n")
    return folder / "bin" / "python"


@contextmanager
def _serving(
    sshd: str, address: str, port: int, host_within: tuple[str, ...], board_within: tuple[str, ...]
) -> Iterator[_Server]:
    """Run a server whose subsystems are a keeping board and sftp."""
    with tempfile.TemporaryDirectory(prefix="ks100-ssh-") as name:
        folder = Path(name)
        for key in ("host", "id"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
            subprocess.run(make, check=True, stdin=subprocess.DEVNULL)
        shutil.copy(folder / "id.pub", folder / "authorized")
        kind, value, *_ = (folder / "host.pub").read_text().split()
        (folder / "known").write_text(f"[{address}]:{port} {kind} {value}\n")
        attach = f"{_board_python(folder / 'board')} -I -m firmware_bridge.agent attach --socket {folder}/s"
        config = folder / "sshd_config"
        config.write_text(
            f"ListenAddress {address}:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
            "PasswordAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\nLogLevel ERROR\n"
            f"Subsystem ks100 {attach}\nSubsystem sftp internal-sftp\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        started = [
            subprocess.Popen([*board_within, *command], stderr=subprocess.DEVNULL)
            for command in (
                [sshd, "-D", "-e", "-f", str(config)], [sys.executable, "-m", "benchmarks.kept_board", f"{folder}/s"]
            )
        ]  # fmt: skip
        try:
            server = _Server(address, port, folder, host_within, tuple(process.pid for process in started))
            _wait(server)
            yield server
        finally:
            for process in started:
                process.terminate()
                process.wait(5)


def _wait(server: _Server) -> None:
    probe = f"import socket; socket.create_connection(({server.address!r}, {server.port}), 1).close()"
    for _ in range(50):
        done = subprocess.run([*server.within, sys.executable, "-c", probe], check=False, capture_output=True)
        if done.returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError("sshd did not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    run("link_ssh", ssh_rows)
