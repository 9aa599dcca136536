"""PTQ of graphs that nobody here wrote: ours, litert-quantizer's and, where Keras made them, TensorFlow's converter.

Everyone gets the same calibration samples with the settings that their documentation begins with; figures are the
lowest centred SQNR among the outputs, on samples that nobody has seen. A file ``NAME.tflite`` in the folder takes the
samples in ``NAME/*.npz`` or, as in a folder of its own, in ``cal/*.npz`` beside it; without any, noise in its inputs.
Ours runs as a user would run it: the command, in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.foreign_graphs import MADE, Made, blobs
from benchmarks.harness import Benchmark
from benchmarks.peer_quantizers import converter_graph, edge_quantizer_graph
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import LiteRt
from models.errors import ModelsError
from models.quant.feeds import Sample, samples_of
from models.quant.fidelity import DOUBTFUL_DB, compared
from models.quant.fitting import fit_for_quantizing
from models.quant.plan import STANDARD_PLANS
from models.quant.ptq import quantize_ptq
from models.quant.sample_files import read_samples
from models.quant.trials import Trials

__all__ = ["measure_foreign"]

_CALIBRATION, _HELD_OUT = 24, 16
_PLANS = ("int8", "int16")
_TIMED = "mobilenet-v2-0.5"


@dataclass(frozen=True)
class _Subject:
    """One float graph, the samples for both purposes, and how TensorFlow's converter makes its integer graph."""

    name: str
    model: bytes
    calibration: Sequence[Sample]
    held_out: Sequence[Sample]
    convert: Callable[[str], bytes] | None = None


@dataclass(frozen=True)
class _Ours:
    """What the command did: its graph if it wrote one, whether it warned, and its last line."""

    model: bytes | None
    crashed: bool
    warned: bool
    said: str


@dataclass(frozen=True)
class _Compared:
    """Lowest centred SQNR of each way on held-out samples, decibels; None where there is no graph that runs."""

    ours: float | None
    peer: float | None
    converter: float | None
    command: _Ours

    @property
    def silent(self) -> bool:
        """Whether ours is a doubtful result without a word."""
        return self.ours is not None and self.ours < DOUBTFUL_DB and not self.command.warned


def measure_foreign(bench: Benchmark) -> None:
    """Measure every graph of ``--foreign`` and every one that is made here, in INT8 and INT16."""
    found: dict[str, _Compared] = {}
    only = bench.options.only
    made = [one for one in MADE if only is None or one.name in only]
    for subject in chain(_files(bench.options.foreign), map(_made, made)):
        for plan in _PLANS:
            row = found[f"{subject.name} {plan}"] = _compare(subject, plan)
            note = f"litert-quantizer {_text(row.peer)}, converter {_text(row.converter)}; {row.command.said}"
            bench.row(f"foreign_{subject.name.replace('-', '_')}_{plan}_db", row.ours, "dB", note=note)
        if subject.name == _TIMED:
            _time(bench, subject)
    behind = [
        (row.ours - row.converter, name)
        for name, row in found.items()
        if row.ours is not None and row.converter is not None
    ]
    worst, where = min(behind, default=(None, ""))
    if worst is not None:
        bench.row("foreign_worst_minus_tf_db", worst, "dB", at_least=-1.0, peer="TensorFlow converter", note=where)
    crashes = [name for name, row in found.items() if row.command.crashed]
    bench.row("foreign_crashes", len(crashes), "graphs", at_most=0, note=", ".join(crashes))
    silent = [name for name, row in found.items() if row.silent]
    note = f"under {DOUBTFUL_DB:g} dB without a warning {', '.join(silent)}"
    bench.row("foreign_silent", len(silent), "graphs", at_most=0, note=note)


def _compare(subject: _Subject, plan: str) -> _Compared:
    with tempfile.TemporaryDirectory() as work:
        ours = _quantized(subject, plan, Path(work))
    convert = subject.convert
    return _Compared(
        _figure(subject, lambda: ours.model),
        _figure(subject, lambda: edge_quantizer_graph(fit_for_quantizing(subject.model), _feeds(subject), plan)),
        None if convert is None else _figure(subject, lambda: convert(plan)),
        ours,
    )


def _text(figure: float | None) -> str:
    return "none" if figure is None else f"{figure:.1f}"


