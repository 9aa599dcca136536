"""The per-op profile: where the time and the energy of a frame go, by kind of operation and by single operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hil.report.model import PrecisionRow

__all__ = ["OpRow", "PrecisionShare", "attention_work", "largest_ops", "ops_by_kind", "precision_shares"]

_LARGEST = 12


@dataclass(frozen=True, slots=True)
class OpRow:
    """One kind of operation, or one operation: how often, its part of the work (0 to 1), time and energy of a frame."""

    name: str
    dtype: str
    where: str
    count: int
    work: float
    latency_us: float
    time: float
    energy_uj: float


@dataclass(frozen=True, slots=True)
class PrecisionShare:
    """How much of the graph is of one type: operations, their part of the work (0 to 1), how many run on the CPU."""

    dtype: str
    ops: int
    work: float
    cpu: int


def ops_by_kind(rows: Sequence[PrecisionRow]) -> list[OpRow]:
    """Return the kinds of operations by falling time; empty where no time is known."""
    kinds: dict[tuple[str, str, str], list[PrecisionRow]] = {}
    for row in rows:
        kinds.setdefault((row.op, row.dtype, "NPU" if row.npu else "CPU"), []).append(row)
    return _ranked(((*kind, members) for kind, members in kinds.items()), rows)


def largest_ops(rows: Sequence[PrecisionRow]) -> list[OpRow]:
    """Return the single operations that take longest."""
    single = ((row.name.split(";")[0], f"{row.op} {row.dtype}", "NPU" if row.npu else "CPU", [row]) for row in rows)
    return _ranked(single, rows)[:_LARGEST]


def attention_work(rows: Sequence[PrecisionRow]) -> float | None:
    """Return the part of the multiply-accumulates in the attention layers, 0 to 1; None where there are none."""
    macs = sum(row.macs for row in rows)
    attention = sum(row.macs for row in rows if row.group == "attention")
    return attention / macs if macs and any(row.group == "attention" for row in rows) else None


def precision_shares(rows: Sequence[PrecisionRow]) -> list[PrecisionShare]:
    """Return the part of each type, the largest work first."""
    work = sum(row.macs for row in rows) or 1
    shares = []
    for dtype in dict.fromkeys(row.dtype for row in rows):
        mine = [row for row in rows if row.dtype == dtype]
        macs, cpu = sum(row.macs for row in mine), sum(not row.npu for row in mine)
        shares.append(PrecisionShare(dtype, len(mine), macs / work, cpu))
    return sorted(shares, key=lambda share: (-share.work, -share.ops))


def _ranked(groups: Iterable[tuple[str, str, str, list[PrecisionRow]]], rows: Sequence[PrecisionRow]) -> list[OpRow]:
    time_us, macs = sum(row.latency_us for row in rows), sum(row.macs for row in rows) or 1
    if not time_us:
        return []
    found = []
    for name, dtype, where, members in groups:
        took = sum(row.latency_us for row in members)
        work = sum(row.macs for row in members) / macs
        energy_uj = sum(row.energy_uj for row in members)
        found.append(OpRow(name, dtype, where, len(members), work, took, took / time_us, energy_uj))
    return sorted(found, key=lambda row: -row.latency_us)
