"""The link: `python -m benchmarks.link --json F`.

How much of a serial line a push uses, on clean and on failing lines, beside ZMODEM and YMODEM on the same line; real
packages and fleets; SSH beside sftp; ten thousand transfers over cables that fail.

Pseudo-terminals joined at the line's pace in a process of their own, 16 ms turnaround, seeded byte errors; 2 MiB of
incompressible bytes; compression off where a share of the line is stated.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.faulty_transfers import faulty_rows
from benchmarks.harness import Benchmark, run
from benchmarks.link_boards import board_rows
from benchmarks.link_ssh import ssh_rows
from benchmarks.paced_line import Line, PlainPackage, paced_line, served_tty
from firmware_bridge.host.address import SerialAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.open import open_link
from firmware_bridge.host.transfer import CancelledError, TransferProgress
from firmware_bridge.links.tty import make_raw

_PAYLOAD_BYTES = 2 * 1024 * 1024
_PEER_LIMIT_S = 240.0
_PEER_LAST_S = 30.0  # what is still on the line when the sender ends
_ZMODEM_SHARE = 0.93  # its framing leaves 0.97 (escapes, and 5 bytes in 1024), its start takes half a second of 23
_STOP_AT = 0.37
_SHARES = (
    ("share_115200", 115200, 0.0, 0.97),
    ("share_921600", 921600, 0.0, 0.97),
    ("share_3000000", 3_000_000, 0.0, 0.95),
    ("share_921600_ber5", 921600, 1e-5, 0.95),
    ("share_921600_ber4", 921600, 1e-4, 0.85),
)


def _payload(seed: int, size_bytes: int) -> bytes:
    return random.Random(seed).randbytes(size_bytes)  # noqa: S311  # incompressible and repeatable, not secret


def _open(line: Line) -> Board:
    return Board(open_link(SerialAddress(Path(line.host_path), line.baud, line.baud)), "benchmark")


def _timed(action: Callable[[], object]) -> tuple[float, float]:
    """Return wall and processor seconds of ``action`` in this process."""
    wall_s, cpu_s = time.monotonic(), time.process_time()
    action()
    return time.monotonic() - wall_s, time.process_time() - cpu_s


def _shares(bench: Benchmark) -> float:
    """Push over each line; returns the share reached at 921600 baud."""
    package = PlainPackage(_payload(1, _PAYLOAD_BYTES))
    at_921600 = 0.0
    for name, baud, error_rate, least in _SHARES:
        with paced_line(baud, byte_error_rate=error_rate, seed=5) as line, served_tty(line), _open(line) as board:
            wall_s, cpu_s = _timed(lambda: board.push(package, compress=False))
            share = _PAYLOAD_BYTES / wall_s / line.rate_bytes_s
            repeated = board.statistics.retransmissions
        note = f"{repeated} of about {_PAYLOAD_BYTES // 1024} frames repeated"
        bench.row(name, share, "1", at_least=least, peer="8N1 line rate", note=note)
        if name == "share_921600":
            at_921600 = share
        if name == "share_3000000":
            note = "of one core, while pushing"
            bench.row("host_cpu_share_3m", cpu_s / wall_s, "1", at_most=0.40, note=note)
    return at_921600


def _raised(bench: Benchmark) -> None:
    """Push over lines that begin at 115200 baud: on one cable 3 M can be agreed on, another carries 921600 only."""
    package = PlainPackage(_payload(3, _PAYLOAD_BYTES))
    for carries, least in ((3_000_000, 0.80), (921_600, 0.70)):
        with (
            paced_line(115200, carries_baud=carries) as line,
            served_tty(line, 3_000_000),
            Board(open_link(SerialAddress(Path(line.host_path), line.baud)), "benchmark") as board,
        ):
            wall_s, _ = _timed(partial(board.push, package, compress=False))
            agreed = board.statistics.baud
        share = _PAYLOAD_BYTES / wall_s / (carries / 10)
        note = f"begun at 115200, ended at {agreed}; agreeing and rates tried in vain included"
        bench.row(f"share_raised_{carries}", share, "1", at_least=least, peer="8N1 line rate", note=note)


def _resume(bench: Benchmark) -> None:
    payload = _payload(2, _PAYLOAD_BYTES // 2)
    package = PlainPackage(payload)
    stop_at = _STOP_AT
    with paced_line(3_000_000) as line, served_tty(line):
        seen: list[TransferProgress] = []
        with _open(line) as board, contextlib.suppress(CancelledError):
            board.push(package, seen.append, lambda: bool(seen) and seen[-1].bytes_done > stop_at * len(payload))
        with _open(line) as board:
            board.push(package)
            received = int(board.audit()[0].subject)
            wire_before = board.statistics.wire_bytes_sent
            board.push(package)
            again = board.statistics.wire_bytes_sent - wire_before
            chunks_again = int(board.audit()[0].subject) - received
    resent = received - package.chunk_count
    bench.row(
        "resume_resent_chunks", resent, "chunks", at_most=1, note=f"cut at {stop_at:.0%} of {package.chunk_count}"
    )
    note = f"{again} bytes on the wire in all"
    bench.row("repush_payload_bytes", chunks_again * 16384, "bytes", at_most=0, note=note)


def _peer(line: Line, sender: list[str], receiver: list[str]) -> float | None:
    """Return the seconds until the sender has ended and the payload is there, or None when that does not come about.

    A receiver may stay longer: `sz` leaves with two bytes that nobody acknowledges, and where they get lost with its
    terminal settings `rz` waits 30 s for them, with the whole file on its disk. That is no part of a transfer.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "send"), Path(folder, "receive")
        source.mkdir()
        target.mkdir()
        payload = _payload(1, _PAYLOAD_BYTES)
        (source / "model.bin").write_bytes(payload)
        ends = [os.open(path, os.O_RDWR | os.O_NOCTTY) for path in (line.host_path, line.board_path)]
        for end in ends:
            make_raw(end, line.baud)
        arrived = target / "model.bin"
        begun_s = time.monotonic()
        sink = subprocess.Popen(receiver, stdin=ends[1], stdout=ends[1], stderr=subprocess.DEVNULL, cwd=target)
        command = [*sender, str(source / "model.bin")]
        send = subprocess.Popen(command, stdin=ends[0], stdout=ends[0], stderr=subprocess.DEVNULL, cwd=source)
        try:
            send.wait(_PEER_LIMIT_S)
            _wait_for_bytes(arrived, _PAYLOAD_BYTES)
            seconds = time.monotonic() - begun_s
        except (subprocess.TimeoutExpired, TimeoutError):
            return None
        finally:
            for process in (send, sink):
                if process.poll() is None:
                    process.kill()
                    process.wait()
            for end in ends:
                os.close(end)
        return seconds if arrived.read_bytes()[:_PAYLOAD_BYTES] == payload else None


