"""Planning precisions from a sensitivity map, trials of the best plans as real graphs, and the Pareto front."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ks100.errors import UsageError
from ks100.steps.sensitivity import STUDY_FRAMES, STUDY_POOLS, StudyFiles, load_study
from models.progress import Progress, counted
from models.records import plain, structured, write_plain

if TYPE_CHECKING:
    from firmware_bridge.device.profile import BoardProfile
    from hil.report.figures import Figure
    from models.planning.choose import PlannedChoice
    from models.planning.loss_table import PairTerm
    from models.planning.milp import Budget, PrecisionMilp
    from models.planning.trial import Trial
    from models.sensitivity.map import SensitivityMap
    from models.sensitivity.study import Study
    from models.sensitivity.tasks import Executor

__all__ = ["choose_plan", "draw_front", "front_figure", "measured_pairs", "program_of", "read_front", "tried"]

_TRIES = 2


def choose_plan(
    network: Path,
    captures: Path,
    map_file: Path,
    profile_file: Path,
    headroom: float | None,
    out: Path,
    front: Path,
    progress: Progress,
) -> None:
    """Choose the plan with the minimum loss in the worst condition, and write it with the Pareto front.

    Args:
        network: the float graph.
        captures: folder of pools.
        map_file: the network's sensitivity map.
        profile_file: the board's profile, TOML.
        headroom: power of the network above idle, as a multiple of that in INT8; None for that of the board's
            published network. The board's budget applies as well.
        out: the plan to write.
        front: the Pareto front to write, JSON.
        progress: progress callback.
    """
    study = load_study(StudyFiles(network, captures, STUDY_POOLS, limit=STUDY_FRAMES), progress)
    from firmware_bridge.device.profile import BoardProfile
    from models.planning.choose import best, cheaper_greedy
    from models.planning.choose import front as pareto
    from models.sensitivity.map import SensitivityMap

    profile = BoardProfile.load(str(profile_file))
    program = program_of(network.read_bytes(), SensitivityMap.load(map_file), profile, profile.runtime)
    budget = _budget(program, headroom or profile.published_headroom)
    choices = best(program, budget, _TRIES)
    position, _ = tried(study, choices, profile.runtime, progress)
    figure = front_figure(program, pareto(program, budget), choices[position], cheaper_greedy(program, budget), budget)
    choices[position].plan.save(out)
    write_plain(front, plain(figure))


def read_front(front: Path) -> Figure:
    """Return the Pareto front written by `choose_plan`."""
    from hil.report.figures import Figure

    return structured(Figure, json.loads(front.read_text(encoding="utf-8")))


def _budget(program: PrecisionMilp, headroom: float | None) -> Budget:
    """Return the board's frame period and power budget, limited further by ``headroom`` over INT8."""
    from models.planning.milp import Budget
    from models.quant.plan import Precision

    profile = program.costs.profile
    rate_hz, watts, idle_w = profile.frame_rate_hz, profile.budget_mw / 1e3, profile.idle_mw / 1e3
    if headroom is not None:
        int8_w = program.costs.of_plan([Precision.INT8] * len(program.costs.groups)).watts(rate_hz)
        watts = min(watts, idle_w + headroom * (int8_w - idle_w))
    return Budget(1e3 / rate_hz, watts, rate_hz)


def program_of(
    float_tflite: bytes,
    found: SensitivityMap,
    profile: BoardProfile,
    runtime: str,
    pairs: Sequence[PairTerm] = (),
    *,
    allow_float: bool = False,
) -> PrecisionMilp:
    """Return the integer program of a graph, its map and a board.

    Raises:
        UsageError: the map is of another graph.
    """
    import hashlib

    from firmware_bridge.device.graph import Graph
    from models.planning.cost_table import CostTable
    from models.planning.loss_table import LossTable
    from models.planning.milp import PrecisionMilp
    from models.quant.fitting import fit_for_quantizing

    if hashlib.sha256(float_tflite).hexdigest() != found.model:
        raise UsageError("the sensitivity map is of another graph than NETWORK; measure it again for this one")
    costs = CostTable.of(Graph.parse(fit_for_quantizing(float_tflite)), profile, runtime, allow_float=allow_float)
    return PrecisionMilp(costs, LossTable.of(found, pairs))


def measured_pairs(
    study: Study, found: SensitivityMap, executor: Executor, progress: Progress, batch: int
) -> tuple[PairTerm, ...]:
    """Measure the pair terms of the most sensitive groups.

    Raises:
        UsageError: the map was measured on another study.
    """
    from models.planning.loss_table import measure_pairs

    if study.ranges.digest != found.ranges or {n: p.digest for n, p in study.pools.items()} != dict(found.pools):
        raise UsageError("the map was measured on other captures or ranges; give the same options")
    return measure_pairs(study, found, executor, batch=batch, progress=counted(progress, "measuring pairs"))


def tried(
    study: Study, choices: Sequence[PlannedChoice], runtime: str, progress: Progress
) -> tuple[int, tuple[Trial, ...]]:
    """Export and measure choices, and all INT8 for comparison, on the last pool of the study.

    Returns:
        The position of the best choice, and the trials: one per choice, the last one for all INT8.
    """
    from models.planning.trial import chosen_of, try_plan
    from models.quant.plan import STANDARD_PLANS

    pool, trials = list(study.pools)[-1], []
    plans = [*(choice.plan for choice in choices), STANDARD_PLANS["int8"]]
    for number, plan in enumerate(plans):
        part = counted(progress, f"{plan.name} on {pool}", number / len(plans), 1 / len(plans))
        trials.append(try_plan(study, pool, plan, runtime, part))
    return chosen_of(trials[:-1]), tuple(trials)


def draw_front(
    program: PrecisionMilp, points: Sequence[PlannedChoice], chosen: PlannedChoice, greedy: PlannedChoice,
    budget: Budget, path: Path,
) -> None:  # fmt: skip
    """Write the Pareto front to an HTML page."""
    from hil.report.figures import write_figures

    figure = front_figure(program, points, chosen, greedy, budget)
    write_figures(path, "Precision plan", program.costs.profile.description, [figure])


def front_figure(
    program: PrecisionMilp,
    points: Sequence[PlannedChoice],
    chosen: PlannedChoice,
    greedy: PlannedChoice,
    budget: Budget,
) -> Figure:
    """Return the Pareto front with the choice marked."""
    from hil.report.charts.pareto import ParetoPoint, pareto_chart
    from hil.report.figures import Figure
    from models.quant.plan import Precision

    whole = program.losses.worst([Precision.INT8] * len(program.costs.groups), upper=False) or 1.0

    def point(choice: PlannedChoice, name: str, *, best: bool = False) -> ParetoPoint:
        return ParetoPoint(name, choice.watts, choice.loss / whole, choice.upper / whole, best)

    chart = pareto_chart(
        [point(choice, choice.plan.name) for choice in points],
        [point(chosen, "chosen", best=True), point(greedy, "greedy order")],
        budget.watts,
    )
    caption = (
        "Predicted divergence in the worst condition relative to all INT8; bars reach to the minimised upper bound."
        " Power is modelled."
    )
    return Figure("Pareto front", caption, chart)
