"""The model card: a TOML file beside a graph, ``NAME.card.toml``, with all that one must know to run and judge it.

It owns the fields and their meaning; how outputs become detections is in `models.card.decodings`. Round-trip law:
``ModelCard.load(p) == card`` after ``card.save(p)``, and ``ModelCard.of_record(card.record()) == card``.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from firmware_bridge.device.graph import Graph, GraphTensor
from firmware_bridge.errors import InputError
from firmware_bridge.files import write_atomically
from firmware_bridge.input_files import FileKind, read_text
from firmware_bridge.package.manifest import Manifest
from models.captures import CLASSES
from models.card.decodings import DECODINGS, Decoding, Grid, PythonDecoding, Raw
from models.card.operating_point import OperatingPoint
from models.card.toml import line_of, to_toml
from models.errors import DataError, RecipeError
from models.heads import INPUT_EO, INPUT_LWIR, Detections, is_grid
from models.records import converter, plain, structured

__all__ = ["CARD_SUFFIX", "CardInput", "ModelCard"]

CARD_SUFFIX = ".card.toml"
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CardInput:
    """One input of the graph: which band it shows, and how pixels become its values.

    A value is ``(low + pixel / 255 * (high - low) - mean) / std``, with (low, high) the ``range`` and a mean and a
    standard deviation for each channel.

    Attributes:
        name: in the graph's signature.
        band: ``eo`` or ``lwir``.
        height: in pixels.
        width: in pixels.
        colour: the channels: ``grey`` has one; a thermal frame stands in all three of the others.
        layout: where the channels stand.
        range: the values of the pixels 0 and 255.
        mean: for each channel; 0 if left out.
        std: for each channel; 1 if left out.
        fit: how a frame of another size fits: its aspect kept and centred, or stretched.
        agc: how thermal counts become 8 bits: stretched between percentiles, or their upper byte.
    """

    name: str
    band: Literal["eo", "lwir"]
    height: int
    width: int
    colour: Literal["rgb", "bgr", "grey"]
    layout: Literal["nhwc", "nchw"] = "nhwc"
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    fit: Literal["letterbox", "stretch"] = "letterbox"
    agc: Literal["percentile", "none"] = "percentile"

    def __post_init__(self) -> None:
        """Refuse what no input can be."""
        if self.height < 1 or self.width < 1:
            raise ValueError(f"{self.height}x{self.width} is no size")
        for key, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, self.channels):
                raise ValueError(f"{key} has {len(values)} values, {self.colour} has {self.channels} channels")
        if 0 in self.std or self.range[0] == self.range[1]:
            raise ValueError("a std of 0, or an empty range, leaves nothing of the frame")

    @property
    def channels(self) -> int:
        """How many channels it has."""
        return 1 if self.colour == "grey" else 3

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """The tensor's shape."""
        nhwc = (1, self.height, self.width, self.channels)
        return nhwc if self.layout == "nhwc" else (1, self.channels, self.height, self.width)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """All that one must know to run a graph and to judge what it finds.

    Attributes:
        classes: the class names, by index.
        inputs: the graph's inputs; all of one size.
        decoding: how its outputs become detections.
        kinematics: what it tells of a detection beside box, score and class: ``range_m``, ``velocity_mps``.
        operating_point: the score from which its detections count, and what that promises; fitted to this very graph.
        notes: for people.
    """

    classes: tuple[str, ...]
    inputs: tuple[CardInput, ...]
    decoding: Decoding
    kinematics: tuple[Literal["range_m", "velocity_mps"], ...] = ()
    operating_point: OperatingPoint | None = None
    notes: str = ""

    def __post_init__(self) -> None:
        """Refuse parts that do not belong together."""
        if len(set(self.classes)) < len(self.classes) or not all(name.strip() for name in self.classes):
            raise ValueError("classes names a class twice, or one has no name")
        if not self.classes and not isinstance(self.decoding, Raw):
            raise ValueError("classes is empty; only outputs that are not decoded (type = 'raw') have none")
        if not self.inputs or len({item.name for item in self.inputs}) < len(self.inputs):
            raise ValueError("inputs is empty, or names one twice")
        if len({(item.height, item.width, item.fit) for item in self.inputs}) > 1:
            raise ValueError("inputs differ in size or fit")
        if self.kinematics and not isinstance(self.decoding, Grid | PythonDecoding):
            raise ValueError("kinematics come from type = 'grid' or a function of yours (python = ...)")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the inputs, pixels."""
        return self.inputs[0].height, self.inputs[0].width

    @property
    def detects(self) -> bool:
        """Whether its outputs become detections."""
        return not isinstance(self.decoding, Raw)

    def decode(self, outputs: Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]) -> Detections:
        """Return one frame's detections, boxes in pixels of the input.

        Args:
            outputs: the graph's real outputs by name, float32 with a batch of 1.

        Raises:
            DataError: the outputs are not those of the card.
        """
        return self.decoding.decode(outputs, self.size, len(self.classes))

    def check(self, graph: Graph) -> None:
        """Check that the card fits a graph: its inputs, and its decoding on outputs of their shapes.

        Raises:
            DataError: it does not; the text names the tensor.
        """
        known = {tensor.name: tensor for tensor in graph.inputs}
        if set(known) != {item.name for item in self.inputs}:
            raise DataError(
                f"the card has the inputs {', '.join(item.name for item in self.inputs)}, the graph {', '.join(known)}"
            )
        for item in self.inputs:
            if known[item.name].shape != item.shape:
                found = list(known[item.name].shape)
                raise DataError(f"input {item.name}: the card says {list(item.shape)}, the graph has {found}")
        if all(min(tensor.shape, default=1) > 0 for tensor in graph.outputs):
            self.decode({tensor.name: np.zeros(tensor.shape, np.float32) for tensor in graph.outputs})

    def record(self) -> dict[Any, Any]:
        """Return the card as plain values, as a package's manifest holds it: without notes and what is empty."""
        record: dict[Any, Any] = json.loads(json.dumps(plain(self)))  # tuples become lists
        del record["notes"]
        if self.operating_point is None:
            del record["operating_point"]
        return record

    @classmethod
    def of_record(cls, record: Mapping[Any, Any]) -> ModelCard:
        """Restore what `record` gave.

        Raises:
            DataError: it is not a card.
        """
        try:
            return structured(cls, dict(record))
        except ValueError as error:
            raise DataError(f"not a model card: {error}") from error

    def save(self, path: Path) -> None:
        """Write the card, the old file or the whole new one."""
        write_atomically(path, to_toml({"schema": SCHEMA, **self.record(), "notes": self.notes}).encode())

    @classmethod
    def load(cls, path: Path) -> ModelCard:
        """Read a card.

        Raises:
            RecipeError: the file is missing or not TOML, or a field is wrong; the text names the line.
        """
        try:
            text = read_text(path, FileKind.TOML)
        except InputError as error:
            raise RecipeError(str(error)) from error
        try:
            items = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"{path} is not a model card: {error}") from error
        schema = items.pop("schema", SCHEMA)
        if schema != SCHEMA:
            raise RecipeError(f"{path}:{line_of(text, 'schema')}: schema {schema!r}, this release reads {SCHEMA}")
        try:
            return structured(cls, items)
        except ValueError as error:
            place = str(error).partition(":")[0]
            raise RecipeError(f"{path}:{line_of(text, place)}: {error}") from error

    @classmethod
    def beside(cls, graph: Path) -> ModelCard | None:
        """Return the card beside a graph, ``NAME.card.toml``; None when there is none."""
        path = graph.with_name(graph.stem + CARD_SUFFIX)
        return cls.load(path) if path.is_file() else None

    @classmethod
    def signed_into(cls, manifest: Manifest) -> ModelCard | None:
        """Return the card that a package holds; None when it holds none.

        Raises:
            DataError: it is one of another release.
        """
        return None if manifest.card is None else cls.of_record(manifest.card.values)

    @classmethod
    def of_grid(cls, graph: Graph, classes: tuple[str, ...] = CLASSES) -> ModelCard | None:
        """Return the card of a network of this project's own contract (`models.heads`); None if the graph is none."""
        if not is_grid(tensor.name for tensor in graph.outputs) or not graph.inputs:
            return None
        if not all(tensor.name in (INPUT_EO, INPUT_LWIR) and len(tensor.shape) == 4 for tensor in graph.inputs):
            return None
        inputs = tuple(map(_grid_input, graph.inputs))
        return cls(classes=classes, inputs=inputs, decoding=Grid(), kinematics=("range_m", "velocity_mps"))


def _grid_input(tensor: GraphTensor) -> CardInput:
    eo = tensor.name == INPUT_EO
    return CardInput(
        name=tensor.name, band="eo" if eo else "lwir", height=tensor.shape[1], width=tensor.shape[2],
        colour="rgb" if eo else "grey",
    )  # fmt: skip


def _register() -> None:
    """Teach the project's converter the union of decodings: by ``type``; ``python`` alone names its own."""

    def structure(item: Any, _: Any) -> Any:
        if not isinstance(item, dict):
            raise ValueError("is not a table")
        rest = dict(item)
        kind = rest.pop("type", "python" if "python" in rest else "")
        if kind not in DECODINGS:
            raise ValueError(f"type {kind!r} is not one of {', '.join(DECODINGS)}")
        return converter().structure(rest, DECODINGS[kind])

    def labelled(kind: type, name: str) -> Callable[[Any], dict[str, Any]]:
        to_plain = converter().get_unstructure_hook(kind)
        return lambda value: {"type": name, **to_plain(value)}

    converter().register_structure_hook_func(lambda kind: kind == Decoding, structure)
    for name, kind in DECODINGS.items():
        converter().register_unstructure_hook(kind, labelled(kind, name))


_register()
