"""The model that the board runs: loaded from its slot, verified anew for every load, one session for each kernel set.

Owns what is in memory; `firmware_bridge.agent.service` decides which slot it comes from.
"""

from __future__ import annotations

from collections.abc import Callable

from firmware_bridge.agent.errors import EngineError, StateError, UsageError
from firmware_bridge.agent.inference.engine import Engine, LoadedModel
from firmware_bridge.agent.inference.tensors import zero_inputs
from firmware_bridge.device.runtime import Kernels
from firmware_bridge.errors import RejectedError
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.trust import VerifiedPackage

__all__ = ["RunningModel", "try_out"]


class RunningModel:
    """The sessions of one slot."""

    def __init__(self, engine: Engine, load: Callable[[str], VerifiedPackage]) -> None:
        """Use ``engine``; ``load`` reads a slot and returns its package only if every rule accepts it."""
        self._engine = engine
        self._load = load
        self._models: dict[Kernels, LoadedModel] = {}
        self.slot = ""

    def start(self, slot: str, package: VerifiedPackage) -> LoadedModel:
        """Make ``package``, as it was just read from ``slot``, the one that runs.

        Raises:
            EngineError: the runtime cannot prepare it; what ran before still runs.
        """
        model = self._engine.load(package, Kernels.OPTIMISED)
        self.slot, self._models = slot, {Kernels.OPTIMISED: model}
        return model

    def stop(self) -> None:
        """Run nothing."""
        self.slot, self._models = "", {}

    def model(self, kernels: str) -> LoadedModel:
        """Return the session with these kernels, ``optimised`` or ``reference``.

        Raises:
            StateError: nothing runs.
            UsageError: unknown kernels.
            RejectedError: the slot had to be read again, and a rule refuses what is there now.
        """
        try:
            which = Kernels(kernels)
        except ValueError as error:
            known = ", ".join(kind.value for kind in Kernels)
            raise UsageError(f"kernels must be one of {known}, not {kernels[:40]!r}") from error
        if not self.slot:
            raise StateError("no model is active; push a package and activate its slot first")
        if which not in self._models:
            self._models[which] = self._engine.load(self._load(self.slot), which)
        return self._models[which]


def try_out(package: VerifiedPackage, model: LoadedModel) -> None:
    """Run a model once, on zero inputs, and check what can be checked without knowing the right answer.

    Raises:
        RejectedError: TRIAL, it does not run, gives numbers that are none, or the NPU takes less of it than planned.
    """
    import numpy as np  # the model that runs needs it too; receiving one does not

    planned = package.manifest.npu_ops
    if model.npu_ops < planned:
        raise RejectedError(
            RejectReason.TRIAL, f"the NPU runs {model.npu_ops} operations, the package expects {planned}"
        )
    try:
        outputs = model.run(zero_inputs(model.graph))
    except (EngineError, UsageError) as error:
        raise RejectedError(RejectReason.TRIAL, str(error)) from error
    for name, value in outputs.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise RejectedError(RejectReason.TRIAL, f"output {name} has non-finite values")
