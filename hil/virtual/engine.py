"""An emulated board's engine: the real runtime gives the numbers, the cost model gives time and energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from firmware_bridge.agent.inference.engine import LoadedModel, load_session, run_session
from firmware_bridge.device.cost import GraphCost, cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.device.runtime import Kernels, Runtime, Session
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.package.trust import VerifiedPackage
from hil.virtual.clock import ModelledClock
from hil.virtual.noise import BoardNoise
from hil.virtual.power import ModelledPower

__all__ = ["ModelledEngine", "ModelledModel"]


class ModelledEngine:
    """A `firmware_bridge.agent.inference.engine.Engine` with a modelled NPU."""

    def __init__(
        self, runtime: Runtime, profile: BoardProfile, clock: ModelledClock, power: ModelledPower, noise: BoardNoise
    ) -> None:
        """Run on ``runtime``; time goes by on ``clock`` and energy into ``power`` as ``profile`` and ``noise`` say."""
        self._runtime = runtime
        self._profile = profile
        self._clock = clock
        self._power = power
        self._noise = noise

    def info(self) -> RuntimeInfo:
        """See `Engine.info`."""
        return self._runtime.info()

    def load(self, package: VerifiedPackage, kernels: Kernels) -> LoadedModel:
        """See `Engine.load`."""
        session = load_session(self._runtime, package, kernels)
        if kernels is Kernels.OPTIMISED:
            self._noise.begin_run()
        return ModelledModel(session, cost(session.graph, self._profile), self._clock, self._power, self._noise)


class ModelledModel:
    """A `firmware_bridge.agent.inference.engine.LoadedModel`: numbers from a session, time and energy from its cost."""

    def __init__(
        self, session: Session, modelled: GraphCost, clock: ModelledClock, power: ModelledPower, noise: BoardNoise
    ) -> None:
        """Run ``session``; time goes by on ``clock`` and energy into ``power``."""
        self._session = session
        self._cost = modelled
        self._clock = clock
        self._power = power
        self._noise = noise

    @property
    def graph(self) -> Graph:
        """See `LoadedModel.graph`."""
        return self._session.graph

    @property
    def npu_ops(self) -> int:
        """See `LoadedModel.npu_ops`."""
        return self._cost.npu_ops

    @property
    def cpu_ops(self) -> int:
        """See `LoadedModel.cpu_ops`."""
        return self._cost.cpu_ops

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See `LoadedModel.run`."""
        seconds = self._cost.latency_ms / 1e3 * self._noise.frame()
        with self._clock.modelled(seconds):
            outputs = run_session(self._session, inputs)
            self._power.busy(self._clock.now_s(), seconds, self._cost.energy_mj)
        return outputs
