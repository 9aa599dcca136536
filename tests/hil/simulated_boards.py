"""Emulated boards without a process or an interpreter: the real noise, clock, power model, paced loop and comparison.

Left out are the numbers of inference (a leg's latency and energy are given), agent, links and hwmon files. The rails'
sensors have a new value every 20 ms, not every 2, and legs are short: fewer samples, and a little more noise.
"""

from __future__ import annotations

from typing import Any

from firmware_bridge.agent.inference.paced_run import Pace, run_paced
from firmware_bridge.device.cost import GraphCost
from firmware_bridge.device.profile import BoardProfile
from hil.comparison.blocks import Block, LegFigure, is_decided, judge_blocks
from hil.comparison.changes import Comparison
from hil.comparison.legs import leg_figures
from hil.comparison.policy import ComparisonPolicy
from hil.virtual.clock import ModelledClock
from hil.virtual.engine import ModelledModel
from hil.virtual.noise import BoardNoise
from hil.virtual.power import ModelledPower

__all__ = ["Load", "SimulatedBoard", "compared"]

Load = tuple[float, float]
"""Latency (ms) and energy (mJ) of one inference."""

_PERIOD_S = 0.02
_PROFILE = BoardProfile.load("ks100")
_FRAMES, _WARMUP, _IDLE_S = 70, 2, 0.5


class _Session:
    graph: Any = None

    def run(self, _: Any) -> dict[str, Any]:
        return {}


class _Register:
    def __init__(self, label: str) -> None:
        self.label = label
        self.mw = 0.0

    def write(self, power_mw: float) -> None:
        self.mw = power_mw


class _Rails:
    period_s = _PERIOD_S

    def __init__(self, registers: list[_Register]) -> None:
        self._registers = registers
        self.labels = tuple(register.label for register in registers)

    def read_mw(self) -> tuple[float, ...]:
        return tuple(register.mw for register in self._registers)


class SimulatedBoard:
    """One board; its noise is that of its seed."""

    def __init__(self, seed: int) -> None:
        self._clock = ModelledClock(lambda: 0.0)
        self._noise = BoardNoise(_PROFILE.noise, "SIMULATED", seed=seed)
        registers = [_Register(rail.label) for rail in _PROFILE.rails]
        self._rails = _Rails(registers)
        sensors = [self._noise.on(register) for register in registers]
        self._power = ModelledPower(sensors, _PROFILE, self._clock, _PERIOD_S)

    def leg(self, load: Load) -> dict[str, LegFigure]:
        """Activate a model of this load, run it, and return its figures."""
        self._noise.begin_run()
        model = ModelledModel(_Session(), GraphCost(*load, _PROFILE.idle_mw, ()), self._clock, self._power, self._noise)
        pace = Pace(_FRAMES, _WARMUP, _PROFILE.frame_rate_hz, _IDLE_S)
        return leg_figures(run_paced(model, {}, pace, self._clock, self._rails), _PROFILE)


def compared(
    seed: int, before: Load, after: Load, most: int, policy: ComparisonPolicy | None = None
) -> tuple[tuple[Comparison, ...], list[Block]]:
    """Compare two models in turns on one board, as `hil.comparison.interleaved` does."""
    board, blocks = SimulatedBoard(seed), list[Block]()
    rows: tuple[Comparison, ...] = ()
    while len(blocks) < most and not (len(blocks) > 1 and is_decided(rows)):
        candidate_first = len(blocks) % 2 == 1
        loads = (after, before) if candidate_first else (before, after)
        legs = [board.leg(load) for load in loads]
        blocks.append(Block(legs[candidate_first], legs[not candidate_first], candidate_first))
        rows = judge_blocks(blocks, policy or ComparisonPolicy())
    return rows, blocks
