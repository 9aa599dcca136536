"""The board's side: `python -m benchmarks.board --json F`.

Rejection conformance over both links, power cuts, the cost of verifying every load, memory while receiving, the agent's
share of an inference, SIGKILLs over real SSH. Inference runs on this machine's CPU; nothing here is modelled.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.board_kills import Kills, survive_kills
from benchmarks.board_receive import peak_rss_over_model_mib
from benchmarks.harness import Benchmark, run
from firmware_bridge.agent.inference.clock import RealClock
from firmware_bridge.agent.inference.engine import RuntimeEngine
from firmware_bridge.agent.inference.paced_run import Pace, run_paced
from firmware_bridge.agent.inference.rails import HwmonRails
from firmware_bridge.agent.state.chunks import ChunkStore
from firmware_bridge.agent.state.slots import Slots
from firmware_bridge.agent.state.storage import LocalStorage
from firmware_bridge.device.runtime import Kernels, default_runtime, import_runtime
from firmware_bridge.host.address import BoardAddress
from firmware_bridge.package.trust import BoardContext, verify_package
from firmware_bridge.package.trust_store import TrustStore
from hil.conformance.catalogue import RULES
from hil.conformance.results import Status
from hil.conformance.runner import run_conformance
from hil.virtual.emulated import EmulatedBoard
from tests.powercut.campaign import Harm
from tests.powercut.parallel import run_all
from tests.powercut.signing_kit import SigningKit

_MIB = 1 << 20
_LOAD_BYTES = 8 * _MIB
_RECEIVE_BYTES = 64 * _MIB
_ANY = BoardContext.any_board()


def measure(bench: Benchmark) -> None:
    """Measure everything."""
    _conformance(bench)
    _start(bench)
    _load(bench)
    _receive(bench)
    _inference(bench)
    _powercut(bench)
    _kills(bench)


def _conformance(bench: Benchmark) -> None:
    """Attack an emulated board over SSH and over its serial line; the worse of the two counts."""
    runs = [run_conformance(BoardAddress.parse(url), RULES) for url in ("emu:", "emu:?link=serial")]
    note = "; ".join(
        f"{run.link}: {run.tried} cases of {len(run.rules)} classes in {run.seconds:.0f} s" for run in runs
    )
    bench.row("conformance_cases", min(run.tried for run in runs), "", at_least=550, note=note)
    for name, status in (
        ("wrongly_accepted", Status.WRONGLY_ACCEPTED),
        ("wrongly_rejected", Status.WRONGLY_REJECTED),
        ("wrong_reasons", Status.WRONG_REASON),
        ("broken_promises", Status.BROKEN_PROMISE),
    ):
        bench.row(name, sum(run.counts[status] for run in runs), "", at_most=0)
    deaths = sum(run.agent_deaths + run.counts[Status.NO_ANSWER] for run in runs)
    bench.row("agent_deaths", deaths, "", at_most=0)
    bench.row("conformance_s", max(run.seconds for run in runs), "s", at_most=120, note="the slower of the two links")


def _start(bench: Benchmark, rounds: int = 3) -> None:
    """Start emulated boards from nothing, one after the other; the best counts."""
    took = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            begun_s = time.perf_counter()
            with EmulatedBoard.start(Path(folder) / "state"):
                took.append(time.perf_counter() - begun_s)
    bench.row("emulated_start_s", min(took), "s", at_most=2, note="a new board with its SSH server and serial line")


def _load(bench: Benchmark, rounds: int = 41) -> None:
    """Compare a verified load from a slot with hashing the same bytes, in turns; the best of each counts."""
    kit = SigningKit()
    package = kit.package(1, noise_bytes=_LOAD_BYTES)
    payload, store = package.payload(), TrustStore.decode(kit.trust())
    with tempfile.TemporaryDirectory() as folder:
        storage = LocalStorage(Path(folder))
        storage.write("slots/a.head", package.head)
        storage.write("slots/a.payload", payload)
        slots, hashing, loading = Slots(storage, ChunkStore(storage)), [], []
        for _ in range(rounds):
            begun_s = time.perf_counter()
            hashlib.sha256(payload).digest()
            hashed_s = time.perf_counter()
            slots.load("a", store, _ANY)
            loading.append(1e3 * (time.perf_counter() - hashed_s))
            hashing.append(1e3 * (hashed_s - begun_s))
        storage.close()
    hash_ms, load_ms = min(hashing), min(loading)
    note = f"{_LOAD_BYTES // _MIB} MiB: load {load_ms:.2f} ms, SHA-256 {hash_ms:.2f} ms"
    bench.row("load_overhead_ms", load_ms - hash_ms, "ms", at_most=5, note=note)


def _receive(bench: Benchmark) -> None:
    value = peak_rss_over_model_mib(_RECEIVE_BYTES)
    note = f"peak RSS of the agent's process, less a package of {_RECEIVE_BYTES // _MIB} MiB; runtime not loaded"
    bench.row("agent_rss_mib_over_model", value, "MiB", at_most=48, note=note)


def _inference(bench: Benchmark, rounds: int = 15, frames: int = 30) -> None:
    """Compare the agent's paced loop with a bare loop over `Interpreter.invoke`, in turns, on the same graph."""
    kit, graph = SigningKit(), _network()
    package = verify_package(kit.sign(graph).data, TrustStore.decode(kit.trust()), _ANY)
    model = RuntimeEngine(default_runtime("litert")).load(package, Kernels.OPTIMISED)
    vendor = import_runtime("ai_edge_litert.interpreter", "ai-edge-litert", "board")
    bare = vendor.Interpreter(model_content=graph, num_threads=1)
    bare.allocate_tensors()
    rng = np.random.default_rng(1)
    inputs = {t.name: rng.random(t.shape, np.float32).astype(t.dtype) for t in model.graph.inputs}
    for tensor in model.graph.inputs:
        bare.set_tensor(tensor.index, inputs[tensor.name])
    clock, pairs = RealClock(), list[tuple[float, float]]()
    with tempfile.TemporaryDirectory() as empty:
        rails = HwmonRails(Path(empty))
        for _ in range(rounds):
            latencies = run_paced(model, inputs, Pace(frames, 5, 0.0, 0.0), clock, rails).latency_ms
            times = [_timed_ms(bare.invoke) for _ in range(frames + 5)][5:]
            pairs.append((statistics.median(latencies), statistics.median(times)))
    # The median over rounds: another load on the machine that comes and goes must not decide.
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
    note = f"p50 {ours:.3f} ms on the CPU, inputs and outputs copied; {rounds} rounds of {frames} inferences, in turns"
    bench.row("inference_overhead", ratio, "", at_most=1.03, peer=f"bare invoke {theirs:.3f} ms", note=note)


