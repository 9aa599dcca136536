"""Reports with every section filled, for those who look at the page: all well, all wrong, and a thousand hard cases."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

import tests.hil.hil_examples as example
from hil.comparison.changes import Change, Comparison
from hil.comparison.comparable import Difference
from hil.comparison.runs import RunComparison
from hil.measurements.measurement import Subject
from hil.measurements.results import Check, Outcome, SuiteVerdict
from hil.measurements.setup import PlannedCheck
from hil.report.model import DetectionBox, DetectionPicture, DifferenceRow, Panel, PrecisionRow, Report
from hil.report.pictures import image_file

MODELS = ("INT8 PTQ", "mixed PTQ", "INT8 QAT", "mixed QAT", "mixed QAT on the board")
CATEGORIES = (
    ("", "all frames"), ("background", "urban"), ("background", "field"), ("atmosphere", "clear"),
    ("atmosphere", "haze"), ("atmosphere", "rain"), ("thermal", "warm"), ("thermal", "crossover"),
)  # fmt: skip


def differences() -> tuple[DifferenceRow, ...]:
    """Return five models in two pools."""
    random = np.random.default_rng(5)
    return tuple(
        DifferenceRow(model, pool, axis, category, drop, drop - 1.6, drop + 1.9, 40 + index)
        for pool in ("hard", "validation")
        for index, (axis, category) in enumerate(CATEGORIES)
        for place, model in enumerate(MODELS)
        for drop in [float(random.normal(-5 + place, 0.8))]
    )


def precision() -> tuple[PrecisionRow, ...]:
    """Return the example's operations with a cost."""
    rows = example.precision()
    return tuple(replace(row, latency_us=20.0 + 9 * (i % 7), energy_uj=8.0 + i % 5) for i, row in enumerate(rows))


def pictures(count: int) -> tuple[DetectionPicture, ...]:
    """Return pictures of noise, which compress as badly as real frames."""
    random = np.random.default_rng(8)
    boxes = (
        DetectionBox((20.0, 30.0, 120.0, 110.0), "car", 0.81),
        DetectionBox((300.0, 40.0, 350.0, 90.0), "bus", 0.4),
    )
    panels = (Panel("FP32, host", boxes), Panel("mixed QAT, board", boxes[:1]))
    return tuple(
        DetectionPicture(
            f"hard-{n}", "thermal crossover, background urban", 640, 512,
            image_file(random.integers(0, 255, (512, 640, 3), np.uint8)),
            image_file(random.integers(0, 255, (512, 640), np.uint8)), boxes[:1], panels,
        )
        for n in range(count)
    )  # fmt: skip


def comparison() -> RunComparison:
    """Return a comparison with a row of each kind."""
    rows = tuple(
        Comparison(f"figure_{change.value.lower()}", "ms", 3.5, 3.6, -0.02, 0.14, 0.17, change, Subject.MODEL)
        for change in Change
        if change is not Change.MISSING
    )
    nan = math.nan
    missing = Comparison("energy_per_frame", "mJ", 22.8, nan, nan, nan, 1.1, Change.MISSING, note="not measured")
    return RunComparison(
        (*rows, missing), (Difference("package", "1.0.0 (abababababab)", "1.1.0 (cdcdcdcdcdcd)"),),
        ("check test_power::test_x passed before, now MISSING",), (), SuiteVerdict.PASS,
    )  # fmt: skip


def full_page() -> Report:
    """Return a report in which all is well."""
    return example.report(
        differences=differences(), precision=precision(), pictures=pictures(2), waiver="a trial on the bench"
    )


def failing_page() -> Report:
    """Return a report of a run that stopped, with figures that are MISSING, and worse than its baseline."""
    results = example.results()
    failed = Check("test_power::test_total", "total power stays within the budget", Outcome.FAILED, 1.0,
                   "power_total = 9000 mW, limit ≤ 8000 mW (power budget)", "a longer text\nof two lines")  # fmt: skip
    planned = (*results.planned, PlannedCheck(failed.name), PlannedCheck("test_soak::test_x", ("soak_failures",)))
    run = replace(results, checks=(*results.checks, failed), planned=planned, stopped="SIGTERM", exit_status=2)
    return example.report(results=run, comparison=comparison(), differences=differences())


def thousand_page() -> Report:
    """Return a report of a run on 1,000 hard cases, with as many pictures as a report shows."""
    checks = tuple(Check(f"test_own::test_case[{n}]", f"case {n} is found", Outcome.PASSED, 0.01) for n in range(1000))
    planned = tuple(PlannedCheck(check.name) for check in checks)
    run = example.results(checks=checks, planned=planned, measured=example.measured(frames=3000))
    return example.report(results=run, differences=differences(), precision=precision(), pictures=pictures(6))
