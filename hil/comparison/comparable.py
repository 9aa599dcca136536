"""Whether two runs may be compared: the baseline is evidence, neither contradicts itself, both measured the same thing.

What differs is refused unless it was allowed by its name, and is then said with the verdict. Another package is what a
comparison is for.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from hil.errors import EvidenceError
from hil.measurements.measurement import Measurement
from hil.measurements.quantiles import quantile
from hil.measurements.results import HilResults, Outcome
from hil.measurements.setup import LoopFacts, PoolFacts

__all__ = ["DIFFERENCES", "Difference", "check_comparable", "check_consistent", "lost_evidence", "setup_of"]

DIFFERENCES = ("pool", "loop", "rails", "runtime", "profile", "limits", "board", "emulator", "link")
"""What may differ between two runs if it is allowed; hardware and emulation, or two programs, are never compared."""

_SHOWN = ("package", "serial", "agent", "host")
_DIGEST_SHOWN = 12
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that was not the same in two runs: its name, and what it was before and is now."""

    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.what}: {self.before} before, {self.after} now"


def check_comparable(before: HilResults, after: HilResults, allow: Collection[str] = ()) -> tuple[Difference, ...]:
    """Return what differs between two runs.

    Raises:
        EvidenceError: the baseline did not come to its end, a run reached no board or says not what it measured, or
            the two measured different things and ``allow`` does not name them.
    """
    if before == after:
        raise EvidenceError("the baseline and the run are the same run; give the results of another one")
    if not before.came_through:
        why = f": {before.stopped}" if before.stopped else ""
        raise EvidenceError(f"the baseline ended as {before.verdict.value}{why}; a baseline is a run that came through")
    if before.board is None or after.board is None or before.source is None or after.source is None:
        raise EvidenceError("one of the runs never reached a board; there is nothing to compare")
    for run, which in ((before, "the baseline"), (after, "the run")):
        if run.package is None:
            raise EvidenceError(f"{which} does not say which package it measured; run it again with a package")
    never = Difference("source", before.source.value, after.source.value), _program(before, after)
    for item in never:
        if item.before != item.after:
            raise EvidenceError(f"runs of different {item.what} are not compared: {item.before} and {item.after}")
    found = tuple(item for item in _differences(before, after) if item.before != item.after)
    refused = [item for item in found if item.what not in (*_SHOWN, *allow)]
    if refused:
        options = " ".join(f"--allow {name}" for name in dict.fromkeys(item.what for item in refused))
        raise EvidenceError(f"the runs measured different things ({'; '.join(map(str, refused))}); allow it: {options}")
    return found


def _program(before: HilResults, after: HilResults) -> Difference:
    assert before.package is not None
    assert after.package is not None
    return Difference("program", before.package.program, after.package.program)


def _differences(before: HilResults, after: HilResults) -> Iterable[Difference]:
    one, other = _identity(before), _identity(after)
    yield from (Difference(what, one[what], other[what]) for what in one)
    for old in before.measurements:
        new = after.measurement(old.name)
        if new is not None and old.limit != new.limit and not _follows_package(old):
            yield Difference("limits", f"{old.name} {old.limit or 'none'}", f"{new.limit or 'none'}")


def _follows_package(item: Measurement) -> bool:
    """Whether the limit is one that the package states itself, so that it changes with it."""
    return item.limit is not None and item.limit.why.startswith("the package's manifest")


def _identity(run: HilResults) -> dict[str, str]:
    board, package, needs = run.board, run.package, run.requirements
    assert board is not None
    assert package is not None
    scheme = urlsplit(run.url).scheme if board.emulated else ""
    return {
        "package": f"{package.model} {package.version} ({package.payload_sha256[:_DIGEST_SHOWN]})",
        "board": board.board,
        "serial": board.serial,
        "agent": board.agent,
        "host": "none" if run.host is None else f"{run.host.name}, {run.host.system}, ks100 {run.host.ks100}",
        "emulator": scheme if scheme in ("emu", "qemu") else "",
        "runtime": f"{board.runtime.name} {board.runtime.version}",
        "rails": ", ".join(sorted(board.rails)),
        "link": run.link,
        "pool": _pool(run.pool),
        "loop": _loop(run.loop),
        "profile": "none" if needs is None else f"{needs.board} {needs.profile_sha256[:_DIGEST_SHOWN]}",
    }


def setup_of(run: HilResults) -> dict[str, str]:
    """Return what was measured and how, of a run with a board and a package: what may not differ in a comparison."""
    assert run.source is not None
    setup = {name: value for name, value in _identity(run).items() if name not in _SHOWN}
    return {**setup, "source": run.source.value, "program": "" if run.package is None else run.package.program}


