"""The seam to the inference runtimes: one interface, LiteRT and tflite-runtime behind it.

Owns: loading a graph, running it by signature name, and what a runtime can run (data in ``runtimes/*.toml``).
A vendor's exceptions end here.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from firmware_bridge.device.delegate import delegated_ops, load_external
from firmware_bridge.device.graph import Graph, GraphTensor
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import BenchError, BoardError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Kernels",
    "LiteRt",
    "PlacedSession",
    "Runtime",
    "Session",
    "TfliteRuntime",
    "available",
    "default_runtime",
    "import_runtime",
    "missing_ops",
    "op_table",
]


class Kernels(Enum):
    """Which implementations of the operations run."""

    REFERENCE = "reference"
    """Plain loops; the two runtimes agree bit for bit in them."""
    OPTIMISED = "optimised"
    """The fastest of the machine; INT8 may differ by a few steps."""


class Session(Protocol):
    """A loaded graph. Not to be shared between threads."""

    @property
    def graph(self) -> Graph:
        """The graph that it runs."""
        ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one inference.

        Args:
            inputs: each input by signature name, of exactly the graph's dtype and shape.

        Returns:
            Each output by signature name, of the graph's dtype and shape; the arrays are the caller's.

        Raises:
            InputError: an input is missing, unknown, or of another dtype or shape.
            BoardError: the runtime failed.
        """
        ...


class PlacedSession(Session, Protocol):
    """A session that knows where its operations run."""

    @property
    def delegated_ops(self) -> tuple[int, ...]:
        """Indices of the operations that an external delegate runs, sorted."""
        ...


class Runtime(Protocol):
    """An inference runtime."""

    def info(self) -> RuntimeInfo:
        """Return its name, its version and the (op, dtype) pairs that it runs."""
        ...

    def load(self, model: bytes, kernels: Kernels = Kernels.OPTIMISED) -> PlacedSession:
        """Load a graph; the session runs these very bytes.

        Raises:
            InputError: the bytes are not a graph, or the runtime cannot prepare it.
        """
        ...


class LiteRt:
    """LiteRT (``ai-edge-litert``), the maintained runtime."""

    name = "litert"

    def __init__(self, delegate: Path | None = None) -> None:
        """Find the runtime; ``delegate`` is the library of an NPU, see `default_runtime`.

        Raises:
            BenchError: it is not installed.
        """
        self._interpreter = import_runtime("ai_edge_litert.interpreter", "ai-edge-litert", "board")
        self._delegate = delegate

    def info(self) -> RuntimeInfo:
        """See `Runtime.info`."""
        return RuntimeInfo(self.name, metadata.version("ai-edge-litert"), op_table(self.name))

    def load(self, model: bytes, kernels: Kernels = Kernels.OPTIMISED) -> PlacedSession:
        """See `Runtime.load`."""
        return _TfliteSession(self._interpreter, self.name, model, kernels, self._delegate)


class TfliteRuntime:
    """tflite-runtime 2.14, LiteRT's predecessor, for boards that ship it."""

    name = "tflite-runtime"

    def __init__(self, delegate: Path | None = None) -> None:
        """Find the runtime; ``delegate`` is the library of an NPU, see `default_runtime`.

        Raises:
            BenchError: it is not installed, or TensorFlow is in this process: its symbols would silently take the
                place of the runtime's own, and run other kernels.
        """
        if "tensorflow" in sys.modules and "tflite_runtime.interpreter" not in sys.modules:
            raise BenchError("tflite-runtime cannot run in a process that has TensorFlow; start one without it")
        self._interpreter = import_runtime("tflite_runtime.interpreter", "tflite-runtime", "board-tflite")
        self._delegate = delegate

    def info(self) -> RuntimeInfo:
        """See `Runtime.info`."""
        return RuntimeInfo(self.name, metadata.version("tflite-runtime"), op_table(self.name))

    def load(self, model: bytes, kernels: Kernels = Kernels.OPTIMISED) -> PlacedSession:
        """See `Runtime.load`."""
        return _TfliteSession(self._interpreter, self.name, model, kernels, self._delegate)


_RUNTIMES: dict[str, Callable[[Path | None], Runtime]] = {LiteRt.name: LiteRt, TfliteRuntime.name: TfliteRuntime}


