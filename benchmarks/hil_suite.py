"""What the suite and its report cost: a smoke run, the time that is not spent in checks, a page of 1,000 hard cases."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Benchmark

__all__ = ["measure_report", "measure_suite"]

_OPENED = 3
_MIB = 2**20


def measure_report(bench: Benchmark) -> None:
    """Measure the page of a run on 1,000 hard cases: its size, and how long a browser takes to open it."""
    from hil.report.html import render_html
    from tests.hil.report_pages import thousand_page

    began_s = time.monotonic()
    page = render_html(thousand_page())
    bench.row("report_render_s", time.monotonic() - began_s, "s", note="1,000 hard cases, six pictures")
    bench.row("report_mib", len(page.encode()) / _MIB, "MiB", at_most=8, note="one file, pictures included")
    chromium = shutil.which("chromium")
    if chromium is None:
        print("report_open_s: not measured, for want of Debian's chromium")
        return
    with tempfile.TemporaryDirectory() as name:
        full, blank = Path(name) / "full.html", Path(name) / "blank.html"
        full.write_text(page, encoding="utf-8")
        blank.write_text("<!doctype html><html lang='en'><title>blank</title><p>blank</p></html>", encoding="utf-8")
        opened = sorted(_open_s(chromium, full) - _open_s(chromium, blank) for _ in range(_OPENED))
    note = f"headless Chromium, over an empty page; median of {_OPENED}"
    bench.row("report_open_s", max(0.0, opened[_OPENED // 2]), "s", at_most=1, note=note)


def _open_s(chromium: str, page: Path) -> float:
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={page.parent / 'profile'}",
        "--dump-dom",
    ]
    began_s = time.monotonic()
    subprocess.run([chromium, *options, page.as_uri()], capture_output=True, check=True, timeout=120)
    return time.monotonic() - began_s


def measure_suite(bench: Benchmark) -> None:
    """Measure a smoke run and a ci run on an emulated board."""
    from hil.measurements.results import SuiteVerdict
    from hil.suite_runner import run_suite
    from tests.hil.hil_bench import make_bench

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_bench(folder, captures=12)
        took = {}
        for tier in ("smoke", "ci"):
            began_s = time.monotonic()
            results = run_suite("emu:", files.package, files.trust, files.captures, folder / tier, tier=tier)
            took[tier] = time.monotonic() - began_s
            if results.verdict is not SuiteVerdict.PASS:
                raise RuntimeError(f"the {tier} run ended as {results.verdict.value}: {results.stopped}")
    in_checks = sum(check.seconds for check in results.checks)
    bench.row("smoke_s", took["smoke"], "s", at_most=30, note="an emulated board's start included")
    note = f"{took['ci']:.1f} s for {in_checks:.1f} s in checks and their fixtures: start, planning, results, report"
    bench.row("suite_overhead", took["ci"] / in_checks, "1", at_most=1.25, note=note)
