"""A run folder reuses a step exactly when nothing that it depends on changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ks100.errors import UsageError
from ks100.run_folder import Run, Step, digest_path


def silent(share: float, text: str) -> None:
    """Ignore progress."""


def copy_step(calls: list[str], **changes: object) -> Step:
    def work(folder: Path, progress: object) -> None:
        calls.append("worked")
        (folder / "out.txt").write_text((folder / "in.txt").read_text().upper())

    values: dict[str, object] = {
        "name": "copy", "title": "Copy", "work": work, "outputs": ("out.txt",), "inputs": ("in.txt",),
        "parameters": {"case": "upper"}, "code": ("LICENSE",),
    }  # fmt: skip
    return Step(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path)
    (tmp_path / "in.txt").write_text("hello")
    return run


def test_a_valid_step_is_reused_and_says_so(run: Run) -> None:
    calls: list[str] = []
    assert not run.execute(copy_step(calls), silent).reused
    assert run.execute(copy_step(calls), silent).reused
    assert calls == ["worked"]


@pytest.mark.parametrize("changed", ["input", "output", "parameter", "code", "record"])
def test_a_step_is_done_again_after_a_change_of_its(run: Run, changed: str) -> None:
    calls: list[str] = []
    run.execute(copy_step(calls), silent)
    step = copy_step(calls)
    match changed:
        case "input":
            (run.folder / "in.txt").write_text("other")
        case "output":
            (run.folder / "out.txt").write_text("edited by hand")
        case "parameter":
            step = copy_step(calls, parameters={"case": "lower"})
        case "code":
            step = copy_step(calls, code=("README.md",))
        case "record":
            (run.folder / "steps" / "copy.json").write_text("{ not json")
    assert not run.execute(step, silent).reused
    assert calls == ["worked", "worked"]


def test_a_measurement_is_never_reused(run: Run) -> None:
    calls: list[str] = []
    step = copy_step(calls, reusable=False)
    run.execute(step, silent)
    run.execute(step, silent)
    assert len(calls) == 2


def test_an_interrupted_step_is_not_valid_afterwards(run: Run) -> None:
    calls: list[str] = []
    run.execute(copy_step(calls), silent)

    def interrupted(folder: Path, progress: object) -> None:
        raise KeyboardInterrupt

    (run.folder / "in.txt").write_text("new")
    with pytest.raises(KeyboardInterrupt):
        run.execute(copy_step(calls, work=interrupted), silent)
    (run.folder / "in.txt").write_text("hello")  # the inputs of the first time again: its record must be gone
    assert not run.execute(copy_step(calls), silent).reused


def test_a_missing_input_is_named(run: Run) -> None:
    (run.folder / "in.txt").unlink()
    with pytest.raises(UsageError, match=r"in\.txt"):
        run.execute(copy_step([]), silent)


def test_the_record_names_digests_that_sha256sum_would_give(run: Run) -> None:
    run.execute(copy_step([]), silent)
    record = json.loads((run.folder / "steps" / "copy.json").read_text())
    # printf HELLO | sha256sum
    assert record["outputs"]["out.txt"] == "3733cd977ff8eb18b987357e22ced99f46097f31ecb239e878ae63760e83e4d5"


def test_a_folder_digest_sees_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a").write_text("1")
    first = digest_path(folder)
    (folder / "a").rename(folder / "b")
    renamed = digest_path(folder)
    (folder / "b").write_text("2")
    assert len({first, renamed, digest_path(folder)}) == 3


def test_two_processes_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with Run(tmp_path), pytest.raises(UsageError, match="another process"):
        Run(tmp_path)


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="run folder"):
        Run(tmp_path / "file" / "run")
