"""The simulated integer network: a folded Keras network with fake quantization wherever the integer graph rounds.

Owns which tensor is rounded, to which grid, and which tensors share one range; `models.quant.fakequant` owns the
grids. Layer names and weights are those of the folded network, so that weights go back and forth by name.

Rounded are: kernels; the output of every layer that computes; and, where a layer of lower precision reads a tensor
of higher precision, that reading (the integer graph has a QUANTIZE there). Not rounded again are layers that only
move values, and INT8 values that an INT16 layer reads (they sit on the finer grid within 1/32767 of the range).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from models.errors import QuantizationError
from models.networks.layers import Heads, Merge, Upsample
from models.quant.fakequant import FakeQuant, FakeQuantConv2D, FakeQuantDepthwiseConv2D, FixedQuant
from models.quant.plan import Precision, PrecisionPlan

__all__ = ["Simulation", "simulate"]

_MOVING = (Heads, Merge, Upsample)
_SAME_RANGE = (keras.layers.AveragePooling2D, keras.layers.MaxPooling2D)
_TANH = (-1.0, 1.0)
_SOFTMAX = (0.0, 1.0)
_UNIT = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class _Source:
    """What a tensor of the simulation is: on which grid, under which layer's range.

    Attributes:
        precision: of the grid that it is on.
        owner: layer whose range it has.
        tensor: kept alive, since tensors are looked up by identity.
    """

    precision: Precision
    owner: str
    tensor: Any


class Simulation:
    """A simulated integer network.

    Attributes:
        model: from float frames to dequantized outputs; trainable.
        plan: which layer computes in what.
    """

    def __init__(self, model: keras.Model, plan: PrecisionPlan, builder: _Builder) -> None:
        self.model = model
        self.plan = plan
        self._quantizers = builder.quantizers
        self._owners = builder.owners
        self._fixed = builder.fixed

    @property
    def weights(self) -> list[keras.Variable]:
        """Trainable variables of the network itself."""
        ranges = {id(v) for v in self.range_variables}
        return [v for v in self.model.trainable_variables if id(v) not in ranges]

    @property
    def range_variables(self) -> list[keras.Variable]:
        """Trainable variables of the ranges: those of INT8 tensors."""
        return [v for layer in self._quantizers.values() for v in layer.trainable_variables]

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Return (min, max) of each layer's output, as trained; inputs included."""
        numbers = {name: layer.range.numbers() for name, layer in self._quantizers.items()}
        return {
            name: numbers[owner] if owner in numbers else self._fixed[owner] for name, owner in self._owners.items()
        }

    def copy_weights_to(self, folded: keras.Model) -> keras.Model:
        """Give ``folded`` the simulation's weights, and return it."""
        for layer in folded.layers:
            if layer.weights:
                layer.set_weights(self.model.get_layer(layer.name).get_weights())
        return folded


def simulate(folded: keras.Model, plan: PrecisionPlan, ranges: Mapping[str, tuple[float, float]]) -> Simulation:
    """Build the simulation of ``folded`` under ``plan``.

    Args:
        folded: a network without batch normalization; its weights are copied.
        plan: which layer computes in what.
        ranges: calibrated (min, max) of each layer's output.

    Raises:
        RecipeError: a rule of the plan names no layer.
        QuantizationError: a layer has no range, or is of a kind that cannot be simulated.
    """
    plan.check([(layer.name,) for layer in folded.layers])
    builder = _Builder(plan, ranges)
    model = keras.models.clone_model(folded, clone_function=builder.clone, call_function=builder.call)
    for layer in folded.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    return Simulation(model, plan, builder)