def _network() -> bytes:
    """Return the fusion network, not trained, as a float graph; made in a process of its own: TensorFlow is large."""
    script = (
        "import sys; from models.networks import build; from models.training.export import export_float;"
        "open(sys.argv[1], 'wb').write(export_float(build('fusion-small')))"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.tflite"
        subprocess.run([sys.executable, "-c", script, str(path)], check=True, stderr=subprocess.DEVNULL)
        return path.read_bytes()


def _powercut(bench: Benchmark) -> None:
    good, broken = run_all(os.cpu_count() or 1)
    findings = [finding for result in good for finding in result.findings]
    states = sum(result.states for result in good)
    caught = ", ".join(store.fault for store in broken if store.caught)
    note = f"none skipped, {states} different states of the disk; broken on purpose and caught: {caught}"
    bench.row("powercut_points", sum(result.points for result in good), "", at_least=10_000, note=note)
    for name, harm in (("powercut_lost", Harm.LOST), ("powercut_bricked", Harm.BRICKED)):
        bench.row(name, sum(finding.harm is harm for finding in findings), "", at_most=0)
    bench.row("powercut_broken_stores_missed", sum(not store.caught for store in broken), "", at_most=0)


def _kills(bench: Benchmark) -> None:
    kills = survive_kills(bench.options.kills, progress=_show_kills)
    note = f"of {kills.kills}; {kills.within_push} within the push, {kills.resumed} of these sent less the second time"
    bench.row("sigkill_survived", kills.survived, "", at_least=kills.kills, note="; ".join([note, *kills.trouble]))


def _show_kills(kills: Kills) -> None:
    if sys.stderr.isatty():
        print(f"\r{kills.kills} kills, {kills.survived} survived", end="", file=sys.stderr, flush=True)


def _timed_ms(call: Callable[[], object]) -> float:
    begun_s = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begun_s)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=200, help="how often the agent is killed, default 200")


if __name__ == "__main__":
    run("board", measure, _add_options)
