"""Results that must not pass against a baseline: damaged, partial, failed, foreign and edited ones, by name.

Each is what `make` gives, a good run, with one thing changed; `passes` says whether it was taken for a good one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import tests.hil.hil_examples as example
from hil.comparison.runs import compare
from hil.comparison.spread import RunSpread
from hil.errors import EvidenceError
from hil.measurements.measurement import Better
from hil.measurements.quantiles import quantile
from hil.measurements.results import RESULTS_FILE, HilResults, SuiteVerdict
from hil.measurements.setup import PlannedCheck

__all__ = ["BASELINES", "FILES", "RUNS", "SPREADS", "make", "passes"]

_VARYING = ("latency_p50", "latency_p90", "latency_p99", "frame_rate", "power_total", "energy_per_frame")
SPREADS = {name: RunSpread(0.002, 60, 80) for name in _VARYING}
"""As a long history of quiet runs gives it."""

Item = dict[str, Any]
Change = Callable[[Item], object]


def make(seed: int) -> Item:
    """Return the results of a good run, as its file has them."""
    measured = example.measured(seed)
    samples = np.array(measured.latency_ms)
    latencies = [example.latency(share, quantile(samples, share), n=len(samples)) for share in (0.5, 0.9, 0.99)]
    others = [item for item in example.figures() if item.quantile is None]
    figures = [replace(item, better=Better.LOWER) if item.unit in ("mW", "mJ") else item for item in others]
    results = example.results(measured=measured, measurements=(*latencies, *figures))
    planned = (PlannedCheck(results.checks[0].name, ("latency_p99", "power_total")), *results.planned[1:])
    return replace(results, planned=planned, started_s=example.STARTED_S + seed).to_json()


def passes(before: Item, after: Item | bytes, folder: Path) -> bool:
    """Return whether ``after`` passes against ``before``, read back from files as the command does."""
    for name, item in (("before", before), ("after", after)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        data = item if isinstance(item, bytes) else json.dumps(item).encode()
        (folder / name / RESULTS_FILE).write_bytes(data)
    try:
        found = compare(HilResults.load(folder / "before"), HilResults.load(folder / "after"), spreads=SPREADS)
    except EvidenceError:
        return False
    return found.verdict is SuiteVerdict.PASS


def changed(item: Item, change: Change) -> Item:
    """Return a copy with ``change`` made to it."""
    item = copy.deepcopy(item)
    change(item)
    return item


def put(value: object, *path: str | int) -> Change:
    def change(item: Item) -> None:
        place: Any = item
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def figure(name: str, **values: object) -> Change:
    return lambda item: next(m for m in item["measurements"] if m["name"] == name).update(values)


def without(name: str) -> Change:
    return lambda item: item.update(measurements=[m for m in item["measurements"] if not m["name"].startswith(name)])


def check(outcome: str, exit_status: int = 1) -> Change:
    def change(item: Item) -> None:
        item["checks"][0].update(outcome=outcome, message="why")
        item["exit_status"] = exit_status

    return change


def cut_loop(item: Item) -> None:
    item["measured"]["latency_ms"] = item["measured"]["latency_ms"][:300]


def poisoned_loop(item: Item) -> None:
    item["measured"]["latency_ms"][5] = None


def both(*changes: Change) -> Change:
    return lambda item: [change(item) for change in changes]


FILES: dict[str, Callable[[bytes], bytes]] = {
    "empty file": lambda _: b"",
    "file cut in half": lambda data: data[: len(data) // 2],
    "file of zero bytes": lambda data: bytes(len(data)),
    "not UTF-8": lambda data: data.replace(b"KS100-7F3A", b"KS100-\xff\xfe"),
    "a list": lambda data: b"[" + data + b"]",
    "appended to": lambda data: data + data,
}

RUNS: dict[str, Change] = {
    "older schema": put(2, "schema"),
    "unknown field": put(1, "better_than_all"),
    "a field is missing": lambda item: item.pop("loop"),
    "number as text": put("0", "exit_status"),
    "killed while running": put(-1, "exit_status"),
    "interrupted": both(put(2, "exit_status"), put("SIGTERM", "stopped")),
    "disk was full": put("the results cannot be kept", "stopped"),
    "pytest broke": put(3, "exit_status"),
    "a planned check did not run": lambda item: item["checks"].pop(0),
    "no check ran": put([], "checks"),
    "no plan": put([], "planned"),
    "a check that was never planned": lambda item: item["checks"].append({**item["checks"][0], "name": "x::y"}),
    "check is there twice": lambda item: item["checks"].append(item["checks"][0]),
    "never reached a board": put(None, "board"),
    "no package": put(None, "package"),
    "no figure": put([], "measurements"),
    "no power figure": without("power"),
    "no energy": without("energy"),
    "no tail": without("latency_p99"),
    "figure without a number": figure("latency_p99", value=None),
    "figure is invalid": figure("power_total", value=None, invalid="the sensor is stuck"),
    "figure of half the samples": figure("power_total", n=900),
    "figure of no sample": figure("power_total", n=0),
    "figure is there twice": lambda item: item["measurements"].append(item["measurements"][0]),
    "no paced run": put(None, "measured"),
    "latencies cut": cut_loop,
    "latency is not a number": poisoned_loop,
    "check failed": check("failed"),
    "check failed, and pytest ended well": check("failed", 0),
    "board broke": check("error"),
    "package refused": check("rejected"),
    "check undecided": check("inconclusive"),
    "check skipped that passed before": check("skipped", 0),
    "forgery accepted": put("accepted", "rejections", 0, "got"),
    "forgery changed the slot": put(False, "rejections", 0, "slot_unchanged"),
    "forgeries not tried": put([], "rejections"),
    "accuracy not measured": put([], "accuracy"),
    "accuracy of fewer frames": put(20, "accuracy", 0, "frames"),
    "verdict edited over a failed limit": both(figure("power_total", value=9000.0), put("pass", "verdict")),
    "limit widened": figure("power_total", limit={"low": None, "high": 80000.0, "why": "power budget"}),
    "limit removed": figure("power_total", limit=None),
    "margin widened": figure("power_total", margin={"relative": 5.0, "absolute": 0.0}),
    "direction turned round": figure("power_total", better="higher"),
    "unit changed": figure("power_total", unit="W"),
    "tail lowered under its samples": figure("latency_p99", value=3.0),
    "hardware figures from an emulated board": figure("power_total", source="HARDWARE"),
    "claims to be hardware": put(False, "board", "emulated"),
    "other kind of board": put("ks200", "board", "board"),
    "other program": put("other", "package", "program"),
    "other runtime": put("tflite-runtime", "board", "runtime", "name"),
    "other runtime version": put("2.9.0", "board", "runtime", "version"),
    "other rails": put(["vdd_npu"], "board", "rails"),
    "no trace of a rail": lambda item: item["measured"]["rails"].pop(),
    "clock runs backwards": lambda item: item["measured"]["start_s"].reverse(),
    "other pool": put("12" * 32, "pool", "sha256"),
    "smaller pool": put(20, "pool", "frames"),
    "no pool": put(None, "pool"),
    "slower loop": put(30.0, "loop", "rate_hz"),
    "loop on zeros": put("zeros", "loop", "frame"),
    "no loop": put(None, "loop"),
    "other link": put("serial", "link"),
    "other emulator": put("qemu:", "url"),
    "other profile": put("34" * 32, "requirements", "profile_sha256"),
}
"""What is changed in the run that is judged."""

BASELINES: dict[str, Change] = {
    "baseline was interrupted": both(put(2, "exit_status"), put("SIGTERM", "stopped")),
    "baseline was killed": put(-1, "exit_status"),
    "baseline ended as a fault": check("error"),
    "baseline has no figure": put([], "measurements"),
    "baseline's tail raised over its samples": figure("latency_p99", value=9.0),
}
"""What is changed in the baseline."""