def _pool(pool: PoolFacts | None) -> str:
    return "none" if pool is None else f"{pool.name}, {pool.frames} frames ({pool.sha256[:_DIGEST_SHOWN]})"


def _loop(loop: LoopFacts | None) -> str:
    if loop is None:
        return "none"
    frames = f"{loop.frames} frames of {loop.frame} at {loop.rate_hz:g} Hz"
    return f"{frames} after {loop.warmup}, {loop.idle_s:g} s idle, {loop.kernels} kernels"


def lost_evidence(before: HilResults, after: HilResults) -> tuple[str, ...]:
    """Return what the baseline had and ``after`` has not, or not passed, one line each."""
    now = {check.name: check for check in after.checks}
    lost = []
    for check in before.checks:
        found = now.get(check.name)
        if check.outcome is not Outcome.PASSED or (found is not None and found.outcome is Outcome.PASSED):
            continue
        how = "MISSING" if found is None else f"{found.outcome.value}: {found.message}"
        lost.append(f"check {check.name} passed before, now {how}")
    cases = {item.case for item in after.rejections}
    lost += [
        f"rejection {item.case} was tried before, now MISSING" for item in before.rejections if item.case not in cases
    ]
    have = {(item.model, item.pool): item.frames for item in after.accuracy}
    for record in before.accuracy:
        frames = have.get((record.model, record.pool), 0)
        if frames < record.frames:
            lost.append(f"accuracy of {record.model} on {record.pool}: {record.frames} frames before, {frames} now")
    return tuple(lost)


def check_consistent(run: HilResults, which: str) -> None:
    """Refuse results that contradict themselves, as a damaged or edited file does.

    Raises:
        EvidenceError: two parts of it cannot both be true.
    """
    trouble = next(_contradictions(run), None)
    if trouble is not None:
        raise EvidenceError(f"{which} contradicts itself: {trouble}; run again")


def _contradictions(run: HilResults) -> Iterator[str]:
    for names, what in (([m.name for m in run.measurements], "figure"), ([c.name for c in run.checks], "check")):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield f"{what} {twice[0]} is there twice"
    for item in run.measurements:
        if run.source is not None and item.source is not run.source:
            yield f"{item.name} is {item.source.value} on a board that is {run.source.value}"
        if math.isfinite(item.value) and item.n < 1:
            yield f"{item.name} has a value and no sample"
        if item.quantile is not None and math.isfinite(item.value):
            yield from _quantile_trouble(run, item, item.quantile)
    yield from _check_trouble(run)
    yield from _loop_trouble(run)


def _quantile_trouble(run: HilResults, item: Measurement, fraction: float) -> Iterable[str]:
    series = np.asarray(run.series(item.series), np.float64)
    if len(series) != item.n:
        yield f"{item.name} is of {item.n} samples, and {len(series)} are there"
    elif not np.isfinite(series).all():
        yield f"the samples of {item.name} are not all numbers"
    elif not math.isclose(quantile(series, fraction), item.value, rel_tol=_TOLERANCE):
        yield f"{item.name} is {item.value:g} {item.unit}, and its samples say {quantile(series, fraction):g}"


def _check_trouble(run: HilResults) -> Iterable[str]:
    planned = {item.name for item in run.planned}
    if not planned:
        yield "it has no plan"
    unknown = [check.name for check in run.checks if check.name not in planned]
    if unknown:
        yield f"check {unknown[0]} was never planned"
    bad = any(check.outcome in (Outcome.FAILED, Outcome.ERROR) for check in run.checks)
    bad |= any(check.outcome in (Outcome.INCONCLUSIVE, Outcome.REJECTED) for check in run.checks)
    if run.exit_status == 0 and bad:
        yield "pytest ended well, and a check did not"


def _loop_trouble(run: HilResults) -> Iterable[str]:
    measured = run.measured
    if measured is None or run.loop is None:
        if measured is not None:
            yield "it does not say how its loop ran"
        return
    if not len(measured.latency_ms) == len(measured.start_s) == run.loop.frames:
        yield f"{len(measured.latency_ms)} latencies and {len(measured.start_s)} begins of {run.loop.frames} frames"
    if any(not latency > 0 for latency in measured.latency_ms):
        yield "a latency is not a positive number"
    rails = {trace.rail for trace in measured.rails}
    if run.board is not None and rails != set(run.board.rails):
        yield f"traces of {', '.join(sorted(rails)) or 'no rail'} on a board with {', '.join(sorted(run.board.rails))}"
    if any(len(trace.time_s) != len(trace.power_mw) for trace in measured.rails):
        yield "a rail has times without values"
    if any(later < earlier for earlier, later in zip(measured.start_s, measured.start_s[1:], strict=False)):
        yield "its clock runs backwards"
