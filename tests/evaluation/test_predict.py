"""One path from captures to detections, for whatever runs the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.device.graph import GraphTensor
from models.captures import CaptureSet
from models.errors import DataError
from models.evaluation.predict import dequantize_outputs, input_size, predict, quantize_inputs
from models.scenes import SceneSpec, generate

HEIGHT, WIDTH = 32, 40


@dataclass(frozen=True)
class Wiring:
    """The part of a graph that prediction looks at."""

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]


EIGHT_BIT = Wiring(
    (
        GraphTensor("eo", "int8", (1, HEIGHT, WIDTH, 3), 1 / 255, -128),
        GraphTensor("lwir", "int8", (1, HEIGHT, WIDTH, 1), 1 / 255, -128),
    ),
    (
        GraphTensor("cls_8", "int8", (1, 4, 5, 6), 0.1, 0),
        GraphTensor("box_8", "int16", (1, 4, 5, 4), 0.001, 0),
        GraphTensor("kin_8", "float32", (1, 4, 5, 2)),
    ),
)


@dataclass
class OneObject:
    """A session that finds a car where the thermal frame is brightest, one stride to each side of the cell's centre."""

    graph: Any = EIGHT_BIT

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        view = inputs["lwir"].reshape(HEIGHT, WIDTH)
        row, column = np.array(np.unravel_index(view.argmax(), view.shape)) // 8
        scores = np.full((1, 4, 5, 6), -100, np.int8)
        scores[0, row, column, 3] = 30
        boxes, kinematics = np.full((1, 4, 5, 4), 1000, np.int16), np.zeros((1, 4, 5, 2), np.float32)
        return {"cls_8": scores, "box_8": boxes, "kin_8": kinematics}


def bright_corner() -> CaptureSet:
    """Frames of 80 x 64, twice the network's, warm around (68, 52)."""
    template = generate(SceneSpec(seed=1, count=1, name="t"), workers=1).captures[0]
    counts = np.full((1, 64, 80), 1000, np.uint16)
    counts[0, 48:56, 64:72] = 9000
    capture = replace(template, width=80, height=64, objects=())
    return CaptureSet.from_arrays("corner", [capture], np.zeros((1, 64, 80, 3), np.uint8), counts)


def test_boxes_come_back_in_the_pixels_of_the_capture() -> None:
    told: list[tuple[int, int]] = []
    (found,) = predict(OneObject(), bright_corner(), lambda done, total: told.append((done, total)))
    # Cell (3, 4) has its centre at (36, 28) of the network, so at (72, 56) of the frame; one stride is 16 px there.
    np.testing.assert_allclose(found.boxes, [[56, 40, 88, 72]], atol=1e-4)
    assert found.classes.tolist() == [3]
    assert found.scores[0] == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6)
    assert told == [(1, 1)]


def test_an_eight_bit_input_is_the_frame_less_128() -> None:
    eo = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint32).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)
    fed = quantize_inputs(EIGHT_BIT, eo, eo[..., 0])  # type: ignore[arg-type]
    assert fed["eo"].dtype == np.int8
    np.testing.assert_array_equal(fed["eo"][0].astype(int), eo.astype(int) - 128)
    assert fed["lwir"].shape == (1, HEIGHT, WIDTH, 1)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero"), [("float32", 0.0, 0), ("int16", 1 / 32767, 0), ("uint8", 1 / 255, 0)]
)
def test_inputs_of_other_types_hold_the_same_values(dtype: str, scale: float, zero: int) -> None:
    inputs = tuple(replace(t, dtype=dtype, scale=scale, zero_point=zero) for t in EIGHT_BIT.inputs)
    eo = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint32).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)
    fed = quantize_inputs(Wiring(inputs, ()), eo, eo[..., 0])["eo"]  # type: ignore[arg-type]
    assert fed.dtype == dtype
    real = fed.astype(np.float64) * scale if scale else fed
    np.testing.assert_allclose(real[0], eo / 255, atol=2e-5)


def test_outputs_are_read_in_their_own_scale() -> None:
    tensor = GraphTensor("box_8", "int16", (1, 2), 0.5, 10)
    real = dequantize_outputs(Wiring((), (tensor,)), {"box_8": np.array([[-32768, 32767]], np.int16)})  # type: ignore[arg-type]
    np.testing.assert_array_equal(real["box_8"], np.array([[-16389, 16378.5]], np.float32))


def test_an_output_that_is_not_a_number_is_named() -> None:
    class Broken(OneObject):
        def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return {**super().run(inputs), "kin_8": np.full((1, 4, 5, 2), np.nan, np.float32)}

    with pytest.raises(DataError, match="output kin_8 of capture"):
        predict(Broken(), bright_corner())


def test_an_output_that_does_not_come_is_named() -> None:
    class Silent(OneObject):
        def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return {name: values for name, values in super().run(inputs).items() if name != "box_8"}

    with pytest.raises(DataError, match="box_8 is missing"):
        predict(Silent(), bright_corner())


@pytest.mark.parametrize(
    "inputs",
    [
        (),
        (GraphTensor("image", "float32", (1, 32, 40, 3)),),
        (GraphTensor("eo", "float32", (1, 32, 40, 1)),),
        (GraphTensor("eo", "float32", (1, 32, 40, 3)), GraphTensor("lwir", "float32", (1, 16, 20, 1))),
    ],
)
def test_a_graph_that_is_no_detector_is_told_what_one_takes(inputs: tuple[GraphTensor, ...]) -> None:
    with pytest.raises(DataError, match="a detector takes"):
        input_size(Wiring(inputs, ()))  # type: ignore[arg-type]
