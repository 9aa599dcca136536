"""The seam between the agent and what executes a model: it takes verified packages and nothing else.

On a board it is the inference runtime, with the external delegate of the NPU's vendor. A virtual board puts one in its
place that also models the NPU's time.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from firmware_bridge.agent.errors import EngineError, UsageError
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import Kernels, PlacedSession, Runtime, Session
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import BenchError, BoardError, InputError
from firmware_bridge.package.trust import VerifiedPackage

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Engine", "LoadedModel", "RuntimeEngine", "load_session", "run_session"]

_log = logging.getLogger(__name__)


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
        """Run one inference; arguments and result as for `firmware_bridge.device.runtime.Session.run`.

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
    """The inference runtime: every operation that its external delegate does not take runs on the CPU."""

    def __init__(self, runtime: Runtime, delegate: str = "") -> None:
        """Use ``runtime``; ``delegate`` names the external delegate that it was made with, if there is one."""
        self._runtime = runtime
        self._delegate = delegate

    def info(self) -> RuntimeInfo:
        """See `Engine.info`."""
        return self._runtime.info()

    def load(self, package: VerifiedPackage, kernels: Kernels) -> LoadedModel:
        """See `Engine.load`; with a delegate that takes fewer operations than the package expects, it fails."""
        model = _SessionModel(load_session(self._runtime, package, kernels))
        if self._delegate and kernels is Kernels.OPTIMISED:
            self._check_placement(model, package.manifest.npu_ops)
        return model

    def _check_placement(self, model: _SessionModel, planned: int) -> None:
        """Write down which operations the delegate took; refuse fewer than planned, on every load."""
        taken, left = model.placement()
        text = f"the delegate {self._delegate} took {model.npu_ops} of {model.npu_ops + model.cpu_ops} operations"
        _log.info("%s: %s; left to the CPU: %s", text, taken, left)
        if model.npu_ops < planned:
            raise EngineError(f"{text}, the package expects {planned} on the NPU; these run on the CPU: {left}")


class _SessionModel:
    def __init__(self, session: PlacedSession) -> None:
        self._session = session

    @property
    def graph(self) -> Graph:
        return self._session.graph

    @property
    def npu_ops(self) -> int:
        return len(self._session.delegated_ops)

    @property
    def cpu_ops(self) -> int:
        return len(self._session.graph.ops) - self.npu_ops

    def placement(self) -> tuple[str, str]:
        """Return the kinds of operations on the NPU and on the CPU, each with how many there are."""
        taken = set(self._session.delegated_ops)
        npu = _kinds(op.type for op in self.graph.ops if op.index in taken)
        return npu, _kinds(op.type for op in self.graph.ops if op.index not in taken)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return run_session(self._session, inputs)


def _kinds(types: Iterable[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(types).items()) or "none"


def load_session(runtime: Runtime, package: VerifiedPackage, kernels: Kernels) -> PlacedSession:
    """Load a verified package's bytes into a runtime.

    Raises:
        EngineError: the runtime cannot prepare them.
    """
    try:
        return runtime.load(package.payload, kernels)
    except (InputError, BenchError) as error:
        raise EngineError(str(error)) from error


def run_session(session: Session, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run one inference; errors as for `LoadedModel.run`."""
    try:
        return session.run(inputs)
    except InputError as error:
        raise UsageError(str(error)) from error
    except BoardError as error:
        raise EngineError(str(error)) from error
