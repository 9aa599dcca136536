from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from models.captures import CaptureSet
from models.curation.near_duplicates import NEAR, near_duplicates
from models.scenes import SceneSpec, generate


@pytest.fixture(scope="module")
def train() -> CaptureSet:
    return generate(SceneSpec(5, 40, name="train"))


@pytest.fixture(scope="module")
def other() -> CaptureSet:
    return generate(SceneSpec(5, 40, name="other", hardness=1.0))


def _frames(captures: CaptureSet) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    pairs = [(captures.frames.eo(i), captures.frames.lwir(i)) for i in range(len(captures))]
    return np.stack([e for e, _ in pairs if e is not None]), np.stack([t for _, t in pairs if t is not None])


def _copy(captures: CaptureSet, eo: NDArray[np.uint8], lwir: NDArray[np.uint16]) -> CaptureSet:
    renamed = [replace(c, id=f"copy-{c.id}", scene=f"copy-{c.scene}") for c in captures.captures]
    return CaptureSet.from_arrays("copies", renamed, eo, lwir)


def _jpeg(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=50)
    return np.asarray(Image.open(stream))


@pytest.mark.parametrize("change", ["nothing", "noise", "jpeg", "gain", "shift"])
def test_copies_under_other_names_are_found_whatever_a_camera_or_a_codec_does(train: CaptureSet, change: str) -> None:
    eo, lwir = _frames(train)
    rng = np.random.default_rng(0)
    if change == "noise":
        eo = np.clip(eo + rng.normal(0, 6, eo.shape), 0, 255).astype(np.uint8)
        lwir = np.clip(lwir + rng.normal(0, 5, lwir.shape), 0, 65535).astype(np.uint16)
    elif change == "jpeg":
        eo = np.stack([_jpeg(frame) for frame in eo])
    elif change == "gain":
        eo, lwir = np.clip(eo * 1.2 + 5, 0, 255).astype(np.uint8), lwir + np.uint16(80)
    elif change == "shift":
        eo, lwir = np.roll(eo, 1, axis=2), np.roll(lwir, 1, axis=2)
    found = near_duplicates({"train": train, "copies": _copy(train, eo, lwir)})
    assert {pair.first[1] for pair in found} == {c.id for c in train.captures}
    # Frames of one scene may show nearly the same view; those of two scenes never do.
    assert all(pair.second[1].rsplit("-", 1)[0] == f"copy-{pair.first[1].rsplit('-', 1)[0]}" for pair in found)


def test_scenes_of_their_own_are_no_duplicates(train: CaptureSet, other: CaptureSet) -> None:
    assert near_duplicates({"train": train, "other": other}) == ()


def test_frames_of_one_pool_are_not_compared(train: CaptureSet) -> None:
    assert near_duplicates({"train": train}) == ()


class _NoBand:
    def eo(self, index: int) -> None:  # noqa: ARG002
        return None

    def lwir(self, index: int) -> NDArray[np.uint16]:  # noqa: ARG002
        return np.full((128, 160), 29000, np.uint16)


def test_frames_that_show_nothing_are_not_called_equal(train: CaptureSet) -> None:
    blank = CaptureSet("blank", train.captures[:3], _NoBand())
    assert near_duplicates({"a": blank, "b": blank}) == ()


def test_one_common_band_is_enough_to_be_found(train: CaptureSet) -> None:
    class ThermalOnly:
        def eo(self, index: int) -> None:  # noqa: ARG002
            return None

        def lwir(self, index: int) -> NDArray[np.uint16] | None:
            return train.frames.lwir(index)

    found = near_duplicates({"train": train, "thermal": CaptureSet("thermal", train.captures, ThermalOnly())})
    assert {p.first[1] for p in found if p.distance == 0} == {c.id for c in train.captures}
    assert all(p.distance < NEAR for p in found)


def test_neighbouring_frames_of_a_video_are_found(tmp_path: Path) -> None:
    """A place seen twice, the camera moved a little, as at the border of two runs of frame numbers."""
    eo, lwir = _frames(generate(SceneSpec(8, 1, width=200, height=160, name="video")))
    base = generate(SceneSpec(8, 1, name="video"))
    first = CaptureSet.from_arrays("a", base.captures, eo[:, 10:138, 10:170], lwir[:, 10:138, 10:170])
    second = CaptureSet.from_arrays("b", base.captures, eo[:, 11:139, 11:171], lwir[:, 11:139, 11:171])
    assert len(near_duplicates({"a": first, "b": second})) == 1
