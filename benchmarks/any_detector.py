"""Networks of common architectures through PTQ, the one simulation and reconstruction, beside two peers.

``python -m benchmarks.any_detector --work DIR --json F``. For each network: how near the simulation is to the produced
graph (LiteRT, reference kernels), how near each integer graph is to float on pictures that nobody has seen (the worst
output's centred SQNR), what TensorFlow's converter and litert-quantizer reach with the same pictures, how exact the
rewrites are, and what reconstruction gains. What a network came to is kept in DIR; a later run goes on from there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.architectures import ARCHITECTURES, STANDARD_ATTENTION, network, pictures
from benchmarks.harness import Benchmark, run
from benchmarks.peer_quantizers import converter_graph, edge_quantizer_graph
from firmware_bridge.device.graph import CONVERSIONS, Graph
from firmware_bridge.device.runtime import LiteRt
from firmware_bridge.files import write_atomically
from models.errors import ModelsError
from models.finetuning.reconstruct import reconstruct
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.feeds import Sample
from models.quant.fidelity import compared
from models.quant.fitting import fit_for_quantizing, rewritten
from models.quant.plan import STANDARD_PLANS
from models.quant.produce import produce
from models.quant.ptq import quantize_ptq
from models.quant.simulation.against_runtime import output_distance
from models.quant.simulation.engine import Simulation
from models.quant.trials import Trials
from models.training.export import export_float

_CALIBRATION, _HELD_OUT = 25, 16
_KINDS = ("int8", "int16")
_PEERS: dict[str, Callable[..., bytes]] = {"tf": converter_graph, "aeq": edge_quantizer_graph}

Figures = dict[str, float | str]


def measure_all(bench: Benchmark) -> None:
    """Measure each network, and what holds over all of them."""
    every: dict[str, Figures] = {}
    Path(bench.options.work).mkdir(parents=True, exist_ok=True)
    for name in bench.options.only or ARCHITECTURES:
        kept = Path(bench.options.work) / f"{name}.json"
        found: Figures = json.loads(kept.read_text()) if kept.is_file() else {}
        if not found:
            found = _measured(name, Path(bench.options.work))
            write_atomically(kept, json.dumps(found, indent=1).encode())
        _rows(bench, name, found)
        every[name] = found
    bench.row("networks", len(every), "networks", at_least=12)
    for peer, least in (("tf", -0.5), ("aeq", 0.0)):
        gains = {
            f"{n}, {k}": f[f"minus_{peer}_{k}"] for n, f in every.items() for k in _KINDS if f"minus_{peer}_{k}" in f
        }
        if gains:
            worst = min(gains, key=lambda key: float(gains[key]))
            bench.row(
                f"worst_minus_{peer}_db", float(gains[worst]), "dB", at_least=least, note=f"{worst} of {len(gains)}"
            )
    bench.row("rewrite_max_error", max(float(f["rewrite_error"]) for f in every.values()), "1", at_most=1e-5)


def _rows(bench: Benchmark, name: str, found: Figures) -> None:
    limit = 0.1 if name in STANDARD_ATTENTION else 0.05
    for kind in _KINDS:
        bench.row(f"simulation_sigma_{name}_{kind}", float(found[f"sigma_{kind}"]), "sigma", at_most=limit,
                  peer="LiteRT, reference kernels")  # fmt: skip
        bench.row(f"sqnr_{name}_{kind}", float(found[f"sqnr_{kind}"]), "dB", note=str(found[f"note_{kind}"]))
    bench.row(f"reconstruction_gain_{name}_db", float(found["reconstruction_gain"]), "dB", peer="INT8 PTQ")


def _measured(name: str, work: Path) -> Figures:
    model = network(name)
    graph = export_float(model)
    samples = pictures(Graph.parse(graph).inputs[0].shape, _CALIBRATION + _HELD_OUT)
    calibration, unseen = samples[:_CALIBRATION], samples[_CALIBRATION:]
    found: Figures = {"rewrite_error": _rewrite_error(graph, unseen[:4])}
    with Trials() as trials:
        for kind in _KINDS:
            plan = STANDARD_PLANS[kind]
            made = quantize_ptq(graph, plan, calibration, allow_float=True, allow_collapse=True)
            ranges = calibrate(graph, calibration, CalibrationMethod.MSE)
            simulation = Simulation(graph, ranges)
            produced = produce(graph, plan, ranges, allow_float=True)
            assignment = simulation.assignment(plan, allow_float=True)
            found[f"sigma_{kind}"] = max(output_distance(simulation, assignment, produced, unseen[:8]).values())
            ours = found[f"sqnr_{kind}"] = _worst(graph, made.model, unseen, trials)
            notes = [_shape(made.model), made.ranges_text]
            for peer, quantize in _PEERS.items():
                try:
                    given = model if peer == "tf" else graph
                    theirs = _worst(graph, quantize(given, [s.feed for s in calibration], kind), unseen, trials)
                    found[f"minus_{peer}_{kind}"] = ours - theirs
                    notes.append(f"{peer} {theirs:.1f} dB")
                except (ModelsError, RuntimeError, ValueError, TypeError, AssertionError) as error:
                    notes.append(f"{peer} failed: {str(error).splitlines()[0][:60]}")
            found[f"note_{kind}"] = "; ".join(notes)
            if kind == "int8":
                again = reconstruct(
                    graph, made.source, made.ranges, plan, calibration, work / f"{name}.npz", allow_float=True
                )
                rebuilt = produce(again.float_tflite, plan, again.ranges, allow_float=True)
                found["reconstruction_gain"] = _worst(graph, rebuilt, unseen, trials) - ours if again.epochs else 0.0
    return found


def _worst(graph: bytes, made: bytes, samples: Sequence[Sample], trials: Trials) -> float:
    """Return the lowest centred SQNR among the outputs."""
    session = LiteRt().load(graph)
    expected = [session.run(sample.feed) for sample in samples]
    return min(output.sqnr_db for output in compared(expected, trials.outputs(made, samples)))


def _shape(made: bytes) -> str:
    graph = Graph.parse(made)
    conversions = sum(op.op in CONVERSIONS for op in graph.ops)
    left = sum(op.macs for op in graph.ops if op.dtype == "FLOAT32")
    return f"{conversions} conversions, {left} of {graph.macs} MACs float"


def _rewrite_error(graph: bytes, samples: Sequence[Sample]) -> float:
    """Return the largest difference that the rewrites make in float, relative to the output's size."""
    if not rewritten(graph):
        return 0.0
    before, after = LiteRt().load(graph), LiteRt().load(fit_for_quantizing(graph))
    errors = [0.0]
    for sample in samples:
        wanted, given = before.run(sample.feed), after.run(sample.feed)
        errors += [float(np.abs(given[n] - v).max() / max(np.abs(v).max(), 1e-12)) for n, v in wanted.items()]
    return max(errors)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", choices=tuple(ARCHITECTURES), help="networks to measure; all otherwise")
    parser.add_argument("--work", type=Path, default=Path("runs/bench-any-detector"), help="what is kept and resumed")


if __name__ == "__main__":
    run("any_detector", measure_all, _options)
