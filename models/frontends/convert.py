"""Which front end a source needs, and what comes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.errors import DataError
from models.frontends.environment import ONNX, TORCH, environment_python, run_worker
from models.frontends.reference import Conversion, OutputMatch, compare_outputs

__all__ = ["Imported", "import_network"]

_EXPORT = "torch.export.save(torch.export.export(model.eval(), (example,)), 'NAME.pt2')"
_ADVICE = {
    ".pt": f"export the model in Python: {_EXPORT}",
    ".pth": f"export the model in Python: {_EXPORT}",
    ".h5": "save it again with Keras 3: model.save('NAME.keras')",
    ".pb": "give the folder of the SavedModel",
    ".tflite": "it is a graph already: ks100 card begins its card",
}


@dataclass(frozen=True)
class Imported:
    """A network as a float .tflite.

    Attributes:
        model: the .tflite.
        changes: what is otherwise than in the source, a line each.
        outputs: each output against the source's own runtime.
    """

    model: bytes
    changes: tuple[str, ...]
    outputs: tuple[OutputMatch, ...]


def import_network(
    source: Path,
    shapes: Mapping[str, tuple[int, ...]],
    say: Callable[[str], None],
    *,
    python: Path | None = None,
) -> Imported:
    """Convert a Keras 3 file, a SavedModel, an ONNX file or a PyTorch exported program (``.pt2``).

    Args:
        source: the file, or the folder of a SavedModel.
        shapes: of inputs that leave their size open, by name.
        say: called with what is being done.
        python: interpreter of an environment that has the converter (ONNX, PyTorch); one of our own if None.

    Raises:
        DataError: the source is of no known kind, or cannot be converted.
        QuantizationError: the graph's outputs are not the source's.
    """
    found = _convert(source, shapes, say, python)
    say("comparing outputs with the source's")
    outputs, moved = compare_outputs(found)
    lines = [f"output {m.name}: called {m.source} in the source" for m in outputs if m.name != m.source]
    lines += [f"output {m.name}: the channels are last now, they were first" for m in outputs if m.channels_last]
    return Imported(found.model, (*found.changes, *moved, *lines), outputs)


def _convert(
    source: Path, shapes: Mapping[str, tuple[int, ...]], say: Callable[[str], None], python: Path | None
) -> Conversion:
    kind = source.suffix.lower()
    if not source.exists():
        raise DataError(f"{source}: there is no such file")
    if source.is_dir() and (source / "saved_model.pb").is_file():
        from models.frontends.tensorflow_source import from_saved_model

        return from_saved_model(source, shapes)
    if kind == ".keras":
        from models.frontends.tensorflow_source import from_keras

        return from_keras(source, shapes)
    if kind == ".onnx":
        sizes = [f"{name}={','.join(map(str, shape))}" for name, shape in shapes.items()]
        return _elsewhere(source, "onnx_worker.py", ONNX, sizes, say, python)
    if kind == ".pt2":
        return _elsewhere(source, "torch_worker.py", TORCH, [], say, python)
    advice = _ADVICE.get(kind, "give a .keras file, the folder of a SavedModel, an .onnx file or a .pt2 file")
    raise DataError(f"{source} is of no kind that can be imported; {advice}")


def _elsewhere(
    source: Path, worker: str, pins: tuple[str, ...], sizes: list[str], say: Callable[[str], None], python: Path | None
) -> Conversion:
    interpreter = python or environment_python(pins, say)
    say(f"converting with {pins[-1].partition('==')[0]}")
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(source.resolve()), folder, *sizes]
        run_worker(interpreter, Path(__file__).with_name(worker), Path(folder), arguments)
        return Conversion.read(Path(folder))
