"""Real packages to emulated boards over their paced serial lines: compression, what a re-export costs, sixteen at once.

Packages hold fusion-transformer (one board) and fusion-small (sixteen) in INT8, weights as initialised, quantized on
noise: what their bytes are like, not what they are worth.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.harness import Benchmark
from firmware_bridge.host.address import BoardAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.fleet import FlashTarget, flash
from firmware_bridge.package.container import PackageFile
from hil.boards import connect
from hil.virtual.emulated import EmulatedBoard
from tests.powercut.signing_kit import SigningKit

__all__ = ["board_rows"]

_LINE_BYTES_S = 92_160.0
_FLEET = 17  # one alone, then sixteen
_GRAPHS = """
import sys
import keras, numpy as np
from models.networks import build
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.feeds import Sample
from models.quant.plan import STANDARD_PLANS
from models.quant.produce import produce
from models.training.export import export_float

keras.utils.set_random_seed(1)
model = build(sys.argv[1])
source = export_float(model)
for path, seed in zip(sys.argv[2:], (1, 2)):
    noise = np.random.default_rng(seed)
    shapes = {name: (1, *tensor.shape[1:]) for name, tensor in model.input.items()}
    feeds = [Sample({name: noise.random(shape, np.float32) for name, shape in shapes.items()}) for _ in range(2)]
    open(path, "wb").write(produce(source, STANDARD_PLANS["int8"], calibrate(source, feeds, CalibrationMethod.MINMAX)))
"""


def board_rows(bench: Benchmark) -> None:
    """Add the rows."""
    kit = SigningKit()
    first, again = (kit.sign(graph, str(n)) for n, graph in enumerate(_graphs("fusion-transformer", 2)))
    with _boards(1, kit) as (address,):
        _compression(bench, address, first, again)
    (small,) = _graphs("fusion-small", 1)
    with _boards(_FLEET, kit) as addresses:
        _fleet(bench, addresses, kit.sign(small))


def _compression(bench: Benchmark, address: BoardAddress, package: PackageFile, exported: PackageFile) -> None:
    with connect(address) as board:
        begun_s, wire = time.monotonic(), board.statistics.wire_bytes_sent
        board.push(package)
        seconds = time.monotonic() - begun_s
        wire = board.statistics.wire_bytes_sent - wire
        size = len(package.payload())
        note = f"INT8 fusion-transformer, {size // 1024} KiB as {wire // 1024} KiB on the wire; install included"
        bench.row("effective_rate_share", size / seconds / _LINE_BYTES_S, "1", peer="8N1 line rate", note=note)
        wire = board.statistics.wire_bytes_sent
        board.push(exported)
        wire = board.statistics.wire_bytes_sent - wire
        sent = _wanted(board)
    note = (
        f"{wire} bytes on the wire, {sent} of {exported.chunk_count} chunks; the same weights on other captures' ranges"
    )
    share = wire / len(exported.payload())
    bench.row("reexport_share", share, "1", at_most=0.10, note=note)


def _wanted(board: Board) -> int:
    """Return how many chunks the board asked for in the last push, as its audit log has it."""
    offers = [entry.result for entry in board.audit() if entry.action == "offer"]
    return int(offers[-1].removeprefix("ok: ").split()[0])


def _fleet(bench: Benchmark, addresses: Sequence[BoardAddress], package: PackageFile) -> None:
    """Flash one board, then all the others at once; each has a line of its own."""
    one_s = _flashed(addresses[:1], package)
    all_s = _flashed(addresses[1:], package)
    note = (
        f"one {one_s:.1f} s, {len(addresses) - 1} at once {all_s:.1f} s, lines of 921600 baud, on this machine's cores"
    )
    bench.row("fleet16_vs_one", all_s / one_s, "1", at_most=2, note=note)


def _flashed(addresses: Sequence[BoardAddress], package: PackageFile) -> float:
    targets = [FlashTarget(address.url, partial(connect, address)) for address in addresses]
    begun_s = time.monotonic()
    results = flash(targets, package)
    seconds = time.monotonic() - begun_s
    failed = [f"{result.board}: {result.error}" for result in results if not result.passed]
    if failed:
        raise RuntimeError(failed[0])
    return seconds


@contextmanager
def _boards(count: int, kit: SigningKit) -> Iterator[tuple[BoardAddress, ...]]:
    """Start boards without SSH, provision them, and give their serial lines."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ks100-fleet-")))
        started = [stack.enter_context(EmulatedBoard.start(root / str(index), ssh=False)) for index in range(count)]
        addresses = tuple(BoardAddress.parse(f"{board.serial_url}&fastest=921600") for board in started)
        for address in addresses:
            with connect(address) as board:
                board.provision(kit.trust())
        yield addresses


def _graphs(network: str, count: int) -> list[bytes]:
    """Return graphs of the same weights with different ranges; made in a process of its own, TensorFlow is large."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(count)]
        command = [sys.executable, "-c", _GRAPHS, network, *map(str, paths)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return [path.read_bytes() for path in paths]
