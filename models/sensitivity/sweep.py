"""From a study to its map: screen all groups, measure the most sensitive, attribute the total loss to blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.progress import Count, Progress, counted
from models.quant.plan import Precision
from models.sensitivity.accuracy import ap_drop, evaluation_of
from models.sensitivity.groups import Group
from models.sensitivity.intervals import Interval, scene_draws, scene_interval
from models.sensitivity.map import Figures, GroupFigures, SensitivityMap, Shares
from models.sensitivity.pools import CapturePool, Pool
from models.sensitivity.race import BATCH, Measured, Race, measure, race
from models.sensitivity.shapley import shapley_shares
from models.sensitivity.study import Study
from models.sensitivity.tasks import Executor, Variant

__all__ = ["SweepSettings", "rank_correlation", "sweep"]

Values = Callable[[Mapping[Variant, Measured]], NDArray[np.float64]]

_INT8, _INT16, _FP32 = Precision.INT8, Precision.INT16, Precision.FP32


@dataclass(frozen=True, slots=True)
class SweepSettings:
    """Extent of the measurements.

    Attributes:
        leaders: number of groups to measure; all if ``exact``.
        exact: measure every group instead of screening.
        screen_frames: frames per pool for the screen.
        share_frames: frames for the blocks' shares; 0 omits them.
        accuracy: whether to measure AP for the leaders.
        batch: frames per pass.
        seed: of every random choice.
    """

    leaders: int = 10
    exact: bool = False
    screen_frames: int = 128
    share_frames: int = 64
    accuracy: bool = True
    batch: int = BATCH
    seed: int = 0


@dataclass
class _Sweep:
    """State of a sweep."""

    study: Study
    executor: Executor
    settings: SweepSettings
    progress: Progress
    groups: Sequence[Group]
    screened: dict[str, dict[Precision, dict[str, NDArray[np.float64]]]] = field(default_factory=dict)
    measured: dict[str, dict[Variant, Measured]] = field(default_factory=dict)

    def tell(self, what: str) -> Count:
        return counted(self.progress, what)


def sweep(
    study: Study,
    executor: Executor,
    settings: SweepSettings | None = None,
    progress: Progress | None = None,
) -> SensitivityMap:
    """Make the map.

    Args:
        study: graph, ranges and pools; the first pool selects the groups to measure.
        executor: runs the pieces.
        settings: extent of the measurements.
        progress: progress callback.
    """
    from models.sensitivity.screen import attention_entropy, screen

    settings, progress = settings or SweepSettings(), progress or _silent
    run = _Sweep(study, executor, settings, progress, study.groups)
    entropy: dict[str, dict[str, dict[str, float]]] = {}
    for number, (name, pool) in enumerate(study.pools.items()):
        progress(number / len(study.pools), f"screening {len(run.groups)} groups on {name}")
        frames = _spread(pool, settings.screen_frames)
        found = screen(study, name, frames, batch=settings.batch, seed=settings.seed)
        run.screened[name] = {p: {g: _laid_out(v, frames, pool) for g, v in by.items()} for p, by in found.items()}
        for group, values in attention_entropy(study, name, frames, batch=settings.batch).items():
            entropy.setdefault(group, {})[name] = _by_category(_laid_out(values, frames, pool), pool)
    leaders = _leaders(run)
    _measure(run, leaders)
    correlation = rank_correlation(*_screened_and_measured(run))
    return SensitivityMap(
        model=hashlib.sha256(study.float_tflite).hexdigest(),
        ranges=study.ranges.digest,
        pools={name: pool.digest for name, pool in study.pools.items()},
        frames={name: len(pool) for name, pool in study.pools.items()},
        groups=tuple(_figures_of(run, group, leaders) for group in run.groups),
        whole={p.value: _figures(run, _divergence_of(Variant.of(p))) for p in (_INT8, _INT16)},
        rank_correlation=correlation,
        shares=_shares(run),
        entropy=entropy,
        settings={
            "leaders": len(leaders), "exact": settings.exact, "screen_frames": settings.screen_frames,
            "share_frames": settings.share_frames, "seed": settings.seed, "ranges": study.ranges.source,
        },
    )  # fmt: skip


def _silent(share: float, text: str) -> None:
    del share, text


def _leaders(run: _Sweep) -> list[str]:
    """Return the groups to measure: the winners of a race among twice as many screened ones."""
    names = [group.name for group in run.groups]
    if run.settings.exact or run.settings.leaders >= len(names):
        return names
    score = {name: max(_mean(by[_INT8][name]) for by in run.screened.values()) for name in names}
    candidates = sorted(names, key=lambda name: -score[name])[: 2 * run.settings.leaders]
    pool = next(iter(run.study.pools))
    variants = {name: _enabled(name, _INT8) for name in candidates}
    held = race(
        run.study, pool, list(variants.values()), run.executor, Race(run.settings.leaders, run.settings.seed),
        batch=run.settings.batch, progress=run.tell(f"racing {len(candidates)} groups on {pool}"),
    )  # fmt: skip
    return sorted(candidates, key=lambda name: -_mean(held[variants[name]].divergence))[: run.settings.leaders]


def _measure(run: _Sweep, leaders: Sequence[str]) -> None:
    """Measure on each pool: float, INT8 and INT16; each leader quantized alone, and restored alone."""
    judged_names = set(_worst(run, leaders)) if run.settings.accuracy and run.study.has_truth else set()
    for name in run.study.pools:
        plain: list[Variant] = [Variant.of(_INT16), *(_enabled(g, _INT16) for g in leaders)]
        seen: list[Variant] = [Variant.of(_INT8), *([Variant.of(_FP32)] if judged_names else [])]
        for group in leaders:
            both = (_enabled(group, _INT8), _restored(group))
            (seen if group in judged_names else plain).extend(both)
        what = f"measuring {len(leaders)} groups on {name}"
        held = run.measured.setdefault(name, {})
        for variants, detect in ((seen, bool(judged_names)), (plain, False)):
            held |= measure(
                run.study, name, variants, run.executor, detect=detect, batch=run.settings.batch,
                progress=run.tell(what),
            )  # fmt: skip


def _worst(run: _Sweep, leaders: Sequence[str]) -> list[str]:
    """Return the leaders whose AP is measured."""
    score = {name: max(_mean(by[_INT8][name]) for by in run.screened.values()) for name in leaders}
    return sorted(leaders, key=lambda name: -score[name])[: max(10, run.settings.leaders)]


def _figures_of(run: _Sweep, group: Group, leaders: Sequence[str]) -> GroupFigures:
    measured = group.name in leaders
    figures: dict[str, Figures] = {}
    for precision in (_INT8, _INT16):
        if measured:
            figures[precision.value] = _figures(run, _divergence_of(_enabled(group.name, precision)))
        else:
            figures[precision.value] = _estimated(run, group.name, precision, leaders)
    if measured:
        alone, restored = _enabled(group.name, _INT8), _restored(group.name)
        if run.study.has_truth:
            figures["rise"] = _figures(run, lambda held: held[alone].rise)
        figures["restored"] = _figures(run, lambda held: held[Variant.of(_INT8)].divergence - held[restored].divergence)
        if next(iter(run.measured.values()))[alone].detections:
            figures["ap"] = _drops(run, Variant.of(_FP32), alone)
            figures["ap_restored"] = _drops(run, restored, Variant.of(_INT8))
    estimate = float(np.mean([_mean(by[_INT8][group.name]) for by in run.screened.values()]))
    return GroupFigures(
        group.name, group.block, group.layers, group.macs, group.parameters, measured, estimate, figures
    )


def _divergence_of(variant: Variant) -> Values:
    return lambda held: held[variant].divergence


def _figures(run: _Sweep, values: Values) -> Figures:
    return {name: _intervals(values(run.measured[name]), pool) for name, pool in run.study.pools.items()}


def _intervals(values: NDArray[np.float64], pool: Pool) -> dict[str, Interval]:
    draws = scene_draws(pool.scenes())
    return {name: scene_interval(values, draws, mask) for name, mask in pool.categories().items()}


def _estimated(run: _Sweep, group: str, precision: Precision, leaders: Sequence[str]) -> Figures:
    """Return the screen's figures, scaled by the measured figures of the leaders."""
    found = {}
    for name, pool in run.study.pools.items():
        ratios = [
            _mean(run.measured[name][_enabled(leader, precision)].divergence)
            / max(_mean(run.screened[name][precision][leader]), 1e-30)
            for leader in leaders
        ]
        scale = float(np.median(ratios)) if ratios else 1.0
        found[name] = _intervals(scale * run.screened[name][precision][group], pool)
    return found


