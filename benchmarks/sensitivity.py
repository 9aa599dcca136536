"""Sensitivity map and precision plan: how fast, how true, and what planning gains.

``python -m benchmarks.sensitivity --json F``. ``--work DIR`` holds captures and the trained network, in the layout of
``benchmarks.quantization`` (whose work folder may be given); what is missing is generated and trained, in some minutes
on two cores. The peer is the loop of `benchmarks.requantize_loop`: same groups, frames, ranges and figure.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Benchmark, run

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np

from benchmarks.requantize_loop import requantize_loop
from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from ks100.steps.costs import untrained
from models import zoo
from models.captures import CaptureSet
from models.curation import Pool, generate_pools
from models.evaluation.compare import compare
from models.planning.choose import PlannedChoice, best, cheaper_greedy
from models.planning.cost_table import CostTable
from models.planning.loss_table import LossTable, measure_pairs
from models.planning.milp import Budget, PrecisionMilp
from models.planning.trial import chosen_of, try_plan
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.plan import STANDARD_PLANS, Precision, PrecisionPlan
from models.quant.produce import precisions, produce
from models.quant.retype import retyped
from models.sensitivity.groups import Group
from models.sensitivity.race import BATCH, Race, measure, race
from models.sensitivity.screen import screen
from models.sensitivity.shapley import shapley_shares
from models.sensitivity.study import Study
from models.sensitivity.sweep import SweepSettings, rank_correlation, sweep
from models.sensitivity.tasks import LocalExecutor, Variant
from models.training import Recipe, TrainedNetwork, train

_SEED = 1
_FRAMES, _HARD_FRAMES = 500, 1600
_SWEPT_HARD_FRAMES = 400  # the map is made on these, the plans are compared on all
_FULL_FRAMES = 4
_SCREEN_FRAMES, _LEADERS = 96, 10
_NONE_OF_ALL = {pool.value: 0 for pool in Pool}
_PARTS = ("cost", "small", "full")


def measure_all(bench: Benchmark) -> None:
    """Measure cost model, map and plan."""
    work: Path = bench.options.work
    parts = {
        "cost": lambda: _cost(bench),
        "small": lambda: _measure_small(bench, work),
        "full": lambda: _measure_full(bench),
    }
    for part in bench.options.parts:
        parts[part]()


def _measure_small(bench: Benchmark, work: Path) -> None:
    study = _small(work)
    frames = list(range(len(study.pools["validation"])))
    _shares(bench, study)
    _plan(bench, study)
    _speed(bench, study, "small", study.groups, frames, batch=BATCH, screen_frames=_SCREEN_FRAMES)


def _measure_full(bench: Benchmark) -> None:
    study = _full()
    _plan_full(bench, study)
    _speed(bench, study, "full", study.groups, list(range(_FULL_FRAMES)), batch=1, screen_frames=2)


def _cost(bench: Benchmark) -> None:
    full = untrained("fusion-transformer")
    graph, profile = Graph.parse(full), BoardProfile.load("ks100")
    rate = profile.frame_rate_hz

    def watts(plan: str) -> float:
        wanted = precisions(graph, STANDARD_PLANS[plan])
        return cost(retyped(graph, {i: p.op_dtype for i, p in wanted.items()}), profile).watts(rate)

    bench.row("full_macs", graph.macs / 1e9, "G", note="published: about 3.4")
    for name, plan, published in (("watts_int8", "int8", 5.6), ("watts_mixed", "mixed", 6.1)):
        value = watts(plan)
        bench.row(
            name, value, "W", note=f"published {published}; {value / published - 1:+.2%}, target within 2 %, MODELLED"
        )
        bench.row(f"{name}_deviation", abs(value / published - 1), "1", at_most=0.02, peer="published")
    bench.row("watts_fp32", watts("fp32"), "W", at_least=40.0, peer="published", note="MODELLED")
    with tempfile.TemporaryDirectory() as folder:
        bench.row("vela_spearman", _vela(full, Path(folder)), "1", at_least=0.8, peer="Vela, ethos-u85-256")


def _vela(full: bytes, folder: Path) -> float:
    """Rank correlation of modelled time and Vela's cycles by operation, where Vela counts any."""
    frames = generate_pools(_SEED, {**_NONE_OF_ALL, "calibration": 2}, width=640, height=512)["calibration"]
    model = produce(full, STANDARD_PLANS["int8"], calibrate(full, frames, CalibrationMethod.MINMAX))
    (folder / "int8.tflite").write_bytes(model)
    options = ["--accelerator-config", "ethos-u85-256", "--output-dir", str(folder), "--verbose-performance"]
    vela = Path(sys.executable).with_name("vela")
    subprocess.run([vela, str(folder / "int8.tflite"), *options], check=True, capture_output=True)
    cycles: Counter[str] = Counter()
    with (folder / "int8_per-layer.csv").open() as file:
        for row in csv.DictReader(file):
            cycles[row["Name"]] += float(row["Op Cycles"])  # type: ignore[assignment]
    ours = {item.op.name: item.latency_us for item in cost(Graph.parse(model), BoardProfile.load("ks100")).ops}
    both = [name for name in ours if cycles[name] > 0]
    found = rank_correlation([ours[name] for name in both], [cycles[name] for name in both])
    assert found is not None
    return found


