"""A run and a report with every part filled, for the tests of this room."""

from __future__ import annotations

import numpy as np

from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.protocol.messages import BoardInfo, Measured, RailTrace, SlotInfo
from hil.measurements.accuracy import AccuracyRecord, ConditionScore
from hil.measurements.measurement import Basis, Better, Limit, Measurement, Source, Verdict
from hil.measurements.requirements import Requirements
from hil.measurements.results import LATENCY, Check, HilResults, Outcome, PackageFacts, Rejection, Transfer
from hil.measurements.setup import HostFacts, LoopFacts, PlannedCheck, PoolFacts
from hil.report.model import (
    CustodyRow,
    GateRow,
    GateSummary,
    PrecisionRow,
    Report,
    StepRow,
    StepState,
)

STARTED_S = 1_790_000_000.0


RAILS = ("vdd_npu", "vdd_cpu", "vdd_ddr")


def board_info(emulated: bool = True) -> BoardInfo:
    runtime = RuntimeInfo("litert", "2.3.0", ("CONV_2D:INT16", "CONV_2D:INT8"))
    slots = (SlotInfo("a", "confirmed", "fusion-small", "1.0.0", 1, "ab" * 32), SlotInfo("b", "empty"))
    return BoardInfo(
        "ks100", "KS100-7F3A", emulated, "0.1.0", "demo", 1, 1, 1 << 26, runtime, RAILS, slots, "a"
    )  # fmt: skip


def measured(seed: int = 1, frames: int = 600, median_ms: float = 3.4) -> Measured:
    random = np.random.default_rng(seed)
    starts = 1.0 + np.arange(frames) / 60
    latency = median_ms + random.gamma(2.0, 0.08, frames)
    time_s = np.arange(0.0, starts[-1] + 1 / 60, 0.02)
    busy = time_s >= 1.0
    rails = tuple(
        RailTrace(name, tuple(time_s.tolist()), tuple((idle + busy * more + random.normal(0, 8, len(time_s))).tolist()))
        for name, idle, more in (("vdd_npu", 300.0, 900.0), ("vdd_cpu", 700.0, 150.0), ("vdd_ddr", 400.0, 320.0))
    )
    return Measured(tuple(starts.tolist()), tuple(latency.tolist()), 0.0, 1.0, rails, 84, 3, 0)


def figure(name: str, value: float, unit: str = "ms", limit: Limit | None = None, **more: object) -> Measurement:
    return Measurement(name, value, unit, Source.EMULATED, Basis.MODELLED, limit, **more)  # type: ignore[arg-type]


def latency(share: float, value: float, **more: object) -> Measurement:
    name = f"latency_p{round(100 * share)}"
    return figure(name, value, better=Better.LOWER, quantile=share, series=LATENCY, **more)  # type: ignore[arg-type]


def figures() -> tuple[Measurement, ...]:
    window, budget = Limit(high=80.0, why="decision window"), Limit(high=8000.0, why="power budget")
    parity = Limit(high=0.0, why="reference kernels")
    return (
        latency(0.50, 3.53, limit=window, n=600, note="95 % interval 3.52 to 3.54 ms"),
        latency(0.90, 3.72, limit=window, n=600, note="95 % interval 3.70 to 3.75 ms"),
        latency(0.99, 3.98, limit=window, n=600, note="95 % interval 3.93 to 4.10 ms"),
        figure("frame_rate", 60.0, "1/s", Limit(low=59.4, why="60 frames/s"), n=599, reference=60.0),
        figure("power_total", 2770.0, "mW", budget, n=1800, reference=6100.0, note="idle plus loop"),
        figure("energy_per_frame", 22.8, "mJ", n=600, note="over idle, all rails"),
        Measurement("hard_ap50_board", 58.3, "points", Source.EMULATED, Basis.MEASURED, n=200),
        Measurement("parity_hard_largest", 0.0, "steps", Source.EMULATED, Basis.MEASURED, parity, 61440),
    )  # fmt: skip


def accuracy(model: str, pool: str, ap50: float) -> AccuracyRecord:
    shifts = {
        "background": ("urban", "field"),
        "atmosphere": ("clear", "haze", "rain"),
        "thermal": ("warm", "crossover"),
    }
    scores, step = [], 0
    for axis, categories in shifts.items():
        for category in categories:
            scores.append(ConditionScore(axis, category, max(0.0, ap50 + 0.06 * np.sin(step)), 40 + 7 * step))
            step += 1
    return AccuracyRecord(model, pool, 200, ap50, 0.6 * ap50, tuple(scores))


