"""Recipes: everything that decides how a network is trained and fine-tuned, as one TOML file.

Owns the file's schema and its checks. Round-trip law: ``Recipe.parse(recipe.to_toml()) == recipe``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tomllib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from firmware_bridge.errors import InputError
from firmware_bridge.input_files import FileKind, read_text
from models.errors import RecipeError
from models.records import structured
from models.training.augment import Augmentation

__all__ = ["Fit", "NetworkChoice", "QatSettings", "Recipe", "known_recipes"]


@dataclass(frozen=True, slots=True)
class NetworkChoice:
    """Which network.

    Attributes:
        name: a name that `models.networks.build` knows.
        options: fields of its spec that differ.
    """

    name: str = "fusion-small"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fit:
    """How weights are fitted.

    Attributes:
        epochs: passes over the training set; with ``start`` it may be 0: the weights are taken over as they are.
        batch: captures in a step.
        learning_rate: the peak, after a linear warm-up; half a cosine down to a hundredth of it at the end.
        warmup: share of the steps that warm up.
        decay: share of the other steps over which the rate falls.
        weight_decay: of convolution kernels.
        ema: decay a step of the averaged weights, which are the ones kept.
        validate_every: epochs between validations; 0 validates at the end only.
        steps: steps in all, where training ends within an epoch (a multiple of 50); 0 goes to the epochs' end.
        accumulate: steps whose gradients make one update, where a batch does not fit into memory or time.
        frozen_norm: batch normalization keeps the statistics, gains and offsets that training starts from.
        window_width: columns of windows that are cut around objects, instead of training on whole frames; 0 cuts none.
        window_height: rows of them.
        start: name of the recipe whose network this one starts from; empty starts from fresh weights.
    """

    epochs: int = 20
    batch: int = 16
    learning_rate: float = 3e-3
    warmup: float = 0.08
    weight_decay: float = 0.02
    ema: float = 0.99
    validate_every: int = 0
    decay: float = 1.0
    steps: int = 0
    accumulate: int = 1
    frozen_norm: bool = False
    window_width: int = 0
    window_height: int = 0
    start: str = ""


@dataclass(frozen=True, slots=True)
class QatSettings:
    """How a trained network is fine-tuned with simulated quantization.

    Attributes:
        epochs: passes over the training set.
        batch: captures in a step.
        learning_rate: the peak, for weights.
        range_learning_rate: for the logarithms of the activation ranges' ends; 0 keeps the calibrated ranges.
        freeze: last share of the steps in which ranges stand still.
        ema: as in `Fit`.
        teach: weight of the FP32 network's own answers beside the truth; 0 leaves the teacher out.
        features: weight of the FP32 network's fused features, likewise.
        patience: epochs without a better worst condition on the validation set after which fine-tuning ends, keeping
            the best epoch; 0 goes to the end.
        calibration: captures that ranges start from, at most.
    """

    epochs: int = 3
    batch: int = 16
    learning_rate: float = 2e-4
    range_learning_rate: float = 2e-3
    freeze: float = 0.25
    ema: float = 0.98
    teach: float = 1.0
    features: float = 0.3
    patience: int = 2
    calibration: int = 128


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe.

    Attributes:
        name: for people and tables.
        seed: of weights, order, augmentation.
        network: what is trained.
        fit: FP32 training.
        augmentation: in both trainings.
        qat: fine-tuning.
    """

    name: str
    seed: int = 1
    network: NetworkChoice = field(default_factory=NetworkChoice)
    fit: Fit = field(default_factory=Fit)
    augmentation: Augmentation = field(default_factory=Augmentation)
    qat: QatSettings = field(default_factory=QatSettings)

    @classmethod
    def load(cls, path: Path | str) -> Recipe:
        """Read a recipe's file, or one of `known_recipes` by name.

        Raises:
            RecipeError: there is none, or it is wrong; the text names the field.
        """
        if isinstance(path, str) and path in known_recipes():
            return cls.parse((_shipped() / f"{path}.toml").read_text(), path)
        try:
            text = read_text(Path(path), FileKind.TOML)
        except InputError as error:
            raise RecipeError(f"{error}; give a recipe (TOML), or one of {', '.join(known_recipes())}") from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, where: str = "recipe") -> Recipe:
        """Read a recipe from TOML.

        Args:
            text: the file's text.
            where: named in errors.

        Raises:
            RecipeError: a field is unknown, missing, of another type or out of bounds.
        """
        try:
            recipe = structured(cls, tomllib.loads(text))
        except (ValueError, RecursionError) as error:  # a TOML error is a ValueError, too
            raise RecipeError(f"{where}: {error}") from error
        _check(recipe, where)
        return recipe

    def to_toml(self) -> str:
        """Return the whole recipe, defaults included, as TOML."""
        lines = [f"name = {_toml(self.name)}", f"seed = {self.seed}"]
        for section in ("network", "fit", "augmentation", "qat"):
            table = dataclasses.asdict(getattr(self, section))
            lines += ["", f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the whole recipe."""
        return hashlib.sha256(self.to_toml().encode()).hexdigest()

    @property
    def float_part(self) -> Recipe:
        """What decides the float network: another way of fine-tuning it trains no other one."""
        return dataclasses.replace(self, qat=QatSettings())


def known_recipes() -> tuple[str, ...]:
    """Return the names of the recipes that ship with the project."""
    return tuple(
        sorted(item.name.removesuffix(".toml") for item in _shipped().iterdir() if item.name.endswith(".toml"))
    )


def _shipped() -> Any:
    return resources.files("models.training").joinpath("recipes")


def _check(recipe: Recipe, where: str) -> None:
    """Check bounds; an optimizer would accept most of these and train nonsense."""
    for section in ("fit", "augmentation", "qat"):
        for key, value in dataclasses.asdict(getattr(recipe, section)).items():
            if isinstance(value, str):
                continue
            trains = (section, key) == ("fit", "epochs") and not recipe.fit.start
            least = 1 if key in ("batch", "calibration", "accumulate") or trains else 0
            most = 1 if key in ("warmup", "decay", "ema", "freeze", "flip", "band_loss", "shift") else float("inf")
            if not least <= value <= most:
                raise RecipeError(f"{where}: [{section}] {key} = {value} is not within {least} and {most}")
    if recipe.seed < 0 or recipe.seed >= 2**31:
        raise RecipeError(f"{where}: seed = {recipe.seed} is not within 0 and 2147483647")


def _toml(value: Any) -> str:
    """Return a value as TOML; recipes hold no dates and no multi-line text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)
