"""From a report to what its page shows: tiles, charts and formatted values. Owns wording and choice, not looks."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hil.measurements.accuracy import AccuracyRecord
from hil.measurements.measurement import Measurement, Verdict
from hil.measurements.results import HilResults, SuiteVerdict
from hil.report.charts.differences import differences_chart
from hil.report.charts.latency import latency_chart
from hil.report.charts.precision import precision_strip
from hil.report.charts.timeline import timeline_chart
from hil.report.model import DifferenceRow, Report

__all__ = [
    "Chart",
    "Tile",
    "absolute_rows",
    "bytes_text",
    "count_text",
    "data_uri",
    "differences_of",
    "duration",
    "headline",
    "latency_of",
    "number",
    "precision_chart",
    "tiles",
    "timeline_of",
    "when",
]

_HEADLINES = {
    SuiteVerdict.PASS: "Every limit holds",
    SuiteVerdict.LIMIT_FAILED: "A limit does not hold",
    SuiteVerdict.REJECTED: "The board refuses the package",
    SuiteVerdict.FAULT: "The board or the bench failed",
    SuiteVerdict.INCONCLUSIVE: "The data do not decide",
    SuiteVerdict.INCOMPLETE: "The run is INCOMPLETE",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One headline figure: name, value with unit, what it is held against, its verdict and where it comes from.

    ``share`` is the part of the limit that is used, 0 to 1, or None.
    """

    name: str
    value: str
    unit: str
    against: str
    verdict: str
    origin: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its title; ``svg`` is markup."""

    title: str
    svg: str


def headline(report: Report) -> str:
    """Return the verdict in words."""
    return _HEADLINES[report.verdict]


def tiles(report: Report) -> list[Tile]:
    """Return the headline figures that the report has."""
    run = report.results
    found = []
    if run is not None:
        found += [
            _tile(run, "latency_p99", "Latency, p99", 1.0, "ms"),
            _tile(run, "power_total", "Power at full rate", 0.001, "W"),
            _tile(run, "energy_per_frame", "Energy a frame", 1.0, "mJ"),
            _tile(run, "hard_ap50_board", "Hard cases on the board", 1.0, "AP50"),
            _parity_tile(run),
            _rejections_tile(report),
            _push_tile(run),
        ]
    return [tile for tile in [*found, _gate_tile(report)] if tile is not None]


def _tile(run: HilResults, measurement: str, name: str, scale: float, unit: str) -> Tile | None:
    item = run.measurement(measurement)
    if item is None:
        return None
    limit, share = item.limit, None
    against = "" if limit is None else _against(limit.low, limit.high, scale, unit, limit.why)
    if limit is not None and limit.high:
        share = min(1.0, max(0.0, item.value / limit.high))
    return Tile(name, number(item.value * scale), unit, against, item.verdict.value, _origin(item), share)


def _against(low: float | None, high: float | None, scale: float, unit: str, why: str) -> str:
    sides = [f"≥ {low * scale:g}" if low is not None else "", f"≤ {high * scale:g}" if high is not None else ""]
    return f"{' and '.join(side for side in sides if side)} {unit}" + (f", {why}" if why else "")


def _origin(item: Measurement) -> str:
    return f"{item.source.value} · {item.basis.value} · n {count_text(item.n)}"


def _parity_tile(run: HilResults) -> Tile | None:
    found = [m for m in run.measurements if m.name.startswith("parity_")]
    if not found:
        return None
    worst = max(found, key=lambda item: item.value)
    value = "bit for bit" if worst.value == 0 else f"{worst.value:.0f} steps"
    verdict = Verdict.FAIL if any(item.verdict is Verdict.FAIL for item in found) else Verdict.PASS
    n = sum(item.n for item in found)
    origin = f"{worst.source.value} · {worst.basis.value} · n {count_text(n)}"
    return Tile("Board against host", value, "", "reference kernels", verdict.value, origin)


def _rejections_tile(report: Report) -> Tile | None:
    rejections = [item for run in report.runs for item in run.rejections]
    if not rejections:
        return None
    right = sum(item.holds for item in rejections)
    verdict = Verdict.PASS if right == len(rejections) else Verdict.FAIL
    source = report.results.source if report.results is not None else None
    origin = f"{source.value} · measured" if source is not None else "measured"
    against = "refused by name, slot unchanged"
    return Tile("Forgeries refused", f"{right} of {len(rejections)}", "", against, verdict.value, origin)


def _push_tile(run: HilResults) -> Tile | None:
    if not run.transfers or not run.transfers[-1].chunks_sent:
        return None
    last = run.transfers[-1]
    rate, _, unit = bytes_text(last.rate_bytes_s).partition(" ")
    against = f"{bytes_text(last.payload_bytes)} in {duration(last.seconds)}"
    source = "" if run.source is None else f"{run.source.value} · "
    return Tile(f"Push over {last.link}", rate, f"{unit}/s", against, "info", f"{source}measured")


def _gate_tile(report: Report) -> Tile | None:
    if report.gate is None:
        return None
    rows = report.gate.rows
    frames = f" · n {rows[0].frames}" if rows else ""
    value = {Verdict.PASS: "passed", Verdict.FAIL: "failed"}.get(report.gate.verdict, report.gate.verdict.value)
    against = f"drop {rows[0].drop_points:z.1f}, at most {rows[0].limit_points:g} points" if rows else ""
    return Tile("Hard-case gate", value, "", against, report.gate.verdict.value, f"host · measured{frames}")


def latency_of(run: HilResults) -> str:
    """Return the latency chart's markup, or ``""`` when nothing was measured."""
    if run.requirements is None or run.measured is None or not run.measured.latency_ms:
        return ""
    return latency_chart(run.measured.latency_ms, run.requirements.window_ms, run.requirements.period_ms)