def _speed(
    bench: Benchmark,
    study: Study,
    size: str,
    groups: Sequence[Group],
    frames: list[int],
    batch: int,
    screen_frames: int,
) -> None:
    """Time the default map and the exact one against the loop; compare with the real graphs' divergences."""
    pool, names = "validation", [group.name for group in groups]
    alone = {name: Variant.of(Precision.FP32, {name: Precision.INT8}) for name in names}
    measure(study, pool, [Variant.of(Precision.FP32)], LocalExecutor(), frames=frames[:batch], batch=batch)  # warm
    started = time.perf_counter()
    truth = requantize_loop(study, pool, frames, groups)
    loop_s = time.perf_counter() - started
    started = time.perf_counter()
    exact = measure(study, pool, list(alone.values()), LocalExecutor(), frames=frames, batch=batch)
    exact_s = time.perf_counter() - started
    started = time.perf_counter()
    ours = _default_map(study, pool, frames, names, alone, batch, screen_frames)
    default_s = time.perf_counter() - started
    what = f"{len(names)} groups x {len(frames)} frames"
    note = f"{what}: loop {loop_s:.1f} s, default map {default_s:.1f} s"
    bench.row(
        f"speedup_vs_requantize_loop_{size}", loop_s / default_s, "x", at_least=5, peer="requantize loop", note=note
    )
    note = f"exact map {exact_s:.1f} s"
    bench.row(f"exact_speedup_{size}", loop_s / exact_s, "x", at_least=1.5, peer="requantize loop", note=note)
    direct = [float(np.nanmean(exact[alone[name]].divergence)) for name in names]
    suffix = "" if size == "small" else f"_{size}"
    note = f"the exact map: {rank_correlation(direct, truth):.4f}"
    bench.row(f"spearman_vs_real_graphs{suffix}", rank_correlation(ours, truth), "1", at_least=0.9, note=note)


def _default_map(
    study: Study, pool: str, frames: list[int], names: list[str], alone: dict[str, Variant], batch: int, count: int
) -> list[float]:
    """Screen all, race the candidates; what was not measured is the screen's, scaled."""
    some = [frames[int(i)] for i in np.linspace(0, len(frames) - 1, count)]
    screened = screen(study, pool, some, (Precision.INT8,), groups=names, batch=batch)[Precision.INT8]
    estimate = {name: float(screened[name].mean()) for name in names}
    candidates = sorted(names, key=lambda name: -estimate[name])[: 2 * _LEADERS]
    held = race(study, pool, [alone[n] for n in candidates], LocalExecutor(), Race(_LEADERS), batch=batch)
    measured = {name: float(np.nanmean(held[alone[name]].divergence)) for name in candidates}
    scale = float(np.median([measured[name] / estimate[name] for name in candidates]))
    return [measured.get(name, scale * estimate[name]) for name in names]


def _shares(bench: Benchmark, study: Study) -> None:
    frames = np.linspace(0, len(study.pools["validation"]) - 1, 96).astype(int).tolist()
    found = shapley_shares(study, study.groups, "validation", frames, LocalExecutor())
    total = sum(block.share.value for block in found.blocks)
    bench.row("shares_sum", total, "1", note=f"{len(found.blocks)} blocks, {found.permutations} orders")
    bench.row("shares_sum_error", abs(total - 1), "1", at_most=1e-6)
    a = found.attention
    bench.row(
        "attention_share", a.value, "1", note=f"90 % interval {a.lower:.3f} … {a.upper:.3f}; published: about 0.6"
    )