class _Builder:
    """Clones layer by layer, following which grid each tensor is on."""

    def __init__(self, plan: PrecisionPlan, ranges: Mapping[str, tuple[float, float]]) -> None:
        self._plan, self._given = plan, ranges
        self._sources: dict[int, _Source] = {}
        self._read: dict[tuple[int, Precision], Any] = {}
        self.quantizers: dict[str, FakeQuant] = {}
        self.owners: dict[str, str] = {}
        self.fixed: dict[str, tuple[float, float]] = {}

    def clone(self, layer: keras.layers.Layer) -> keras.layers.Layer:
        """Return a fresh layer of this configuration, convolutions with rounded kernels."""
        if isinstance(layer, keras.layers.Dense | keras.layers.BatchNormalization):
            raise QuantizationError(f"layer {layer.name!r} of type {type(layer).__name__} cannot be simulated; fold it")
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            return FakeQuantDepthwiseConv2D(precision=self._plan.precision_of(layer.name), **layer.get_config())
        if isinstance(layer, keras.layers.Conv2D):
            return FakeQuantConv2D(precision=self._plan.precision_of(layer.name), **layer.get_config())
        return type(layer).from_config(layer.get_config())

    def call(self, layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        """Apply ``layer`` to tensors on the right grids, and put its output on its own."""
        precision = self._plan.precision_of(layer.name)
        inputs = keras.tree.map_structure(lambda tensor: self._as_read(tensor, precision), args)
        output = layer(*inputs, **kwargs)
        first = self._source(keras.tree.flatten(inputs)[0])
        if isinstance(layer, _MOVING):
            return self._record(layer.name, output, precision, first.owner)
        if isinstance(layer, _SAME_RANGE):
            rounded = self._rounded(output, precision, first.owner, f"{layer.name}_fq")
            return self._record(layer.name, rounded, precision, first.owner)
        return self._record(layer.name, self._on_own_grid(layer, output, precision), precision, layer.name)

    def _on_own_grid(self, layer: keras.layers.Layer, output: Any, precision: Precision) -> Any:
        name = f"{layer.name}_fq"
        fixed = _fixed_range(layer)
        if fixed is not None:
            self.fixed[layer.name] = fixed
            return self._fixed_grid(output, precision, layer.name, name)
        if layer.name not in self._given:
            raise QuantizationError(f"layer {layer.name!r} has no range; calibrate this very network")
        low, high = self._given[layer.name]
        quantizer = FakeQuant(precision, (min(low, 0.0), max(high, 0.0, min(low, 0.0) + 1e-6)), name=name)
        self.quantizers[layer.name] = quantizer
        return quantizer(output)

    def _as_read(self, tensor: Any, precision: Precision) -> Any:
        """Return ``tensor`` as a layer of ``precision`` reads it."""
        source = self._source(tensor)
        finer = source.precision.bits > precision.bits
        if not finer or not precision.integer:
            return tensor
        key = (id(tensor), precision)
        if key not in self._read:
            name = f"{source.owner}_{len(self._read)}_as_{precision.value}"
            self._read[key] = self._rounded(tensor, precision, source.owner, name)
            self._sources[id(self._read[key])] = _Source(precision, source.owner, self._read[key])
        return self._read[key]

    def _rounded(self, tensor: Any, precision: Precision, owner: str, name: str) -> Any:
        """Put ``tensor`` on the grid of ``precision`` over the range of the layer ``owner``."""
        shared = self.quantizers.get(owner)
        if shared is not None:
            return FakeQuant(precision, shared=shared.range, name=name)(tensor)
        return self._fixed_grid(tensor, precision, owner, name)

    def _fixed_grid(self, tensor: Any, precision: Precision, owner: str, name: str) -> Any:
        """Put ``tensor`` on the grid that kernels hard-code for softmax, tanh and the frames."""
        low, _ = self.fixed[owner]
        if not precision.integer:
            return tensor
        if precision is Precision.INT16:
            return FixedQuant(1 / 32768, -32768, 32767, name=name)(tensor)
        if low < 0:
            return FixedQuant(1 / 128, -128, 127, name=name)(tensor)
        return FixedQuant(1 / 256, 0, 255, name=name)(tensor)

    def _source(self, tensor: Any) -> _Source:
        """Return what is known of ``tensor``; an unknown one is an input, whose 8-bit values are on any grid."""
        if id(tensor) not in self._sources:
            name = str(tensor.name)
            self.fixed[name] = _UNIT
            self.owners[name] = name
            self._sources[id(tensor)] = _Source(Precision.INT8, name, tensor)
        return self._sources[id(tensor)]

    def _record(self, layer: str, tensor: Any, precision: Precision, owner: str) -> Any:
        self._sources[id(tensor)] = _Source(precision, owner, tensor)
        self.owners[layer] = owner
        return tensor


def _fixed_range(layer: keras.layers.Layer) -> tuple[float, float] | None:
    """Return the range that the layer's mathematics fixes, if any."""
    if isinstance(layer, keras.layers.Softmax):
        return _SOFTMAX
    if isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.tanh:
        return _TANH
    return None
