"""`ks100 gate` as an ML engineer meets it: verdict and exit code, why, and the same again from the evidence alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from firmware_bridge.package.signing import PemSigner
from hil.conformance.signing_kit import tiny_graph
from ks100.cli.main import main
from ks100.steps.keyring import Keyring
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


def test_only_what_the_judge_signed_of_this_graph_is_evidence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ring = Keyring.create(tmp_path / "keys")
    PemSigner.generate(tmp_path / "judge.pem", ring.passphrase())
    Path("graph.tflite").write_bytes(tiny_graph())
    captures = captures_of(300)
    found, digest = detections_of(captures), hashlib.sha256(tiny_graph()).hexdigest()
    parent = _save(tmp_path, "FP32", captures, found)
    evaluate(captures, found, "INT8", model_digest=digest).save(tmp_path / "INT8.json")
    evaluate(captures, found, "INT8", model_digest="ab" * 32).save(tmp_path / "other.json")
    passphrase = ("--passphrase-file", "keys/passphrase")
    judge = ("--key", "judge.pem", *passphrase)
    sign = ("sign", "graph.tflite", "--program", "p", "--key", str(ring.path("program")), *passphrase)
    signed = (*sign, "--judge", "judge.pem.pub", "--gate", "gate.json")

    assert main(["gate", parent, "other.json", "--out", "gate.json", *judge]) == 0
    gate = Path("gate.json")
    gate.write_text(gate.read_text().replace("ab" * 32, digest))  # another model's evidence, made to fit
    assert main([*signed]) == 2
    assert "the judge signed another evidence, graph" in capsys.readouterr().err
    Path("gate.json.dsse").unlink()
    assert main([*signed]) == 2
    assert "the judge has not signed gate.json" in capsys.readouterr().err

    assert main(["gate", parent, "INT8.json", "--out", "gate.json", *judge]) == 0
    Path("lenient.toml").write_text("hard_margin_points = 100\n")
    assert main([*signed, "--policy", "lenient.toml"]) == 2
    assert "judged by other margins" in capsys.readouterr().err
    assert main([*signed]) == 0
    assert main([*sign, "--judge", str(ring.path("log")) + ".pub", "--gate", "gate.json"]) == 2
    assert "not a statement of the judge's key" in capsys.readouterr().err


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
