"""The pipeline's choice of precisions: a sensitivity map of the float network, and the best plan within its budget."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from hil.report.figures import Figure
from ks100.run_folder import Progress
from ks100.steps.planning import front_figure, program_of, tried
from ks100.steps.sensitivity import StudyFiles, load_study, map_figures, measure_map
from models.sensitivity.map import SensitivityMap

__all__ = ["choose_plan", "chosen_figures", "map_network"]

_POOLS = ("validation", "hard-dev")
_FRAMES, _LEADERS, _TRIES = 60, 6, 2
_TOP = 20


def map_network(network: Path, captures: Path, out: Path, progress: Progress) -> None:
    """Measure what INT8 costs each group of layers of ``network``, and write the map."""
    study = load_study(StudyFiles(network, captures, _POOLS, limit=_FRAMES), progress)
    from models.sensitivity.sweep import SweepSettings
    from models.sensitivity.tasks import LocalExecutor

    settings = SweepSettings(leaders=_LEADERS, accuracy=False)
    measure_map(study, LocalExecutor(), settings, progress).save(out)


def choose_plan(
    network: Path, captures: Path, map_file: Path, headroom: float, out: Path, front: Path, progress: Progress
) -> None:
    """Choose the plan with the least loss in the worst condition, and write it with its Pareto front.

    Args:
        network: the float graph.
        captures: folder of pools.
        map_file: the network's sensitivity map.
        headroom: what the network may draw above the board's idle power, as a multiple of what it draws all in INT8;
            the board's budget holds as well.
        out: the plan to write.
        front: the picture to write, JSON.
        progress: told of the trials.
    """
    study = load_study(StudyFiles(network, captures, _POOLS, limit=_FRAMES), progress)
    from firmware_bridge.device.profile import BoardProfile
    from models.planning.choose import best, cheaper_greedy
    from models.planning.choose import front as pareto
    from models.planning.milp import Budget
    from models.quant.plan import Precision

    profile = BoardProfile.load("ks100")
    program = program_of(network.read_bytes(), SensitivityMap.load(map_file), "ks100", "litert")
    rate_hz, idle_w = profile.frame_rate_hz, profile.idle_mw / 1e3
    int8_w = program.costs.of_plan([Precision.INT8] * len(program.costs.groups)).watts(rate_hz)
    watts = min(profile.budget_mw / 1e3, idle_w + headroom * (int8_w - idle_w))
    budget = Budget(1e3 / rate_hz, watts, rate_hz)
    choices = best(program, budget, _TRIES)
    position, _ = tried(study, choices, "litert", progress)
    figure = front_figure(program, pareto(program, budget), choices[position], cheaper_greedy(program, budget), budget)
    choices[position].plan.save(out)
    front.write_text(json.dumps(asdict(figure)) + "\n")


def chosen_figures(map_file: Path, front: Path) -> tuple[Figure, ...]:
    """Return the pictures of a choice for the report."""
    return (*map_figures(SensitivityMap.load(map_file), _TOP), Figure(**json.loads(front.read_text())))
