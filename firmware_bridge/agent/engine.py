"""The seam between the agent and what executes a model: it takes verified packages and nothing else.

On a board it is the inference runtime. A virtual board puts one in its place that also models the NPU's time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from firmware_bridge.agent.faults import EngineError, UsageError
from firmware_bridge.errors import BoardError, InputError
from firmware_bridge.package.trust import VerifiedPackage
from firmware_bridge.protocol.messages import RuntimeInfo
from firmware_bridge.target.graph import Graph
from firmware_bridge.target.runtime import Kernels, Runtime, Session

__all__ = ["Engine", "LoadedModel", "RuntimeEngine", "load_session", "run_session"]


class LoadedModel(Protocol):
    """A model that is ready to run."""

    @property
    def graph(self) -> Graph:
        """Its graph."""
        ...

    @property
    def npu_ops(self) -> int:
        """How many operations the NPU runs."""
        ...

    @property
    def cpu_ops(self) -> int:
        """How many operations fall to the CPU."""
        ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one inference; arguments and result as for `firmware_bridge.target.runtime.Session.run`.

        Raises:
            UsageError: the inputs are not those of the graph.
            EngineError: the runtime failed.
        """
        ...


class Engine(Protocol):
    """What executes models."""

    def info(self) -> RuntimeInfo:
        """Return the runtime's name, version and operations."""
        ...

    def load(self, package: VerifiedPackage, kernels: Kernels) -> LoadedModel:
        """Prepare the very bytes of a verified package.

        Raises:
            EngineError: the runtime cannot prepare them.
        """
        ...


class RuntimeEngine:
    """The inference runtime alone: every operation runs on the CPU, and it says so."""

    def __init__(self, runtime: Runtime) -> None:
        """Use ``runtime``."""
        self._runtime = runtime

    def info(self) -> RuntimeInfo:
        """See `Engine.info`."""
        return self._runtime.info()

    def load(self, package: VerifiedPackage, kernels: Kernels) -> LoadedModel:
        """See `Engine.load`."""
        return _CpuModel(load_session(self._runtime, package, kernels))


class _CpuModel:
    npu_ops = 0

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def graph(self) -> Graph:
        return self._session.graph

    @property
    def cpu_ops(self) -> int:
        return len(self._session.graph.ops)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return run_session(self._session, inputs)


def load_session(runtime: Runtime, package: VerifiedPackage, kernels: Kernels) -> Session:
    """Load a verified package's bytes into a runtime.

    Raises:
        EngineError: the runtime cannot prepare them.
    """
    try:
        return runtime.load(package.payload, kernels)
    except InputError as error:
        raise EngineError(str(error)) from error


def run_session(session: Session, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run one inference; errors as for `LoadedModel.run`."""
    try:
        return session.run(inputs)
    except InputError as error:
        raise UsageError(str(error)) from error
    except BoardError as error:
        raise EngineError(str(error)) from error
