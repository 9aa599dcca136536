"""`ks100 gate` as an ML engineer meets it: verdict and exit code, why, and the same again from the evidence alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ks100.cli.main import main
from models.captures import CaptureSet
from models.evaluation.metrics import evaluate
from models.heads import Detections
from tests.evaluation.synthetic import captures_of, detections_of, without


def _save(folder: Path, name: str, captures: CaptureSet, found: list[Detections]) -> str:
    path = folder / f"{name}.json"
    evaluate(captures, found, name).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("frames", "dropped", "code", "verdict"),
    [(300, 0.0, 0, "PASS"), (400, 0.1, 1, "FAIL"), (20, 0.0, 6, "INCONCLUSIVE")],
)
def test_the_verdict_is_the_exit_code_and_the_evidence_gives_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], frames: int, dropped: float, code: int, verdict: str
) -> None:
    captures = captures_of(frames)
    found = detections_of(captures)
    parent = _save(tmp_path, "FP32", captures, found)
    candidate = _save(tmp_path, "INT8", captures, without(found, dropped) if dropped else found)
    evidence = tmp_path / "gate.json"
    assert main(["gate", parent, candidate, "--out", str(evidence)]) == code
    assert f"gate: {verdict} (" in capsys.readouterr().out
    assert main(["gate", str(evidence)]) == code
    assert "with the same result" in capsys.readouterr().out


def test_edited_evidence_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captures = captures_of(300)
    found = detections_of(captures)
    parent, candidate = _save(tmp_path, "FP32", captures, found), _save(tmp_path, "INT8", captures, without(found, 0.5))
    evidence = tmp_path / "gate.json"
    main(["gate", parent, candidate, "--out", str(evidence)])
    evidence.write_text(evidence.read_text().replace('"FAIL"', '"PASS"'))
    capsys.readouterr()
    assert main(["gate", str(evidence)]) == 2
    assert "it was edited" in capsys.readouterr().err


def test_with_the_captures_it_shows_cells_and_the_frames_that_got_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    captures_of(100).save(tmp_path / "hard")
    captures = CaptureSet.load(tmp_path / "hard")
    found = detections_of(captures)
    parent, candidate = _save(tmp_path, "FP32", captures, found), _save(tmp_path, "INT8", captures, without(found, 0.5))
    main(["gate", parent, candidate, "--captures", str(tmp_path / "hard")])
    shown = capsys.readouterr().out
    assert "anything beyond 150 m" in shown
    assert "Worst frames of INT8" in shown
    assert "(the parent finds it)" in shown