def available(delegate: Path | None = None) -> tuple[Runtime, ...]:
    """Return the runtimes that can run in this process, the preferred one first; ``delegate`` as `default_runtime`."""
    found = []
    for make in _RUNTIMES.values():
        try:
            found.append(make(delegate))
        except BenchError:
            continue
    return tuple(found)


def default_runtime(name: str | None = None, delegate: Path | None = None) -> Runtime:
    """Return the runtime called ``name``, or the first available one.

    Args:
        name: ``litert`` or ``tflite-runtime``.
        delegate: library of an external delegate, which takes what it can of graphs that are loaded with optimised
            kernels; the rest then runs on the runtime's own kernels, so that no other delegate counts as the NPU.

    Raises:
        InputError: no runtime has this name.
        BenchError: it is not installed, or none is.
    """
    if name is not None:
        if name not in _RUNTIMES:
            raise InputError(f"unknown runtime {name!r}; use one of {', '.join(_RUNTIMES)}")
        return _RUNTIMES[name](delegate)
    for runtime in available(delegate):
        return runtime
    raise BenchError('no inference runtime is installed; install one with: pip install "ks100[board]"')


@cache
def op_table(runtime: str) -> tuple[str, ...]:
    """Return the (op, dtype) pairs that ``runtime`` runs, each as ``CONV_2D:INT8``, sorted.

    Raises:
        InputError: no table has this name.
    """
    path = resources.files("firmware_bridge.device.runtimes") / f"{runtime}.toml"
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"there is no op table for the runtime {runtime!r}") from error
    return tuple(sorted(f"{op}:{dtype}" for dtype, ops in table["ops"].items() for op in ops))


def missing_ops(needed: tuple[str, ...], runtime: RuntimeInfo) -> tuple[str, ...]:
    """Return the pairs of ``needed`` that ``runtime`` does not run, sorted."""
    return tuple(sorted(set(needed) - set(runtime.ops)))


def import_runtime(module: str, package: str, extra: str) -> Any:
    """Return a runtime's Python module.

    Raises:
        BenchError: it is missing or does not fit this machine.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except (ImportError, AttributeError) as error:
        raise BenchError(
            f'{package} cannot be used ({error}); install it with: pip install "ks100[{extra}]"'
        ) from error


class _TfliteSession:
    """A session of either runtime: both have the same Python interface."""

    def __init__(self, vendor: Any, runtime: str, model: bytes, kernels: Kernels, delegate: Path | None) -> None:
        self._graph = Graph.parse(model)
        self._model = model  # the interpreter reads it in place
        self._runtime = runtime
        resolver, delegates = vendor.OpResolverType, []
        kind = resolver.BUILTIN_REF if kernels is Kernels.REFERENCE else resolver.AUTO
        if delegate is not None and kernels is Kernels.OPTIMISED:
            kind, delegates = resolver.BUILTIN_WITHOUT_DEFAULT_DELEGATES, [load_external(vendor, delegate)]
        try:
            self._interpreter = vendor.Interpreter(
                model_content=model,
                num_threads=1,
                experimental_op_resolver_type=kind,
                experimental_delegates=delegates,
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{runtime} cannot prepare the graph: {_one_line(error)}") from error

        nodes = self._interpreter._get_ops_details() if delegates else ()  # noqa: SLF001 - there is no public list
        self.delegated_ops = delegated_ops(self._graph, nodes)

    @property
    def graph(self) -> Graph:
        return self._graph

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        if inputs.keys() != {tensor.name for tensor in self._graph.inputs}:
            expected = ", ".join(tensor.name for tensor in self._graph.inputs)
            raise InputError(f"the graph takes the inputs {expected}; given: {', '.join(sorted(inputs)) or 'none'}")
        for tensor in self._graph.inputs:
            _check_input(tensor, inputs[tensor.name])
        try:
            for tensor in self._graph.inputs:
                self._interpreter.set_tensor(tensor.index, inputs[tensor.name])
            self._interpreter.invoke()
            return {tensor.name: self._interpreter.get_tensor(tensor.index) for tensor in self._graph.outputs}
        except (RuntimeError, ValueError) as error:
            raise BoardError(f"{self._runtime} failed while it ran the graph: {_one_line(error)}") from error


def _check_input(tensor: GraphTensor, value: NDArray[Any]) -> None:
    if value.dtype != tensor.dtype or value.shape != tensor.shape:
        raise InputError(
            f"input {tensor.name!r} must be {tensor.dtype} {list(tensor.shape)}, not {value.dtype} {list(value.shape)}"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