def _files(folder: Path) -> Iterator[_Subject]:
    for path in sorted(folder.rglob("*.tflite")):
        try:
            model = path.read_bytes()
            graph = Graph.parse(fit_for_quantizing(model))
        except ModelsError:
            continue  # an integer graph beside the float ones
        own = [path.with_suffix(""), path.parent / "cal"]
        samples = next((read_samples(place) for place in own if place.is_dir()), None) or _noise(graph)
        half = max(1, min(_CALIBRATION, len(samples) * 2 // 3))
        name = path.parent.name if path.stem == "float" else path.stem
        yield _Subject(name, model, samples[:half], samples[half:] or samples[:half])


def _noise(graph: Graph) -> list[Sample]:
    rng = np.random.default_rng(5)

    def value(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        return (rng.uniform(-1, 1, shape) if dtype == "float32" else rng.integers(0, 2, shape)).astype(dtype)

    return [
        Sample({tensor.name: value(tensor.shape, tensor.dtype) for tensor in graph.inputs})
        for _ in range(_CALIBRATION + _HELD_OUT)
    ]


def _made(made: Made) -> _Subject:
    from models.training.export import export_float

    model = made.model()
    samples = [Sample({"x": image[None]}) for image in blobs(made.shape, _CALIBRATION + _HELD_OUT, 3)[0]]
    calibration = samples[:_CALIBRATION]
    feeds = [dict(sample.feed) for sample in calibration]
    return _Subject(
        made.name, export_float(model), calibration, samples[_CALIBRATION:],
        lambda plan: converter_graph(model, feeds, plan),
    )  # fmt: skip


def _feeds(subject: _Subject) -> list[dict[str, NDArray[Any]]]:
    graph = Graph.parse(fit_for_quantizing(subject.model))
    return [dict(sample.feed) for sample in samples_of(subject.calibration, graph)]


def _quantized(subject: _Subject, plan: str, work: Path) -> _Ours:
    """Run ``ks100 quantize`` and return what came of it."""
    source, out, folder = work / "float.tflite", work / "out.tflite", work / "cal"
    source.write_bytes(subject.model)
    folder.mkdir()
    for index, sample in enumerate(subject.calibration):
        np.savez(folder / f"{index:03}.npz", **sample.feed)
    options = ["--calibration", folder, "--plan", plan, "--allow-float", "--out", out]
    command = [str(part) for part in (Path(sys.executable).with_name("ks100"), "quantize", source, *options)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    crashed = found.returncode < 0 or found.returncode == 70 or "Traceback" in found.stderr
    lines = [line for line in (found.stdout + found.stderr).splitlines() if line.strip()]
    said = "written" if found.returncode == 0 else lines[-1] if lines else f"exit {found.returncode}"
    return _Ours(
        out.read_bytes() if out.exists() else None, crashed, "warning:" in found.stdout + found.stderr, said[-160:]
    )


def _figure(subject: _Subject, make: Callable[[], bytes | None]) -> float | None:
    """Return the lowest centred SQNR of the outputs on held-out samples; None where there is no graph that runs."""
    try:
        model = make()
        if model is None:
            return None
        plain = LiteRt().load(fit_for_quantizing(subject.model))
        samples = samples_of(subject.held_out, plain.graph)
        with Trials() as trials:
            got = trials.outputs(model, samples)
        expected = [plain.run(sample.feed) for sample in samples]
        # Converters that lose the outputs' names keep their order.
        names = dict(zip(got[0], expected[0], strict=True)) if set(got[0]) != set(expected[0]) else {}
        return min(
            one.sqnr_db
            for one in compared(expected, [{names.get(name, name): v for name, v in each.items()} for each in got])
        )
    except Exception as error:  # noqa: BLE001 - a peer may fail in any way; that it did is the figure
        print(f"  {subject.name}: {' '.join(str(error).split())[:160]}", file=sys.stderr)
        return None


def _time(bench: Benchmark, subject: _Subject) -> None:
    """Time both quantizers in turn, in this process, on the same graph and samples; the best of three each."""
    ours, peer = [], []
    for _ in range(3):
        started = time.perf_counter()
        edge_quantizer_graph(subject.model, _feeds(subject), "int8")
        peer.append(time.perf_counter() - started)
        started = time.perf_counter()
        quantize_ptq(subject.model, STANDARD_PLANS["int8"], subject.calibration, allow_collapse=True)
        ours.append(time.perf_counter() - started)
    macs = Graph.parse(subject.model).macs / 1e6
    note = f"{min(ours):.2f} s against {min(peer):.2f} s, {macs:.0f} MMAC, {len(subject.calibration)} samples"
    bench.row("ptq_time_vs_aeq", min(ours) / min(peer), "ratio", at_most=10, peer="litert-quantizer", note=note)
