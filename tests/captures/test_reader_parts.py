"""The parts that all readers share: text, names, flags, rectangles; and what judging makes of a frame's state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.captures import Capture, CaptureSet, Conditions, ObjectClass, TruthObject
from models.errors import DataError
from models.evaluation.coco import coco_figures
from models.evaluation.matching import match_frame
from models.evaluation.metrics import evaluate
from models.heads import Detections
from models.readers.names import assign, frame_ids
from models.readers.segmentation import around_segmentation
from models.readers.text import decode_text, flag, number


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *(("行人,汽车", code) for code in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "gb2312", "gb18030")),
        *(("Fußgänger,vélo", code) for code in ("utf-8", "utf-16", "latin-1", "cp1252")),
        *(("a;b", code) for code in ("utf-16-le", "utf-16-be", "ascii")),
        ('<?xml version="1.0" encoding="big5"?><a>車</a>', "big5"),
        ('<?xml version="1.0" encoding="windows-1251"?><a>пешеход</a>', "cp1251"),
    ],
)
def test_text_is_read_whatever_wrote_it(text: str, encoding: str) -> None:
    assert decode_text(text.encode(encoding)) == text


@given(st.binary(max_size=60))
def test_every_text_decodes(data: bytes) -> None:
    assert isinstance(decode_text(data), str)


@pytest.mark.parametrize("value", [1, 2, "1", "true", "Yes", True, 1.0])
def test_flags_that_are_set(value: object) -> None:
    assert flag(value)


@pytest.mark.parametrize("value", [0, "0", "false", "No", " ", "", None, False, "none", 0.0])
def test_flags_that_are_not_set(value: object) -> None:
    assert not flag(value)


@pytest.mark.parametrize("value", ["nan", "inf", "x", "", None, True, [1], 10**400])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        number(value)


@pytest.mark.parametrize(
    ("listed", "files", "found"),
    [
        (["1.png"], ["t/1.png"], {"t/1.png": "1.png"}),
        (["day/1.png", "night/1.png"], ["t/day/1.png", "t/night/1.png"],
         {"t/day/1.png": "day/1.png", "t/night/1.png": "night/1.png"}),
        (["day/1.png"], ["t/day/1.png", "t/night/1.png"], {"t/day/1.png": "day/1.png"}),
        (["1.png"], ["t/day/1.png", "t/night/1.png"], {}),
        (["day/1.png", "night/1.png"], ["1.png"], {}),
        (["images/1.png", "images/2.png"], ["t/1.png"], {"t/1.png": "images/1.png"}),
        (["set/day/1.png", "set/night/1.png"], ["day/1.png", "night/1.png"],
         {"day/1.png": "set/day/1.png", "night/1.png": "set/night/1.png"}),
        (["T\\1.PNG"], ["t/1.png"], {"t/1.png": "T\\1.PNG"}),
        (["x1"], ["t/x1.png"], {"t/x1.png": "x1"}),
    ],
)  # fmt: skip
def test_a_listed_name_means_one_file_or_none(listed: list[str], files: list[str], found: dict[str, str]) -> None:
    assert assign(listed, files).by_file == found


@given(st.lists(st.sampled_from(["a/1.png", "b/1.png", "b/c/1.png", "2.png", "a/2.jpg", "1"]), unique=True),
       st.lists(st.sampled_from(["a/1.png", "x/b/1.png", "b/c/1.png", "2.png", "y/2.jpg"]), unique=True))  # fmt: skip
def test_no_name_is_two_files_and_none_is_lost(listed: list[str], files: list[str]) -> None:
    found = assign(listed, files)
    assert len(set(found.by_file.values())) == len(found.by_file)
    assert not set(found.by_file) & set(found.ambiguous)
    assert not set(found.unused) & set(found.by_file.values())


def test_ids_are_as_short_as_they_may_be() -> None:
    assert frame_ids(["x/1.png", "x/2.png"]) == ["1", "2"]
    assert frame_ids(["x/1.png", "y/1.png"]) == ["x/1", "y/1"]
    assert frame_ids(["x/1.png", "x/1.jpg"]) == ["x/1.png", "x/1.jpg"]


@given(st.data())
def test_rectangles_around_masks_are_the_coco_apis(data: st.DataObject) -> None:
    from pycocotools import mask as oracle

    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    bits = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    picture = np.array(bits, np.uint8).reshape(height, width, order="F")
    packed = oracle.encode(np.asfortranarray(picture))
    runs = [len(list(run)) for run in _runs(bits)]
    for counts in (packed["counts"].decode(), runs):
        mask = {"size": [height, width], "counts": counts}
        if not picture.any():
            with pytest.raises(ValueError, match="empty"):
                around_segmentation(mask)
            continue
        x, y, w, h = oracle.toBbox(packed)
        assert around_segmentation(mask) == (x, y, x + w, y + h)


def _runs(bits: list[bool]) -> list[list[bool]]:
    """Runs of equal bits, beginning with one of background, empty where the first bit is set."""
    runs: list[list[bool]] = [[]]
    for bit in bits:
        if bit is not bool(len(runs) % 2 == 0):
            runs.append([])
        runs[-1].append(bit)
    return runs


@given(st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["size", "counts"]), inner),
    max_leaves=9,
))  # fmt: skip
def test_any_segmentation_has_a_finite_rectangle_or_is_refused(segmentation: object) -> None:
    try:
        box = around_segmentation(segmentation)
    except ValueError:
        return
    assert np.isfinite(box).all()


BOX = (10.0, 10.0, 30.0, 30.0)
FRAME = Capture("a", "a", 64, 48, Conditions(), (TruthObject(ObjectClass.CAR, BOX, ignore=True),))


def _seen(label: ObjectClass) -> Detections:
    zero = np.zeros(1, np.float32)
    return Detections(np.array([BOX], np.float32), zero + 0.9, np.array([int(label)]), zero, zero)


@pytest.mark.parametrize("label", ObjectClass)
def test_what_is_ignored_excuses_a_detection_of_every_class(label: ObjectClass) -> None:
    assert match_frame(FRAME, _seen(label)).outcome.tolist() == [-1]


@pytest.mark.parametrize("label", ObjectClass)
def test_a_frame_that_is_not_labelled_has_neither_misses_nor_false_alarms(label: ObjectClass) -> None:
    unknown = replace(FRAME, objects=(), labelled=False)
    assert match_frame(unknown, _seen(label)).outcome.tolist() == [-1]
    assert match_frame(replace(unknown, labelled=True), _seen(label)).outcome.tolist() == [0]


def test_cocos_figures_leave_out_what_is_ignored_or_not_labelled() -> None:
    real = TruthObject(ObjectClass.TRUCK, (40.0, 10.0, 60.0, 30.0))
    truth = replace(FRAME, objects=(*FRAME.objects, real))
    frames = (truth, replace(FRAME, id="b", objects=(), labelled=False))
    boxes = np.array([BOX, real.box], np.float32)
    zero = np.zeros(2, np.float32)
    # The truck on the ignored car is more certain than the one that is there: a false alarm would cost precision.
    seen = Detections(boxes, np.array([0.9, 0.8], np.float32), np.full(2, int(ObjectClass.TRUCK)), zero, zero)
    captures = CaptureSet("x", frames, None)  # type: ignore[arg-type]
    assert coco_figures(captures, [seen, seen]).ap50 == pytest.approx(1)


def test_only_labelled_frames_are_judged_and_a_set_without_any_is_named(tmp_path: Path) -> None:
    eo, lwir = np.zeros((2, 48, 64, 3), np.uint8), np.zeros((2, 48, 64), np.uint16)
    frames = (FRAME, replace(FRAME, id="b", objects=(), labelled=False))
    captures = CaptureSet.from_arrays("field", frames, eo, lwir)
    captures.save(tmp_path)
    stored = CaptureSet.load(tmp_path)
    assert [c.labelled for c in stored.captures] == [True, False]
    assert stored.digest == captures.digest != CaptureSet.from_arrays("field", (FRAME, FRAME), eo, lwir).digest
    assert [c.id for c in stored.labelled.captures] == ["a"]
    assert stored.labelled.labelled is stored.labelled
    assert evaluate(stored.labelled, [_seen(ObjectClass.CAR)], "m").slices[0].frames == 1
    with pytest.raises(DataError, match="field: none of its 1 frames is labelled"):
        _ = stored.subset([1]).labelled
