"""The figures that a board's maker published, and what a report has to show beside each.

They are a reference to report against, never numbers that are printed as one's own: a row shows what was measured, or
that nothing was. They come from the board's profile; a board without them has no such table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from firmware_bridge.device.profile import Published, PublishedFigure
from hil.report.model import Report

__all__ = ["WORK", "PublishedRow", "published_rows"]

WORK = "work_macs"
"""The name under which a profile publishes the multiply-accumulates of a frame, which are counted and not measured."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """What was published, and what was found; ``ours`` is ``""`` when nothing was."""

    what: str
    published: str
    ours: str
    origin: str = ""


def published_rows(report: Report, published: Published) -> tuple[PublishedRow, ...]:
    """Return the published figures with this report's beside them."""
    figures = (_work(report, item) if item.measurement == WORK else _figure(report, item) for item in published.figures)
    return (*figures, *_accuracy_rows(report, published))


def _work(report: Report, item: PublishedFigure) -> PublishedRow:
    macs = sum(row.macs for row in report.precision)
    return PublishedRow(item.what, item.text, f"{_giga(macs)} MAC" if macs else "", "counted")


def _figure(report: Report, item: PublishedFigure) -> PublishedRow:
    run = report.results
    found = None if run is None else run.measurement(item.measurement)
    if found is None or found.value != found.value:
        return PublishedRow(item.what, item.text, "")
    value, unit = (found.value / 1e3, "W") if found.unit == "mW" else (found.value, found.unit)
    origin = f"{found.source.value}, {found.basis.value}, n {found.n}"
    return PublishedRow(item.what, item.text, f"{value:.3g} {unit}", origin)


def _accuracy_rows(report: Report, published: Published) -> Iterable[PublishedRow]:
    records = report.all_accuracy
    for pool in dict.fromkeys(record.pool for record in records):
        of_pool = {record.model: record for record in records if record.pool == pool}
        parent = next((of_pool[m] for m in of_pool if m.upper().startswith(("FP32", "FLOAT"))), None)
        if parent is None:
            continue
        hard = any(word in pool.lower() for word in ("hard", "ood"))
        for model, record in of_pool.items():
            text = _published_gap(published, model, hard=hard)
            if record is not parent and text:
                gap = f"{100 * (record.ap50 - parent.ap50):+.1f} points AP50".replace("-", "\u2212")
                yield PublishedRow(f"{model} against FP32, {pool}", text, gap, f"measured, n {record.frames}")


def _published_gap(published: Published, model: str, *, hard: bool) -> str:
    name = model.upper()
    fitting = (row.text for row in published.accuracy if row.hard is hard and any(m in name for m in row.models))
    return next(fitting, "")


def _giga(macs: int) -> str:
    return f"{macs / 1e9:.2f} G" if macs >= 1e8 else f"{macs / 1e6:.2f} M"