def _plan(bench: Benchmark, study: Study) -> None:
    """Plan for half the power that the standard mixed plan adds; measure the real graphs on the hard cases."""
    executor = LocalExecutor()
    some = study.pools["hard-dev"].subset(range(_SWEPT_HARD_FRAMES))
    swept = replace(study, pools={**study.pools, "hard-dev": some})
    found = sweep(swept, executor, SweepSettings(leaders=_LEADERS, share_frames=0, accuracy=False))
    costs = CostTable.of(Graph.parse(study.float_tflite), BoardProfile.load("ks100"))
    program = PrecisionMilp(costs, LossTable.of(found, measure_pairs(swept, found, executor)))
    rate = costs.profile.frame_rate_hz
    low, high = (_watts_of(costs, STANDARD_PLANS[name], rate) for name in ("int8", "mixed"))
    budget = Budget(1e3 / rate, (low + high) / 2, rate)
    choices = best(program, budget, 3)
    trials = [try_plan(study, "hard-dev", choice.plan) for choice in choices]
    chosen, trial = choices[chosen_of(trials)], trials[chosen_of(trials)]
    peers = {"all INT8": STANDARD_PLANS["int8"], "greedy order": cheaper_greedy(program, budget).plan}
    for name, plan in peers.items():
        peer = try_plan(study, "hard-dev", plan)
        assert peer.evaluation is not None
        assert trial.evaluation is not None
        drop = compare(peer.evaluation, trial.evaluation)[0]
        key = "plan_gain_points" if name == "all INT8" else "plan_gain_over_greedy_points"
        note = (
            f"{-drop.upper_points:+.2f} … {-drop.lower_points:+.2f} at {chosen.watts:.3f} W; divergence in the worst"
            f" condition {1e6 * trial.worst:.0f}e-6 against {1e6 * peer.worst:.0f}e-6"
        )
        bench.row(key, -drop.drop_points, "points", at_least=0, peer=name, note=note)
        key = "plan_divergence_ratio" if name == "all INT8" else "plan_divergence_ratio_to_greedy"
        bench.row(key, trial.worst / peer.worst, "1", at_most=1.0, peer=name, note="real graphs, worst condition")


def _watts_of(costs: CostTable, plan: PrecisionPlan, rate: float) -> float:
    wanted = precisions(costs.graph, plan)
    return cost(retyped(costs.graph, {i: p.op_dtype for i, p in wanted.items()}), costs.profile).watts(rate)


def _plan_full(bench: Benchmark, study: Study) -> None:
    settings = SweepSettings(leaders=_LEADERS, screen_frames=2, share_frames=0, accuracy=False, batch=1)
    found = sweep(study, LocalExecutor(), settings)
    costs = CostTable.of(Graph.parse(study.float_tflite), BoardProfile.load("ks100"))
    rate = costs.profile.frame_rate_hz
    program = PrecisionMilp(costs, LossTable.of(found))
    chosen: PlannedChoice = best(program, Budget(1e3 / rate, 8.0, rate))[0]
    note = f"{len(chosen.groups(program, Precision.INT16))} of {len(costs.groups)} groups INT16, MODELLED"
    bench.row("plan_full_watts", chosen.watts, "W", at_most=8.0, note=note)
    bench.row("plan_full_ms", chosen.latency_ms, "ms", at_most=1e3 / rate, note="MODELLED")


def _small(work: Path) -> Study:
    """Return the trained small network on validation and hard-dev captures."""
    captures = work / "captures"
    if not (captures / "validation" / "captures.json").is_file():
        generate_pools(_SEED, {"validation": 600, "hard-dev": _HARD_FRAMES, "hard-holdout": 0}, captures)
    network = work / "fusion" / "network"
    if (network / "done").is_file() or not (captures / "train" / "captures.json").is_file():
        trained = TrainedNetwork.load(network)
    else:
        trained = train(Recipe.load("fusion-small-demo"), CaptureSet.load(captures / "train"), None, network)
    hard = CaptureSet.load(captures / "hard-dev")
    if len(hard) < _HARD_FRAMES:
        hard = generate_pools(_SEED, {**_NONE_OF_ALL, "hard-dev": _HARD_FRAMES})["hard-dev"]
    source = trained.export()
    ranges = calibrate(
        source, CaptureSet.load(captures / "calibration").subset(range(0, 128, 2)), CalibrationMethod.MSE
    )
    validation = CaptureSet.load(captures / "validation")
    return Study.of(source, ranges, {"validation": validation.subset(range(_FRAMES)), "hard-dev": hard})


def _full() -> Study:
    """Return the full network, as shipped, on captures of its own size."""
    sizes = {**_NONE_OF_ALL, "calibration": 4, "validation": _FULL_FRAMES}
    pools = generate_pools(_SEED, sizes, width=640, height=512)
    full = zoo.load("fusion-transformer").export()
    ranges = calibrate(full, pools["calibration"], CalibrationMethod.MINMAX)
    return Study.of(full, ranges, {"validation": pools["validation"]})


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, default=Path("runs/bench-sensitivity"), help="what is kept and resumed")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS, help="what to measure")


if __name__ == "__main__":
    run("sensitivity", measure_all, _options)