def _wait_for_bytes(file: Path, size_bytes: int) -> None:
    end_s = time.monotonic() + _PEER_LAST_S
    while not file.exists() or file.stat().st_size < size_bytes:
        if time.monotonic() > end_s:
            raise TimeoutError
        time.sleep(0.01)


def _peers(bench: Benchmark, ours: float) -> None:
    if shutil.which("sz") is None:
        bench.row("ratio_vs_zmodem", None, "1", note="skipped: no sz; apt-get install lrzsz")
        return
    for name, error_rate, sender, receiver in (
        ("zmodem", 0.0, ["sz", "-b", "-q"], ["rz", "-b", "-q"]),
        ("zmodem_8k", 0.0, ["sz", "-b", "-q", "-8"], ["rz", "-b", "-q"]),
        ("zmodem_ber4", 1e-4, ["sz", "-b", "-q"], ["rz", "-b", "-q"]),
        ("ymodem_1k", 0.0, ["sb", "-b", "-q", "-k"], ["rb", "-b", "-q"]),
    ):
        times = []
        for _ in range(1 if error_rate else 2):  # a start that was missed costs a peer ten seconds: the better counts
            with paced_line(921600, byte_error_rate=error_rate, seed=5) as line:
                times.append(_peer(line, sender, receiver))
        seconds = min((one for one in times if one), default=None)
        share = _PAYLOAD_BYTES / seconds / line.rate_bytes_s if seconds else None
        note = " ".join(sender) + ("" if seconds else f": did not finish within {_PEER_LIMIT_S:.0f} s")
        bench.row(f"share_921600_{name}", share, "1", peer="8N1 line rate", note=note)
        if name == "zmodem":
            _ratio(bench, ours, share)


def _ratio(bench: Benchmark, ours: float, share: float | None) -> None:
    """Add the comparison with ZMODEM, which counts only where it ran as it can: otherwise there is no verdict."""
    if share is None or share < _ZMODEM_SHARE:
        note = f"INVALID: sz had {share or 0:.2f} of the line, undisturbed it has {_ZMODEM_SHARE} or more"
        bench.row("ratio_vs_zmodem", None, "1", peer="lrzsz", note=note)
    else:
        bench.row("ratio_vs_zmodem", ours / share, "1", at_least=1.02, peer="lrzsz")


def measure(bench: Benchmark) -> None:
    """Measure all rows."""
    ours = _shares(bench)
    _peers(bench, ours)
    _raised(bench)
    _resume(bench)
    board_rows(bench)
    ssh_rows(bench)
    faulty_rows(bench)


if __name__ == "__main__":
    run("link", measure)
