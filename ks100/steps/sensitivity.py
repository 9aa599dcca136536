"""Measuring and drawing sensitivity maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ks100.errors import UsageError
from ks100.steps.captures import load_captures
from ks100.steps.costs import graph_of
from models.progress import Progress, counted

if TYPE_CHECKING:
    from hil.report.figures import Figure
    from models.captures import CaptureSet
    from models.quant.feeds import Sample
    from models.quant.ranges import Ranges
    from models.sensitivity.map import SensitivityMap
    from models.sensitivity.study import Study
    from models.sensitivity.sweep import SweepSettings
    from models.sensitivity.tasks import Executor

__all__ = [
    "STUDY_FRAMES", "STUDY_POOLS", "StudyFiles", "draw_map", "load_study", "map_figures", "map_network", "measure_map",
]  # fmt: skip

STUDY_POOLS = ("validation", "hard-dev")
"""The pipeline's pools for measuring a map and for trials of plans."""
STUDY_FRAMES = 60
_LEADERS = 6

_CALIBRATION_LIMIT = 64


@dataclass(frozen=True, slots=True)
class StudyFiles:
    """Inputs of a map.

    Attributes:
        network: a float graph, or the folder of a trained network.
        captures: folder of pools, or of samples (``.npz`` files with one array per input) for other graphs.
        pools: names of the pools to measure on; samples form one pool.
        calibration: captures for the ranges; if None the pool ``calibration``, or the samples.
        ranges: a file of ranges instead of captures.
        limit: number of captures of each pool, spread over it; all if None.
        blocks: (block, glob of layer names) rules of the user.
    """

    network: Path
    captures: Path
    pools: tuple[str, ...]
    calibration: Path | None = None
    ranges: Path | None = None
    limit: int | None = None
    blocks: tuple[tuple[str, str], ...] = ()


def load_study(files: StudyFiles, progress: Progress) -> Study:
    """Read the graph and pools, and measure the ranges unless given.

    Raises:
        UsageError: a file or a pool is missing.
        DataError: a pool is invalid.
    """
    from models.quant.sample_files import holds_samples, read_samples
    from models.sensitivity.study import Study

    graph = graph_of(files.network)
    pools: dict[str, CaptureSet | Sequence[Sample]] = {}
    if holds_samples(files.captures):
        pools[files.captures.name] = _some(read_samples(files.captures), files.limit)
    else:
        pools = {name: _limited(_pool(files, name), files.limit) for name in files.pools}
    return Study.of(graph, _ranges(files, graph, progress), pools, files.blocks)


def measure_map(study: Study, executor: Executor, settings: SweepSettings, progress: Progress) -> SensitivityMap:
    """Measure the map of a study."""
    from models.sensitivity.sweep import sweep

    return sweep(study, executor, settings, progress)


def map_network(network: Path, captures: Path, out: Path, progress: Progress) -> None:
    """Measure and write the sensitivity map of ``network`` for the pipeline."""
    study = load_study(StudyFiles(network, captures, STUDY_POOLS, limit=STUDY_FRAMES), progress)
    from models.sensitivity.sweep import SweepSettings
    from models.sensitivity.tasks import LocalExecutor

    measure_map(study, LocalExecutor(), SweepSettings(leaders=_LEADERS, accuracy=False), progress).save(out)


def draw_map(found: SensitivityMap, top: int, path: Path) -> None:
    """Write the map's charts to an HTML page."""
    from hil.report.figures import write_figures

    lead = ", ".join(f"{name}: {count} frames" for name, count in found.frames.items())
    write_figures(path, "Sensitivity to quantization", lead, map_figures(found, top))


def map_figures(found: SensitivityMap, top: int) -> list[Figure]:
    """Return the map's charts: the ``top`` groups by condition, the cumulative loss, and the blocks' shares."""
    from hil.report.charts.sensitivity import cumulative_chart, heat_map, shares_chart
    from hil.report.figures import Figure

    figures = [
        Figure(
            "Divergence by group and condition",
            "Divergence from the float network with only one group in INT8. The shade is the group's fraction of its"
            " column; groups marked ~ were screened, not measured.",
            heat_map(found, top),
        ),
        Figure("Cumulative divergence", "Fraction of the summed divergence.", cumulative_chart(found)),
    ]
    if found.shares is not None:
        caption = (
            f"Shapley shares over {found.shares.permutations} orders on {found.shares.frames} frames of"
            f" {found.shares.pool}: they sum to 100 %, unlike the figures of single groups."
        )
        figures.append(Figure("Shares of blocks", caption, shares_chart(found.shares)))
    return figures


def _pool(files: StudyFiles, name: str) -> CaptureSet:
    folder = files.captures / name
    if not folder.is_dir():
        raise UsageError(f"{files.captures} has no pool {name!r}; name others with --pool, or generate it")
    return load_captures(folder, "sensitivity map")[0].labelled


def _limited(captures: CaptureSet, limit: int | None) -> CaptureSet:
    if limit is None or limit >= len(captures):
        return captures
    step = len(captures) / limit
    return captures.subset([int(index * step) for index in range(limit)])


def _some(samples: Sequence[Sample], limit: int | None) -> Sequence[Sample]:
    if limit is None or limit >= len(samples):
        return samples
    return [samples[int(index * len(samples) / limit)] for index in range(limit)]


def _ranges(files: StudyFiles, graph: bytes, progress: Progress) -> Ranges:
    from models.quant.calibrate import CalibrationMethod, calibrate
    from models.quant.ranges import Ranges
    from models.quant.sample_files import holds_samples, read_samples

    if files.ranges is not None:
        return Ranges.load(files.ranges)
    folder = files.calibration or (files.captures if holds_samples(files.captures) else files.captures / "calibration")
    if not folder.is_dir():
        raise UsageError(f"{folder} does not exist; give --calibration or --ranges")
    data: CaptureSet | Sequence[Sample]
    if holds_samples(folder):
        data = _some(read_samples(folder), _CALIBRATION_LIMIT)
    else:
        data = _limited(load_captures(folder, "ranges of a sensitivity map")[0], _CALIBRATION_LIMIT)
    return calibrate(
        graph,
        data,
        CalibrationMethod.MSE,
        counted(progress, "calibrating {done}/{total}"),
    )
