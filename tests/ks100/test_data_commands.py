"""The data commands as an ML engineer meets them: split without leaks, find overlaps, mine, seal, calibrate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ks100.cli.main import main
from models.captures import CaptureSet
from tests.captures.dataset_fixtures import grey

Said = Callable[..., tuple[int, str, str]]
DETECTOR = Path(__file__).parents[1] / "hil/detector.tflite"


def _generate(folder: Path, seed: int, count: int = 24) -> Path:
    assert main(["scenes", "generate", "--seed", str(seed), "--count", str(count), "--out", str(folder)]) == 0
    return folder


def test_the_same_seed_gives_the_same_digest(tmp_path: Path, said: Said) -> None:
    digests = [CaptureSet.load(_generate(tmp_path / name, 7, 8)).digest for name in ("a", "b")]
    assert digests[0] == digests[1]
    assert digests[0][:16] in said("scenes", "generate", "--seed", 7, "--count", 8, "--out", tmp_path / "c")[1]


def test_parts_of_a_split_share_nothing_and_a_copy_is_found(tmp_path: Path, said: Said) -> None:
    source = _generate(tmp_path / "source", 3, 40)
    split = ("dataset", "split", source, "--part", "train=0.7", "--part", "validation=0.3", "--out", tmp_path / "parts")
    code, shown, _ = said(*split)
    assert code == 0
    assert "train" in shown
    assert said("dataset", "overlap", tmp_path / "parts/train", tmp_path / "parts/validation")[0] == 0
    code, shown, _ = said("dataset", "overlap", source, tmp_path / "parts/train")
    assert code == 1
    assert "share" in shown


def test_a_share_that_is_no_number_is_one_line(tmp_path: Path, said: Said) -> None:
    code, _, error = said("dataset", "split", tmp_path, "--part", "train=most", "--out", tmp_path / "x")
    assert (code, error.count("\n")) == (2, 1)
    assert "train=most" in error


def test_a_described_dataset_is_counted_with_what_is_wrong_in_it(tmp_path: Path, said: Said) -> None:
    for name in ("day_1", "night_2"):
        grey(tmp_path / "t" / f"{name}.png")
    (tmp_path / "t/day_3.png").write_bytes(b"not an image")
    (tmp_path / "d.toml").write_text(
        "[lwir]\nfiles = 't/{frame}.png'\n[conditions]\nname = '(?P<thermal>day|night)_'\n"
    )
    code, shown, _ = said("dataset", "inspect", tmp_path / "d.toml")
    assert code == 0
    assert "2 frames, 0 boxes" in shown
    assert "thermal: day 1, night 1" in shown
    assert "day_3.png" in shown


def test_a_sealed_holdout_tells_who_opened_it(tmp_path: Path, said: Said) -> None:
    holdout = _generate(tmp_path / "holdout", 5, 8)
    assert said("hard", "seal", holdout)[0] == 0
    assert said("dataset", "inspect", holdout)[0] == 0
    code, shown, _ = said("hard", "accesses", holdout)
    assert code == 0
    assert "inspect" in shown


def test_a_calibration_set_that_lacks_a_condition_is_named(tmp_path: Path, said: Said) -> None:
    evaluation, source = _generate(tmp_path / "evaluation", 1, 60), _generate(tmp_path / "source", 2, 60)
    assert said("calibration", "build", source, "--count", 40, "--out", tmp_path / "whole")[0] == 0
    assert said("calibration", "check", tmp_path / "whole", "--evaluation", evaluation)[0] == 0
    captures = CaptureSet.load(source)
    day = [i for i, capture in enumerate(captures.captures) if capture.conditions.get("thermal") == "day"]
    captures.subset(day).save(tmp_path / "day")
    code, shown, _ = said("calibration", "check", tmp_path / "day", "--evaluation", evaluation)
    assert code == 1
    assert "crossover" in shown


def test_a_dataset_of_one_band_may_be_named_and_its_unlabelled_frames_do_not_go_into_parts(
    tmp_path: Path, said: Said
) -> None:
    for name in ("a", "b", "c"):
        grey(tmp_path / "images" / f"{name}.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.txt").write_text("person\n")
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (tmp_path / "labels/b.txt").write_text("")
    code, shown, _ = said("dataset", "inspect", tmp_path)
    assert code == 0
    assert "bands: LWIR" in shown
    assert "frames: 1 with boxes, 1 labelled as empty, 1 unlabelled" in shown
    assert "bands: EO" in said("dataset", "inspect", tmp_path, "--band", "eo")[1]
    code, shown, _ = said("dataset", "split", tmp_path, "--part", "all=1", "--out", tmp_path / "parts")
    assert code == 0
    assert "1 frames are unlabelled (left out)" in shown
    assert [c.id for c in CaptureSet.load(tmp_path / "parts/all").captures] == ["a", "b"]


def test_a_split_that_was_kept_back_is_evaluated_by_its_path_alone(tmp_path: Path, said: Said) -> None:
    frames = [f"ir/test/{distance}_IR_BIRD_00{k}_0001.png" for k, distance in enumerate(("close", "distant"))]
    for name in frames:
        grey(tmp_path / name, (160, 128))
    images = [{"id": k, "file_name": name, "width": 160, "height": 128} for k, name in enumerate(frames)]
    boxes = [{"id": 1, "image_id": 0, "category_id": 2, "bbox": [9, 9, 30, 30]}]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/ir-test.json").write_text(
        json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 2, "name": "bird"}]})
    )
    code, shown, error = said("evaluate", DETECTOR, "--captures", tmp_path)
    assert (code, "error" in error) == (0, False)
    for words in (
        "distance: close",
        "distance: distant",
        "1 with boxes, 1 labelled as empty",
        "unmapped class",
        "bird",
    ):
        assert words in shown
