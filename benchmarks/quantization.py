"""Quantization: what each way to the integer graph costs in accuracy, on one network and the same data.

``python -m benchmarks.quantization --json F``. Peers: TensorFlow's converter and litert-quantizer, INT8 after training
with their own defaults. Everything is kept in ``--work`` and resumed from there; from nothing it trains for about
three quarters of an hour on two cores. ``--hit-uav DIR`` (the dataset's ``annotations`` and ``images``) adds real
thermal frames. ``--foreign DIR`` measures PTQ of graphs from elsewhere instead: those in DIR, and public architectures
made by Keras.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.harness import Benchmark, run

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from numpy.typing import NDArray

from benchmarks.peer_quantizers import converter_int8, edge_quantizer_int8
from benchmarks.quantization_board import board_mismatches
from firmware_bridge.device.isolated import IsolatedRuntime
from firmware_bridge.device.runtime import Kernels, LiteRt
from models.captures import CaptureSet
from models.curation import Pool, generate_pools
from models.evaluation.compare import Difference, compare
from models.evaluation.metrics import Evaluation, evaluate
from models.evaluation.predict import dequantize_outputs, predict, quantize_inputs
from models.finetuning.finetune import FineTuned, TuningData, finetune
from models.networks import feed, frame_size
from models.preprocess import network_frames, to_unit
from models.quant.parity import parity
from models.quant.plan import STANDARD_PLANS
from models.quant.produce import produce
from models.quant.ptq import quantize_ptq
from models.quant.simulation.engine import Simulation
from models.quant.simulation.trainable import TrainableGraph
from models.readers import read_dataset
from models.training import Recipe, TrainedNetwork, TrainingEvent, train
from models.training.validate import ap50_of

_SEED = 1
_SIZES = {"train": 6000, "calibration": 128, "validation": 2000, "hard-dev": 20, "hard-holdout": 1000}
_PEERS = ("converter INT8", "litert-quantizer INT8")
# What is published for networks of this kind, in points of AP50; printed beside what is measured here.
_PUBLISHED_VALIDATION_GAP, _PUBLISHED_HARD_GAP, _PUBLISHED_MIXED_GAIN = 1.5, "4 to 7", 1.1
_PARITY_FRAMES = 32


@dataclass(frozen=True)
class _Subject:
    """One float network, the data that everything about it is measured on, and where results are kept."""

    prefix: str
    recipe: Recipe
    train: CaptureSet
    calibration: CaptureSet
    judged: Mapping[str, CaptureSet]
    work: Path

    @cached_property
    def parent(self) -> TrainedNetwork:
        return train(self.recipe, self.train, None, self.work / "network", _Told("FP32"))

    @cached_property
    def float_tflite(self) -> bytes:
        return self.parent.export()

    def qat(self, plan: str) -> FineTuned:
        return finetune(
            self.float_tflite, STANDARD_PLANS[plan], TuningData(self.train, None, self.calibration),
            self.work / f"qat-{plan}", self.recipe.qat, augmentation=self.recipe.augmentation, seed=self.recipe.seed,
            twin=False, progress=_Told(f"QAT {plan}"),
        )  # fmt: skip

    def qat_graph(self, plan: str) -> bytes:
        tuned = self.qat(plan)
        return produce(tuned.float_tflite, STANDARD_PLANS[plan], tuned.ranges)

    def ptq_graph(self, plan: str) -> bytes:
        return quantize_ptq(self.float_tflite, STANDARD_PLANS[plan], self.calibration, allow_collapse=True).model

    def candidates(self, mixed: str) -> dict[str, Callable[[], bytes]]:
        """Return what makes each graph, by its name in the table; ``mixed`` is the mixed plan, "" without one."""
        model = self.parent.model
        found: dict[str, Callable[[], bytes]] = {
            "FP32": lambda: self.float_tflite,
            _PEERS[0]: lambda: converter_int8(model, self.calibration),
            _PEERS[1]: lambda: edge_quantizer_int8(self.float_tflite, model, self.calibration),
            "INT8 PTQ": lambda: self.ptq_graph("int8"),
            "INT8 QAT": lambda: self.qat_graph("int8"),
        }
        if mixed:
            found["mixed PTQ"] = lambda: self.ptq_graph(mixed)
            found["mixed QAT"] = lambda: self.qat_graph(mixed)
        found["INT16 PTQ"] = lambda: self.ptq_graph("int16")
        return found

    def evaluation(self, name: str, graph: bytes, judged: str) -> Evaluation:
        """Return the evaluation of a graph, from the work folder if it is of these bytes and captures."""
        digest, captures = hashlib.sha256(graph).hexdigest(), self.judged[judged]
        path = self.work / "evaluation" / f"{name.replace(' ', '-')}-{judged}.json"
        if path.is_file():
            kept = Evaluation.load(path)
            if (kept.model_digest, kept.data_digest) == (digest, captures.digest):
                return kept
        found = evaluate(captures, predict(LiteRt().load(graph), captures), name, model_digest=digest)
        found.save(path)
        return found


class _Told:
    """Prints a line of progress each half minute."""

    def __init__(self, what: str) -> None:
        self._what, self._last = what, time.monotonic()

    def __call__(self, event: TrainingEvent) -> None:
        if time.monotonic() - self._last > 30:
            self._last = time.monotonic()
            left = "" if event.seconds_left is None else f", {event.seconds_left:.0f} s left"
            print(f"  {self._what}: {event.stage.value} {event.done}/{event.total}{left}", flush=True)


def measure(bench: Benchmark) -> None:
    """Measure graphs from elsewhere with ``--foreign``, otherwise the networks of this project."""
    if bench.options.foreign is None:
        _measure_own(bench)
        return
    from benchmarks.quantization_foreign import measure_foreign

    measure_foreign(bench)


def _measure_own(bench: Benchmark) -> None:
    """Measure the fusion network on generated captures, then the thermal one on real frames if they are there."""
    work: Path = bench.options.work
    subject = _generated(work)
    differences, graphs = _table(bench, subject, "mixed")
    _figures(bench, differences)
    _parity(bench, subject, graphs["mixed QAT"])
    _variant(bench, subject)
    if bench.options.hit_uav is None:
        bench.row("hit_uav_fp32_ap50", None, "1", note="give --hit-uav DIR")
        return
    real = _real(bench.options.hit_uav, work)
    differences, _ = _table(bench, real, "")
    bench.row("hit_uav_fp32_ap50", differences["FP32"]["validation"][0].parent_ap50, "1", at_least=0.65)


def _generated(work: Path) -> _Subject:
    folder = work / "captures"
    if not (folder / "complete").is_file():
        generate_pools(_SEED, _SIZES, folder)
        (folder / "complete").touch()
    pools = {pool: CaptureSet.load(folder / pool, "benchmark of quantization") for pool in Pool}
    judged = {"validation": pools[Pool.VALIDATION], "hard": pools[Pool.HARD_HOLDOUT]}
    return _Subject(
        "", Recipe.load("fusion-small"), pools[Pool.TRAIN], pools[Pool.CALIBRATION], judged, work / "fusion"
    )


def _real(folder: Path, work: Path) -> _Subject:
    training, _ = read_dataset(folder / "annotations" / "train.json")
    validation, _ = read_dataset(folder / "annotations" / "val.json")
    calibration = training.subset(range(0, len(training), max(1, len(training) // 128)))
    recipe = Recipe.load("thermal-small")
    return _Subject("hit_uav_", recipe, training, calibration, {"validation": validation}, work / "thermal")


Differences = dict[str, dict[str, tuple[Difference, ...]]]
"""By candidate and set: the drop from FP32 overall, then in each condition category."""


def _table(bench: Benchmark, subject: _Subject, mixed: str) -> tuple[Differences, dict[str, bytes]]:
    """Make and judge every candidate; a row for each figure of the table."""
    graphs: dict[str, bytes] = {}
    found: Differences = {}
    parents: dict[str, Evaluation] = {}
    for name, make in subject.candidates(mixed).items():
        graphs[name] = make()
        found[name] = {}
        for judged in subject.judged:
            evaluation = subject.evaluation(name, graphs[name], judged)
            parent = parents.setdefault(judged, evaluation)
            rows = compare(parent, evaluation)
            found[name][judged] = rows
            bench.row(
                f"{subject.prefix}{judged}_ap50_{_key(name)}", 100 * rows[0].candidate_ap50, "points",
                note=f"drop {rows[0].drop_points:+.2f} ({rows[0].lower_points:+.2f} … {rows[0].upper_points:+.2f}),"
                f" worst condition {_worst(rows):+.2f}",
            )  # fmt: skip
    return found, graphs


def _figures(bench: Benchmark, found: Differences) -> None:
    def points(name: str, judged: str) -> float:
        return 100 * found[name][judged][0].candidate_ap50

    bench.row("fp32_val_ap50", points("FP32", "validation") / 100, "1", at_least=0.80)
    mixed, int8 = found["mixed QAT"], found["INT8 PTQ"]
    bench.row("qat_mixed_hard_drop_points", mixed["hard"][0].drop_points, "points", at_most=1.0, peer="FP32")
    bench.row("qat_mixed_worst_condition_gap_points", _worst(mixed["validation"]), "points", at_most=1.8, peer="FP32")
    for judged in ("hard", "validation"):
        best = max(_PEERS, key=lambda peer: points(peer, judged))
        gain = points("mixed QAT", judged) - points(best, judged)
        bench.row(f"qat_mixed_minus_best_peer_int8_{judged}_points", gain, "points", at_least=0, peer=best)
    _worst_conditions(bench, found)
    bench.row(
        "ptq_int8_validation_gap_points", int8["validation"][0].drop_points, "points",
        note=f"published: {_PUBLISHED_VALIDATION_GAP}",
    )  # fmt: skip
    bench.row(
        "ptq_int8_hard_gap_points", int8["hard"][0].drop_points, "points", note=f"published: {_PUBLISHED_HARD_GAP}"
    )
    gain = points("mixed QAT", "hard") - points("INT8 QAT", "hard")
    bench.row("mixed_gain_over_int8_points", gain, "points", note=f"published: {_PUBLISHED_MIXED_GAIN}")


def _worst_conditions(bench: Benchmark, found: Differences) -> None:
    """Compare our PTQ with the peers where each falls most, in whichever condition of whichever set that is."""

    def worst(name: str, *sets: str) -> float:
        return max(_worst(found[name][judged]) for judged in sets)

    best = min(_PEERS, key=lambda peer: worst(peer, "validation", "hard"))
    gains = {
        " and ".join(sets): min(worst(peer, *sets) for peer in _PEERS) - worst("INT8 PTQ", *sets)
        for sets in (("validation", "hard"), ("validation",), ("hard",))
    }
    note = ", ".join(f"{judged} {gain:+.2f}" for judged, gain in gains.items())
    value = gains["validation and hard"]
    bench.row("ptq_int8_minus_best_peer_worst_condition_points", value, "points", at_least=0, peer=best, note=note)


def _parity(bench: Benchmark, subject: _Subject, graph: bytes) -> None:
    """Compare the simulation with its integer graph, and the graph with itself in other kernels and runtimes."""
    tuned, judged = subject.qat("mixed"), subject.judged["validation"]
    engine = Simulation(tuned.float_tflite, tuned.ranges)
    simulation = TrainableGraph(engine, engine.assignment(tuned.plan))
    session = LiteRt().load(graph, Kernels.REFERENCE)
    height, width = frame_size(simulation)
    expected: dict[str, list[NDArray[np.float32]]] = {}
    given: dict[str, list[NDArray[np.float32]]] = {}
    feeds = []
    for index in range(_PARITY_FRAMES):
        eo, lwir, _ = network_frames(judged, index, height, width)
        feeds.append(quantize_inputs(session.graph, eo, lwir))
        seen = simulation(feed(simulation, to_unit(eo)[None], to_unit(lwir)[None, ..., None]), training=False)
        for name, value in dequantize_outputs(session.graph, session.run(feeds[-1])).items():
            expected.setdefault(name, []).append(np.asarray(seen[name]))
            given.setdefault(name, []).append(value)
    sigma = {name: _sigma(np.stack(expected[name]), np.stack(given[name])) for name in expected}
    worst = max(sigma, key=lambda name: sigma[name])
    bench.row("parity_sigma", sigma[worst], "sigma", at_most=0.05, peer="QAT simulation", note=f"worst head {worst}")
    integer = evaluate(judged, predict(session, judged), "reference kernels").ap50
    gap = 100 * abs(ap50_of(simulation, judged) - integer)
    bench.row("parity_ap50_points", gap, "points", at_most=0.3, peer="QAT simulation")
    optimised = parity(session, LiteRt().load(graph), feeds)
    largest = max(optimised, key=lambda output: output.max_lsb)
    note = f"worst head {largest.name}; mean {largest.mean_lsb:.3f}, 99 % within {largest.p99_lsb:.0f}"
    bench.row("optimised_kernels_largest", largest.max_lsb, "LSB", peer="reference kernels", note=note)
    bridged = produce(tuned.float_tflite, tuned.plan, tuned.ranges, "tflite-runtime")
    with IsolatedRuntime("tflite-runtime").load(bridged, Kernels.REFERENCE) as other:
        found = parity(LiteRt().load(bridged, Kernels.REFERENCE), other, feeds)
    differing = {
        name: board_mismatches(made, name, feeds) for name, made in (("litert", graph), ("tflite-runtime", bridged))
    }
    note = ", ".join(f"{name} {count}" for name, count in differing.items())
    bench.row("board_host_mismatches", sum(differing.values()), "values", at_most=0, peer="host", note=note)
    mismatches = sum(output.mismatches for output in found)
    bench.row("runtimes_mismatches", mismatches, "values", at_most=0, peer="tflite-runtime, reference kernels")


def _sigma(expected: NDArray[np.float32], given: NDArray[np.float32]) -> float:
    return float(np.abs(expected.reshape(given.shape) - given).mean() / expected.std())


def _variant(bench: Benchmark, subject: _Subject) -> None:
    """Time one more graph from trained weights: what a search over plans pays for each."""
    tuned, seconds = subject.qat("mixed"), []
    for plan in ("int8", "mixed", "int16"):
        started = time.perf_counter()
        produce(tuned.float_tflite, STANDARD_PLANS[plan], tuned.ranges)
        seconds.append(time.perf_counter() - started)
    bench.row("variant_seconds", max(seconds), "s", at_most=0.5, note="slowest of int8, mixed, int16; lint included")


def _worst(rows: tuple[Difference, ...]) -> float:
    return max((row.drop_points for row in rows[1:] if row.objects), default=rows[0].drop_points)


def _key(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, default=Path("runs/bench-quantization"), help="what is kept and resumed")
    parser.add_argument(
        "--foreign", type=Path, metavar="DIR", help="measure PTQ of the float graphs in DIR and of public architectures"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the public architectures, only these")
    parser.add_argument("--hit-uav", type=Path, metavar="DIR", help="the HIT-UAV dataset")


if __name__ == "__main__":
    run("quantization", measure, _options)
