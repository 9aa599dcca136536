"""A run folder reuses a step exactly when nothing that it depends on changed."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from ks100.errors import UsageError
from ks100.run_folder import Run, Step, digest_path
from ks100.step_code import StepCode


def silent(share: float, text: str) -> None:
    """Ignore progress."""


def copy_step(calls: list[str], **changes: object) -> Step:
    def work(folder: Path, progress: object) -> None:
        calls.append("worked")
        (folder / "out.txt").write_text((folder / "in.txt").read_text().upper())

    values: dict[str, object] = {
        "name": "copy", "title": "Copy", "work": work, "outputs": ("out.txt",), "inputs": ("in.txt",),
        "parameters": {"case": "upper"},
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


@pytest.mark.parametrize("changed", ["input", "output", "parameter", "code", "library", "record"])
def test_a_step_is_done_again_after_a_change_of_its(run: Run, changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
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
        case "code" | "library":
            record = json.loads((run.folder / "steps" / "copy.json").read_text())
            files, libraries = record["basis"]["code"], record["basis"]["libraries"]
            changed_code = (files | {"models/x.py": "0"}, libraries) if changed == "code" else (files, {"numpy": "9"})
            monkeypatch.setattr("ks100.run_folder.code_of", lambda _: StepCode(*changed_code))
        case "record":
            (run.folder / "steps" / "copy.json").write_text("{ not json")
    outcome = run.execute(step, silent)
    assert not outcome.reused
    assert calls == ["worked", "worked"]
    expected = {"input": "in.txt changed", "output": "out.txt was changed", "parameter": "parameter case changed",
                "code": "models/x.py changed", "library": "numpy and 1 more changed", "record": ""}  # fmt: skip
    assert outcome.why == expected[changed]


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


def half_done(folder: Path, progress: object) -> None:
    (folder / "part").mkdir(exist_ok=True)
    left = len(list((folder / "part").iterdir()))
    (folder / "part" / str(left)).write_text("")
    if left < 1:
        raise KeyboardInterrupt


def test_an_interrupted_step_goes_on_with_what_it_had_written(run: Run) -> None:
    step = Step("slow", "Slow", half_done, outputs=("part",), inputs=("in.txt",))
    with pytest.raises(KeyboardInterrupt):
        run.execute(step, silent)
    run.execute(step, silent)
    assert {path.name for path in (run.folder / "part").iterdir()} == {"0", "1"}


def test_an_interrupted_step_begins_anew_when_something_changed_meanwhile(run: Run) -> None:
    step = Step("slow", "Slow", half_done, outputs=("part",), inputs=("in.txt",))
    with pytest.raises(KeyboardInterrupt):
        run.execute(step, silent)
    (run.folder / "in.txt").write_text("other")
    with pytest.raises(KeyboardInterrupt):
        run.execute(step, silent)
    assert {path.name for path in (run.folder / "part").iterdir()} == {"0"}


def test_files_that_no_step_has_made_are_not_removed(run: Run) -> None:
    (run.folder / "part").mkdir()
    (run.folder / "part" / "photo").write_text("somebody's")
    with contextlib.suppress(KeyboardInterrupt):
        run.execute(Step("slow", "Slow", half_done, outputs=("part",)), silent)
    assert (run.folder / "part" / "photo").read_text() == "somebody's"


def test_what_is_made_once_is_kept_whatever_code_changes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    run.execute(copy_step(calls, lasting=True), silent)
    monkeypatch.setattr("ks100.run_folder.code_of", lambda _: StepCode({"x": "1"}, {}))
    assert run.execute(copy_step(calls, lasting=True), silent).reused


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
