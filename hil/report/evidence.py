"""What stands behind a run, as pairs of a name and words: what was measured, with what, and where.

Also what is not there: every planned figure without a number, every planned check that did not run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from hil.checks.energy_uncertainty import window_mean
from hil.measurements.results import HilResults

__all__ = ["environment", "evidence", "missing_lines", "rail_rows"]

_DIGEST = 12


def evidence(run: HilResults) -> list[tuple[str, str]]:
    """Return what was measured."""
    return list(_evidence(run))


def environment(run: HilResults) -> list[tuple[str, str]]:
    """Return with what, where and over what it was measured."""
    return list(_environment(run))


def missing_lines(run: HilResults) -> list[str]:
    """Return what is not known, one line each: MISSING figures by name, INVALID ones, checks that did not run."""
    invalid = {item.name for item in run.measurements if item.invalid}
    missing = [name for name in run.missing if name not in invalid]
    lines = [f"stopped: {run.stopped}"] if run.stopped else []
    lines += [f"MISSING: {name}" for name in missing]
    lines += [f"INVALID: {item.name}, {item.invalid}" for item in run.measurements if item.invalid]
    return lines + [f"not run: {name}" for name in run.not_run]


def rail_rows(run: HilResults) -> list[tuple[str, str, str, str]]:
    """Return (rail, idle, in the loop, over idle a frame) in words; INVALID samples give no number."""
    measured, needs = run.measured, run.requirements
    if measured is None or needs is None or not measured.start_s:
        return []
    if any(item.invalid for item in run.measurements if item.name.startswith("power_")):
        return [(trace.rail, *("INVALID",) * 3) for trace in measured.rails]
    rows = []
    for trace in measured.rails:
        time_s, power_mw = np.asarray(trace.time_s, np.float64), np.asarray(trace.power_mw, np.float64)
        idle = window_mean(time_s, power_mw, measured.idle_from_s, measured.idle_to_s).mw
        loop = window_mean(time_s, power_mw, measured.start_s[0], measured.start_s[-1]).mw
        rows.append((trace.rail, f"{idle:.0f} mW", f"{loop:.0f} mW", f"{(loop - idle) / needs.frame_rate_hz:.3g} mJ"))
    return rows


def _evidence(run: HilResults) -> Iterator[tuple[str, str]]:
    package, pool, loop = run.package, run.pool, run.loop
    if package is not None:
        yield "package", f"{package.file}, {package.model} {package.version}, {package.file_sha256[:_DIGEST]}"
        yield "graph", f"{package.payload_bytes} bytes, {package.payload_sha256[:_DIGEST]}"
    if pool is None:
        yield "captures", "none"
    else:
        yield "captures", f"{pool.name}, {pool.frames} frames, {pool.sha256[:_DIGEST]}"
    if loop is not None:
        shown = "zeros" if loop.frame == "zeros" else f"capture {loop.frame}"
        yield "loop", f"{loop.frames} frames at {loop.rate_hz:g} Hz after {loop.warmup}, each {shown}"
        yield "idle window", f"{loop.idle_s:g} s before the loop; {loop.kernels} kernels"
    outcomes = Counter(check.outcome.value for check in run.checks)
    ended = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()) or "none ended"
    yield "checks", f"{len(run.planned) or len(run.checks)} planned: {ended}"
    yield "figures", f"{len(run.measurements)} measured, {len(run.missing)} MISSING"


def _environment(run: HilResults) -> Iterator[tuple[str, str]]:
    board, needs, host = run.board, run.requirements, run.host
    yield "address", run.url
    if board is not None:
        kind = "emulated" if board.emulated else "hardware"
        yield "board", f"{board.board} ({kind}), serial number {board.serial}, agent {board.agent}"
        yield (
            "runtime",
            f"{board.runtime.name} {board.runtime.version}, {len(board.runtime.ops)} (operation, type) pairs",
        )
        trust = f"program {board.program or 'none'}, store version {board.trust_version}"
        yield "trust", f"{trust}, rollback floor {board.floor}"
    if needs is not None:
        digest = f", {needs.profile_sha256[:_DIGEST]}" if needs.profile_sha256 else ""
        yield "profile", f"{needs.board}{digest}"
    if host is not None:
        yield "host", f"{host.name}, {host.system}, {host.cpus} processors, load {host.load_1m:.1f}"
        yield "toolkit", f"ks100 {host.ks100}, Python {host.python}"
    yield from run.options.items()
