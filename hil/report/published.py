"""The figures published for a module of this kind, and what a report has to show beside each.

They are a reference to report against, never numbers that are printed as one's own: a row shows what was measured, or
that nothing was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hil.measurements.accuracy import AccuracyRecord
from hil.report.model import Report

__all__ = ["CONTEXT", "PublishedRow", "published_rows"]

CONTEXT = (
    "Published for a fusion transformer of about 3.4 G multiply-accumulates a frame at 60 frames/s; "
    "a smaller network draws less, and its accuracy is that of other captures."
)


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """What was published, and what was found; ``ours`` is ``""`` when nothing was."""

    what: str
    published: str
    ours: str
    origin: str = ""


def published_rows(report: Report) -> tuple[PublishedRow, ...]:
    """Return the published figures with this report's beside them."""
    return (
        _work(report),
        _figure(report, "power at 60 frames/s", "6.1 W mixed, 5.6 W INT8", "power_total_60fps", 0.001, "W"),
        _figure(report, "answer within the decision window", "80 ms", "latency_p99", 1.0, "ms (p99)"),
        _figure(report, "frame rate", "60 frames/s", "frame_rate", 1.0, "frames/s"),
        *_accuracy_rows(report.all_accuracy),
    )


def _work(report: Report) -> PublishedRow:
    macs = sum(row.macs for row in report.precision)
    return PublishedRow("work a frame", "about 3.4 G MAC", f"{_giga(macs)} MAC" if macs else "", "counted")


def _figure(report: Report, what: str, published: str, name: str, scale: float, unit: str) -> PublishedRow:
    run = report.results
    item = None if run is None else run.measurement(name)
    if item is None or item.value != item.value:
        return PublishedRow(what, published, "")
    return PublishedRow(
        what, published, f"{item.value * scale:.3g} {unit}", f"{item.source.value}, {item.basis.value}, n {item.n}"
    )


def _accuracy_rows(records: Iterable[AccuracyRecord]) -> Iterable[PublishedRow]:
    records = tuple(records)
    for pool in dict.fromkeys(record.pool for record in records):
        of_pool = {record.model: record for record in records if record.pool == pool}
        parent = next((of_pool[m] for m in of_pool if m.upper().startswith(("FP32", "FLOAT"))), None)
        if parent is None:
            continue
        hard = "hard" in pool.lower()
        for model, record in of_pool.items():
            if record is not parent:
                published = _published_gap(model, hard=hard)
                if published:
                    gap = f"{100 * (record.ap50 - parent.ap50):+.1f} points AP50".replace("-", "\u2212")
                    yield PublishedRow(f"{model} against FP32, {pool}", published, gap, f"measured, n {record.frames}")


def _published_gap(model: str, *, hard: bool) -> str:
    name = model.upper()
    if "PTQ" in name:
        return "4 to 7 points down out of distribution" if hard else "within 1.5 points"
    if "QAT" in name or "MIXED" in name:
        return "at most 5 points down" if hard else "under 1.8 points in every condition"
    return ""


def _giga(macs: int) -> str:
    return f"{macs / 1e9:.2f} G" if macs >= 1e8 else f"{macs / 1e6:.2f} M"
