from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from models.captures import CaptureSet, stored_length
from models.curation import generate_pools
from models.errors import DataError
from models.scenes import SceneSpec, generate
from models.seal import Event, log_path, read_accesses, seal


@pytest.fixture(scope="module")
def made() -> CaptureSet:
    return generate(SceneSpec(3, 4, name="hard-holdout"))


@pytest.fixture
def sealed(made: CaptureSet, tmp_path: Path) -> Path:
    folder = tmp_path / "hard-holdout"
    made.save(folder)
    seal(folder, made.digest, "made for a test")
    return folder


def test_every_opening_of_a_sealed_set_is_on_record_with_its_purpose(sealed: Path, made: CaptureSet) -> None:
    CaptureSet.load(sealed, "evaluate a")
    CaptureSet.load(sealed)
    log = read_accesses(sealed)
    assert [(a.event, a.purpose) for a in log] == [
        (Event.SEALED, "made for a test"), (Event.OPENED, "evaluate a"), (Event.OPENED, "not stated"),
    ]  # fmt: skip
    assert {a.digest for a in log} == {made.digest}


def test_reading_leaves_the_folder_itself_as_it_was(sealed: Path) -> None:
    before = {path.name: path.read_bytes() for path in sealed.iterdir()}
    CaptureSet.load(sealed)
    assert {path.name: path.read_bytes() for path in sealed.iterdir()} == before


def test_a_pixel_changed_after_the_seal_is_refused(sealed: Path) -> None:
    frames = np.load(sealed / "lwir.npy")
    frames[2, 5, 5] ^= 1
    np.save(sealed / "lwir.npy", frames)
    with pytest.raises(DataError, match="has changed since it was sealed"):
        CaptureSet.load(sealed)
    assert len(read_accesses(sealed)) == 1


def test_an_edited_or_dropped_line_of_the_log_shows(sealed: Path) -> None:
    for _ in range(3):
        CaptureSet.load(sealed, "look")
    whole = log_path(sealed).read_bytes().splitlines(keepends=True)
    log_path(sealed).write_bytes(b"".join([whole[0], *whole[2:]]))
    with pytest.raises(DataError, match=r"access\.jsonl:2 does not follow"):
        read_accesses(sealed)
    log_path(sealed).write_bytes(b"".join(whole).replace(b"look", b"none", 1))
    with pytest.raises(DataError, match="does not follow"):
        read_accesses(sealed)


def test_an_access_that_cannot_be_logged_is_refused(sealed: Path) -> None:
    log_path(sealed).unlink()
    log_path(sealed).mkdir()
    with pytest.raises(DataError, match="cannot be logged"):
        CaptureSet.load(sealed)


def test_a_damaged_seal_is_no_unsealed_set(sealed: Path) -> None:
    for text in ("", "{}", json.dumps({"schema": 9, "digest": ""})):
        (sealed / "seal.json").write_text(text)
        with pytest.raises(DataError, match="seal"):
            CaptureSet.load(sealed)


def test_processes_that_open_it_at_once_leave_one_unbroken_log(sealed: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(_open, [str(sealed)] * 12)
    assert len(read_accesses(sealed)) == 13


def _open(folder: str) -> int:
    return len(CaptureSet.load(Path(folder)))


def test_the_generated_holdout_is_sealed_and_sealing_equal_data_again_leaves_no_line(tmp_path: Path) -> None:
    sizes = {"train": 0, "calibration": 0, "validation": 4, "conditions": 0, "ood": 0, "hard-dev": 4, "hard-holdout": 4}
    for _ in range(2):
        generate_pools(3, sizes, tmp_path)
    assert [a.event for a in read_accesses(tmp_path / "hard-holdout")] == [Event.SEALED]
    assert not (tmp_path / "hard-dev/seal.json").exists()
    generate_pools(4, sizes, tmp_path)
    assert [a.event for a in read_accesses(tmp_path / "hard-holdout")] == [Event.SEALED, Event.SEALED]


def test_counting_captures_opens_nothing(sealed: Path) -> None:
    assert stored_length(sealed) == 4
    assert len(read_accesses(sealed)) == 1