def timeline_of(run: HilResults) -> str:
    """Return the timeline's markup, or ``""`` when there is no run with rails."""
    measured, needs = run.measured, run.requirements
    if needs is None or measured is None or not measured.rails or not measured.start_s:
        return ""
    if any(len(trace.time_s) < 2 for trace in measured.rails):
        return ""
    valid = not any(item.invalid for item in run.measurements if item.name.startswith("power_"))
    return timeline_chart(measured, needs.budget_mw, needs.window_ms, valid=valid)


def differences_of(report: Report) -> list[Chart]:
    """Return one chart a pool of AP50 against the parent, the hard cases first."""
    rows = report.differences + _plain_differences(report)
    pools = sorted(dict.fromkeys(row.pool for row in rows), key=lambda pool: "hard" not in pool.lower())
    return [
        Chart(pool, differences_chart([row for row in rows if row.pool == pool], _parent_name(report, pool)))
        for pool in pools
    ]


def _plain_differences(report: Report) -> tuple[DifferenceRow, ...]:
    """Return the differences of models without an interval, where parent and model saw the same frames."""
    known = {(row.pool, row.model) for row in report.differences}
    found = list[DifferenceRow]()
    for pool in dict.fromkeys(record.pool for record in report.all_accuracy):
        records = [record for record in report.all_accuracy if record.pool == pool]
        parent = _parent(records)
        for record in records:
            if parent is None or record is parent or (pool, record.model) in known or record.frames != parent.frames:
                continue
            found += _between(parent, record)
    return tuple(found)


def _between(parent: AccuracyRecord, record: AccuracyRecord) -> list[DifferenceRow]:
    nan = float("nan")
    whole = DifferenceRow(
        record.model, record.pool, "", "all frames", 100 * (record.ap50 - parent.ap50), nan, nan, record.frames
    )
    before = {(score.axis, score.category): score for score in parent.conditions}
    return [whole] + [
        DifferenceRow(record.model, record.pool, s.axis, s.category, 100 * (s.ap50 - old.ap50), nan, nan, s.frames)
        for s in record.conditions
        if (old := before.get((s.axis, s.category))) is not None and math.isfinite(s.ap50 - old.ap50)
    ]


def _parent(records: Sequence[AccuracyRecord]) -> AccuracyRecord | None:
    """Return what the others are held against: the float model, else the same graph on the host."""
    floats = (record for record in records if record.model.upper().startswith(("FP32", "FLOAT")))
    hosts = (record for record in records if "host" in record.model)
    return next(floats, None) or next(hosts, None)


def _parent_name(report: Report, pool: str) -> str:
    parent = _parent([record for record in report.all_accuracy if record.pool == pool])
    return "FP32" if parent is None else parent.model


def absolute_rows(report: Report) -> list[tuple[str, str, float, int]]:
    """Return (pool, model, AP50 in points, frames) of every accuracy."""
    return [(record.pool, record.model, 100 * record.ap50, record.frames) for record in report.all_accuracy]


def precision_chart(report: Report) -> str:
    """Return the precision strip's markup, or ``""``."""
    return precision_strip(report.precision) if report.precision else ""


def number(value: float) -> str:
    """Return a figure with three significant digits, without an exponent where people would not use one."""
    if value != value:
        return "none"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"


def count_text(count: int) -> str:
    """Return a count with its thousands apart."""
    return f"{count:,}".replace(",", "\u202f")


def bytes_text(size: float) -> str:
    """Return a size in words, in units of 1000 as links count."""
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} bytes"


def duration(seconds: float) -> str:
    """Return a time in words."""
    if seconds >= 90:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return (
        f"{seconds:.0f} s"
        if seconds >= 10
        else (f"{seconds:.1f} s" if seconds >= 0.095 else f"{seconds * 1000:.0f} ms")
    )


def when(time_s: float) -> str:
    """Return a moment, UTC."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def data_uri(image: bytes) -> str:
    """Return a PNG or JPEG picture as it can stand in a page."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
