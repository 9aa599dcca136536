"""Command by command, without the demo: each act is stated in one log, and the chain proves what the package says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ks100.cli.main import main
from ks100.steps.keyring import Keyring

Said = Callable[..., tuple[int, str, str]]


def _captures(folder: Path) -> None:
    for seed, (name, count) in enumerate({"train": 16, "validation": 8, "calibration": 6, "hard": 16}.items()):
        arguments = ["scenes", "generate", "--seed", seed, "--count", count, "--out", folder / name]
        assert main([str(argument) for argument in arguments]) == 0


@pytest.mark.slow
def test_the_chain_of_separate_commands_verifies(tmp_path: Path, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Keyring.create(tmp_path / "keys")
    monkeypatch.setenv("KS100_LOG", str(tmp_path / "custody"))
    monkeypatch.setenv("KS100_LOG_KEY", str(ring.path("log")))
    monkeypatch.setenv("KS100_LOG_PASSPHRASE_FILE", str(tmp_path / "keys/passphrase"))
    sets, network, graph = tmp_path / "captures", tmp_path / "network", tmp_path / "int8.tflite"
    parent, gate, package = network / "float.tflite", tmp_path / "gate.json", tmp_path / "int8.ksm"
    _captures(sets)
    assert said("train", "--captures", sets, "--recipe", "fusion-small-smoke", "--out", network)[0] == 0
    quantize = ("quantize", parent, "--plan", "int8", "--method", "minmax", "--calibration", sets / "calibration")
    assert said(*quantize, "--allow-collapse", "--out", graph)[0] == 0
    for name, path in (("parent", parent), ("candidate", graph)):
        assert said("evaluate", path, "--captures", sets / "hard", "--out", tmp_path / f"{name}.json")[0] == 0
    policy = tmp_path / "policy.toml"
    policy.write_text("hard_margin_points = 100\ncondition_margin_points = 100\n")
    said("gate", tmp_path / "parent.json", tmp_path / "candidate.json", "--policy", policy, "--out", gate)
    plan = tmp_path / "plan.json"
    _standard_plan(plan)
    sign = ("sign", graph, "--key", ring.path("program"), "--passphrase-file", tmp_path / "keys/passphrase",
            "--program", "lab", "--gate", gate, "--plan", plan, "--calibration", sets / "calibration",
            "--parent", parent, "--waive", "a network of two epochs", "--out", package)  # fmt: skip
    code, _, error = said(*sign)
    assert code == 0, error
    code, shown, error = said("custody", "verify", package, "--key", tmp_path / "keys/log.pem.pub")
    assert code == 0, error
    code, shown, _ = said("custody", "show", package)
    for act in ("train", "quantize", "gate", "sign"):
        assert act in shown


def _standard_plan(path: Path) -> None:
    from models.quant.plan import PrecisionPlan

    PrecisionPlan.named("int8").save(path)


def test_a_log_without_its_key_is_told_before_any_work(tmp_path: Path, said: Said) -> None:
    code, _, error = said("train", "--captures", tmp_path, "--out", tmp_path / "n", "--log", tmp_path / "custody")
    assert (code, error.count("\n")) == (2, 1)
    assert "--log-key" in error
    assert not (tmp_path / "n").exists()