def results(**changes: object) -> HilResults:
    package = PackageFacts("package.ksm", 412_331, "cd" * 32, "demo", "fusion-small", "1.0.0", 1, 398_000, "ab" * 32,
                           "9f" * 32, ("CONV_2D:INT16", "CONV_2D:INT8"), 84, "PASS")  # fmt: skip
    checks = (
        Check("test_latency::test_latency_stays_within_the_decision_window",
              "latency stays within the decision window", Outcome.PASSED, 9.8),
        Check("test_rejections::test_given_package_is_refused[none-given]", "given package is refused: none-given",
              Outcome.SKIPPED, 0.0, "no further package: give one with --ks-refuse"),
    )  # fmt: skip
    rejections = (
        Rejection("flipped-manifest-bit", "one bit flipped", ("signature",), "signature", "key 9f9f", True, 2311),
        Rejection("unknown-key", "signed anew", ("unknown-key",), "unknown-key", "key 1b2c", True, 2302),
    )  # fmt: skip
    values: dict[str, object] = {
        "board": board_info(), "requirements": Requirements.of(BoardProfile.load("ks100")),
        "package": package, "checks": checks, "samples": {"own_ms": (1.0, 2.5)},
        "measurements": figures(), "measured": measured(),
        "rejections": rejections, "transfers": (Transfer("ssh", 398_000, 301_221, 0.42),),
        "accuracy": (accuracy("mixed QAT on the board", "hard", 0.583),), "options": {"frames": "200"},
        "planned": tuple(PlannedCheck(check.name) for check in checks), "pool": PoolFacts("hard", 200, "5e" * 32),
        "loop": LoopFacts(600, 20, 60.0, 1.0, "optimised", "hard-4-00100-2"),
        "host": HostFacts("lab@host", "Linux 6.1 x86_64", "3.11.7", "0.1.0", 2, 0.4),
        "exit_status": 0, "seconds": 61.5,
    }  # fmt: skip
    return HilResults("emu:", "ssh", STARTED_S, **{**values, **changes})  # type: ignore[arg-type]


def precision() -> tuple[PrecisionRow, ...]:
    rows = []
    for index in range(60):
        attention = 34 <= index < 48
        dtype = "INT16" if attention else "INT8"
        group = "attention" if attention else ("encoders" if index < 34 else "heads")
        rows.append(PrecisionRow(f"layer_{index}", "CONV_2D", dtype, 40_000 + 9_000 * (index % 9), True, group))
    rows.insert(34, PrecisionRow("layer_34_in", "QUANTIZE", "INT8_INT16", 0, True, "attention"))
    return tuple(rows)


def report(**changes: object) -> Report:
    pools = [("hard", 0.61), ("validation", 0.74)]
    models = [("FP32", 0.0), ("INT8 PTQ", -0.055), ("mixed QAT", -0.018)]
    gate_rows = (
        GateRow("hard cases, all", 1.8, 3.4, 5.0, 200, Verdict.PASS),
        GateRow("thermal crossover", 1.1, 1.7, 1.8, 61, Verdict.PASS),
    )
    values: dict[str, object] = {
        "subtitle": "fusion-small 1.0.0 on an emulated KS-100",
        "results": results(),
        "steps": (
            StepRow("scenes", "Generate captures", 31.0, StepState.REUSED, "2,228 pairs in four pools"),
            StepRow("train", "Train the float network", 148.0, note="AP50 0.74 on validation"),
            StepRow("qat", "Fine-tune with quantizers", 71.0),
            StepRow("hil", "Measure on the board", 61.5),
        ),
        "accuracy": tuple(accuracy(m, pool, base + shift) for pool, base in pools for m, shift in models),
        "gate": GateSummary(Verdict.PASS, "drop 1.8 points on hard cases, upper bound 3.4, limit 5", gate_rows),
        "precision": precision(),
        "custody": (CustodyRow(0, "train", "demo", "fusion-small float", "11" * 32, STARTED_S),
                    CustodyRow(1, "sign", "demo", "package.ksm", "22" * 32, STARTED_S + 9)),
        "custody_verified": True,
        "notes": ("Captures are procedural.",),
        "facts": (("seed", "7"), ("host", "x86-64, 2 cores")),
    }  # fmt: skip
    return Report("KS-100 deployment report", STARTED_S, **{**values, **changes})  # type: ignore[arg-type]
