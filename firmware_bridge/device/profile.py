"""What a board is, as far as planning and modelling need it: limits, NPU, memory, CPU and rails.

Owns: reading a profile (TOML) into values and refusing one that is incomplete or gives a number without its source.
Knows nothing of graphs; `firmware_bridge.device.cost` applies a profile to one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from firmware_bridge.device.profile_options import Noise, Validity
from firmware_bridge.errors import InputError
from firmware_bridge.input_files import FileKind, read_text

__all__ = [
    "DEFAULT_BOARD",
    "BoardProfile",
    "Constant",
    "EngineCost",
    "Published",
    "PublishedAccuracy",
    "PublishedFigure",
    "Rail",
    "ReferenceWorkload",
    "profile_text",
]

DEFAULT_BOARD = "ks100"
"""The kind of board where none is named."""
_Options = TypeVar("_Options", Noise, Validity)
_TOLERANCE = 0.01  # of a rail's sensor: a shunt of 1 % hides the gain of an INA226 (0.1 %, TI SBOS547, section 6.5)


@dataclass(frozen=True, slots=True)
class Constant:
    """One number of a profile and where it comes from, e.g. ``npu.INT8.mac_pj``."""

    key: str
    value: float
    source: str


@dataclass(frozen=True, slots=True)
class EngineCost:
    """What one engine (the NPU in one type, or the CPU) needs for its work.

    Attributes:
        macs_per_s: peak multiply-accumulates a second.
        elements_per_s: peak output elements a second.
        mac_pj: energy of one multiply-accumulate, picojoules.
        element_pj: energy of one output element (written, read again, requantized), picojoules.
    """

    macs_per_s: float
    elements_per_s: float
    mac_pj: float
    element_pj: float


@dataclass(frozen=True, slots=True)
class Rail:
    """One power rail.

    Attributes:
        label: as the board's hwmon gives it.
        chip: name or device of its sensor (``ina226``, ``0-0040``), ``""`` where the label is enough.
        nominal_v: volts.
        share: its fraction of the inference energy; the fractions of all rails add up to 1.
        idle_share: its fraction of the idle power; these add up to 1 too.
        part_of: label of the rail that contains this one, so that it does not count in sums; ``""`` for none.
        tolerance: of its sensor, shunt and gain together, a fraction.
    """

    label: str
    nominal_v: float
    share: float
    idle_share: float
    chip: str = ""
    part_of: str = ""
    tolerance: float = _TOLERANCE


@dataclass(frozen=True, slots=True)
class ReferenceWorkload:
    """A part of the network that the published watts belong to; its fields are totals of one frame.

    ``spilled_elements`` are those of tensors too large for the SRAM, by type of the tensor.
    """

    macs: float
    elements: float
    weight_bytes: float
    spilled_elements_int8: float
    spilled_elements_int16: float
    spilled_elements_float32: float


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """One figure that the board's maker published.

    Attributes:
        what: a description in words.
        text: as it was published, with its unit.
        measurement: name of the measurement that belongs beside it, or ``""``.
        value: the figure in that measurement's unit, or None where it is no single number.
    """

    what: str
    text: str
    measurement: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class PublishedAccuracy:
    """What was published of a quantized model's accuracy against its float parent.

    Attributes:
        models: parts of a model's name that it belongs to, e.g. ``PTQ``.
        text: as it was published.
        hard: whether it applies to the hard cases, or to the others.
    """

    models: tuple[str, ...]
    text: str
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """The figures that a board's maker published; to report against, never to print as one's own.

    Attributes:
        context: one sentence on what network and board they were published for.
        figures: of the board.
        accuracy: of its models; the first that fits a model counts.
    """

    context: str
    figures: tuple[PublishedFigure, ...] = ()
    accuracy: tuple[PublishedAccuracy, ...] = ()


@dataclass(frozen=True, slots=True)
class BoardProfile:
    """One kind of board.

    Attributes:
        name: what packages and boards call it, e.g. ``ks100``.
        description: one line for people.
        runtime: the inference runtime that it ships, e.g. ``litert``.
        budget_mw: total power that it may draw.
        window_ms: time from frame to answer.
        frame_rate_hz: frames a second.
        capacity_bytes: largest payload that fits in a model slot.
        idle_mw: power without inference.
        sram_bytes: memory next to the NPU.
        dram_bytes_per_s: bandwidth.
        dram_pj_per_byte: energy.
        npu: the NPU's cost by type of the operation (``INT8``), also for weights of an unusual type (``INT8:INT4``).
        npu_utilisation: fraction of its units that an operation keeps busy, by TFLite name; 1 when not listed.
        npu_op_s: fixed time of an operation on the NPU, seconds.
        npu_ops: the (op, dtype) pairs that it runs, as ``CONV_2D:INT8``.
        cpu: the CPU's cost, for everything else.
        cpu_op_s: fixed time of an operation on the CPU, handover included, seconds.
        rails: its power rails.
        reference: the workload of the published watts by part, ``backbone`` and ``attention``; may be empty.
        published_w: the published watts by plan; may be empty.
        published: the figures published by its manufacturer, or None.
        constants: every number with its source.
        validity: the samples that a figure needs; defaults if not in the profile.
        noise: the variation of an emulated board of this kind; defaults if not in the profile.
    """

    name: str
    description: str
    runtime: str
    budget_mw: float
    window_ms: float
    frame_rate_hz: float
    capacity_bytes: int
    idle_mw: float
    sram_bytes: int
    dram_bytes_per_s: float
    dram_pj_per_byte: float
    npu: Mapping[str, EngineCost]
    npu_utilisation: Mapping[str, float]
    npu_op_s: float
    npu_ops: frozenset[str]
    cpu: EngineCost
    cpu_op_s: float
    rails: tuple[Rail, ...]
    reference: Mapping[str, ReferenceWorkload]
    published_w: Mapping[str, float]
    published: Published | None
    constants: tuple[Constant, ...]
    validity: Validity
    noise: Noise

    @classmethod
    def load(cls, name: str) -> BoardProfile:
        """Return the profile that ships under ``name``, or the one in the file ``name`` if it ends in ``.toml``.

        Raises:
            InputError: not found or invalid.
        """
        return cls.parse(profile_text(name), name)

    @classmethod
    def parse(cls, text: str, where: str) -> BoardProfile:
        """Return the profile in ``text``; ``where`` names it in errors.

        Raises:
            InputError: it is not TOML, a field is missing, or a number has no source.
        """
        try:
            return _Reader(tomllib.loads(text), where).profile()
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise InputError(f"board profile {where}: {error}") from error

    @property
    def published_headroom(self) -> float | None:
        """What the published mixed plan takes above idle, as a multiple of all INT8; None if neither was published."""
        mixed, int8 = self.published_w.get("mixed"), self.published_w.get("INT8")
        if mixed is None or int8 is None:
            return None
        return (mixed - self.idle_mw / 1e3) / (int8 - self.idle_mw / 1e3)

    def rail_mw(self, active_mw: float) -> dict[str, float]:
        """Return the power of each rail when inference takes ``active_mw`` on top of the idle power."""
        return {rail.label: rail.idle_share * self.idle_mw + rail.share * active_mw for rail in self.rails}


def profile_text(name: str) -> str:
    """Return the TOML of the profile that `BoardProfile.load` reads under ``name``.

    Raises:
        InputError: not found or not readable.
    """
    path = Path(name) if name.endswith(".toml") else _shipped(name)
    try:
        return read_text(path, FileKind.TOML)
    except InputError as error:
        raise InputError(f"cannot read the board profile: {error}") from error


def _shipped(name: str) -> Path:
    folder = Path(str(resources.files("firmware_bridge.device.profiles")))
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise InputError(f"unknown board {name!r}; use one of {', '.join(known)}, or the path of a .toml profile")
    return folder / f"{name}.toml"


class _Reader:
    """Reads one parsed profile, and collects each number with its source."""

    def __init__(self, data: Mapping[str, Any], where: str) -> None:
        self._data = data
        self._where = where
        self._constants: list[Constant] = []

    def profile(self) -> BoardProfile:
        number = self._number
        npu = {dtype: self._engine(f"npu.{dtype}") for dtype in self._at("npu")}
        utilisation = {op: number(f"npu_utilisation.{op}") for op in self._data.get("npu_utilisation", {})}
        return BoardProfile(
            name=self._text("name"),
            description=self._text("description"),
            runtime=self._text("runtime"),
            budget_mw=number("limits.budget_mw"),
            window_ms=number("limits.window_ms"),
            frame_rate_hz=number("limits.frame_rate_hz"),
            capacity_bytes=int(number("limits.capacity_bytes")),
            idle_mw=number("limits.idle_mw"),
            sram_bytes=int(number("memory.sram_bytes")),
            dram_bytes_per_s=number("memory.dram_bytes_per_s"),
            dram_pj_per_byte=number("memory.dram_pj_per_byte"),
            npu=npu,
            npu_utilisation=utilisation,
            npu_op_s=number("npu_overhead.op_s"),
            npu_ops=frozenset(f"{op}:{dtype}" for dtype, ops in self._op_lists() for op in ops),
            cpu=self._engine("cpu"),
            cpu_op_s=number("cpu.op_s"),
            rails=self._rails(),
            reference=self._reference(),
            published_w=dict(self._data.get("reference", {}).get("published_w", {})),
            published=self._published(),
            validity=self._options("validity", Validity()),
            noise=self._options("noise", Noise()),
            constants=tuple(self._constants),
        )

    def _at(self, key: str) -> Any:
        value: Any = self._data
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise InputError(f"board profile {self._where}: {key} is missing")
            value = value[part]
        return value

    def _text(self, key: str) -> str:
        value = self._at(key)
        if not isinstance(value, str):
            raise InputError(f"board profile {self._where}: {key} must be a text")
        return value

    def _number(self, key: str, *, zero: bool = False) -> float:
        entry = self._at(key)
        value, source = (entry.get("value"), entry.get("source")) if isinstance(entry, Mapping) else (None, None)
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not 0 <= value < float("inf")
            or not (value or zero)
        ):
            kind = "number from 0" if zero else "positive number"
            raise InputError(f"board profile {self._where}: {key} must be {{ value = {kind}, source = text }}")
        if not isinstance(source, str) or not source:
            raise InputError(f"board profile {self._where}: {key} has no source; state where the number comes from")
        self._constants.append(Constant(key, float(value), source))
        return float(value)

    def _options(self, key: str, usual: _Options) -> _Options:
        """Return the table ``key``, of which any number may be left to its default."""
        given = self._data.get(key, {})
        known = [field.name for field in fields(usual)]
        unknown = [name for name in given if name not in known] if isinstance(given, Mapping) else [""]
        if unknown:
            where = f"board profile {self._where}: {key}"
            raise InputError(f"{where}.{unknown[0]} is unknown; [{key}] may have {', '.join(known)}")
        values = {name: type(getattr(usual, name))(self._number(f"{key}.{name}", zero=True)) for name in given}
        return replace(usual, **values)

    def _engine(self, key: str) -> EngineCost:
        names = ("macs_per_s", "elements_per_s", "mac_pj", "element_pj")
        return EngineCost(*(self._number(f"{key}.{name}") for name in names))

    def _op_lists(self) -> list[tuple[str, list[str]]]:
        return [(dtype, ops) for dtype, ops in self._at("npu_ops").items() if isinstance(ops, list)]

    def _rails(self) -> tuple[Rail, ...]:
        try:
            rails = tuple(
                Rail(
                    str(r["label"]),
                    float(r["nominal_v"]),
                    float(r["share"]),
                    float(r["idle_share"]),
                    str(r.get("chip", "")),
                    str(r.get("part_of", "")),
                    float(r.get("tolerance", _TOLERANCE)),
                )
                for r in self._at("rails")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"board profile {self._where}: a rail lacks {error}") from error
        whole = [r for r in rails if not r.part_of]
        sums = (sum(r.share for r in whole), sum(r.idle_share for r in whole))
        if not rails or any(abs(total - 1) > 1e-6 for total in sums):
            raise InputError(f"board profile {self._where}: the rails' shares add up to {sums}, not to 1")
        return rails

    def _reference(self) -> dict[str, ReferenceWorkload]:
        parts = self._data.get("reference", {})
        try:
            return {name: ReferenceWorkload(**parts[name]) for name in ("backbone", "attention") if name in parts}
        except TypeError as error:
            raise InputError(f"board profile {self._where}: reference: {error}") from error

    def _published(self) -> Published | None:
        entry = self._data.get("published")
        if entry is None:
            return None
        try:
            return Published(
                str(entry["context"]),
                tuple(PublishedFigure(**row) for row in entry.get("figures", ())),
                tuple(
                    PublishedAccuracy(tuple(row["models"]), row["text"], row.get("hard", False))
                    for row in entry.get("accuracy", ())
                ),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise InputError(f"board profile {self._where}: [published] lacks or misnames a field: {error}") from error