def _drops(run: _Sweep, parent: Variant, candidate: Variant) -> Figures:
    found = {}
    for name, pool in run.study.pools.items():
        if not isinstance(pool, CapturePool):
            continue
        held = run.measured[name]
        before, after = (evaluation_of(pool, held[variant], "variant") for variant in (parent, candidate))
        found[name] = ap_drop(before, after)
    return found


def _screened_and_measured(run: _Sweep) -> tuple[list[float], list[float]]:
    screened, measured = [], []
    for name, held in run.measured.items():
        for group in run.groups:
            variant = _enabled(group.name, _INT8)
            if variant in held:
                screened.append(_mean(run.screened[name][_INT8][group.name]))
                measured.append(_mean(held[variant].divergence))
    return screened, measured


def rank_correlation(first: Iterable[float], second: Iterable[float]) -> float | None:
    """Return Spearman's rank correlation; None for fewer than three pairs."""
    from scipy.stats import spearmanr

    a, b = list(first), list(second)
    return float(spearmanr(a, b).statistic) if len(a) >= 3 else None


def _shares(run: _Sweep) -> Shares | None:
    if not run.settings.share_frames:
        return None
    name, pool = next(iter(run.study.pools.items()))
    frames = _spread(pool, run.settings.share_frames)
    return shapley_shares(
        run.study, run.groups, name, frames, run.executor, seed=run.settings.seed,
        progress=run.tell(f"attributing the loss to blocks on {name}"),
    )  # fmt: skip


def _enabled(group: str, precision: Precision) -> Variant:
    return Variant.of(_FP32, {group: precision})


def _restored(group: str) -> Variant:
    return Variant.of(_INT8, {group: _FP32})


def _spread(pool: Pool, count: int) -> list[int]:
    positions: list[int] = np.unique(np.linspace(0, len(pool) - 1, min(count, len(pool))).astype(int)).tolist()
    return positions


def _laid_out(values: NDArray[np.float64], frames: Sequence[int], pool: Pool) -> NDArray[np.float64]:
    found = np.full(len(pool), np.nan)
    found[np.asarray(frames)] = values
    return found


def _by_category(values: NDArray[np.float64], pool: Pool) -> dict[str, float]:
    return {n: _mean(values[mask]) for n, mask in pool.categories().items() if np.isfinite(values[mask]).any()}


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values))
