"""One card from a foreign float graph to a signed package: quantized, evaluated, judged and shown with its classes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware_bridge.package.container import PackageFile
from ks100.cli.main import cli
from models.card import ModelCard
from models.evaluation.evaluation import Evaluation


def run(*words: object) -> str:
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


@pytest.fixture(scope="module")
def net(bright_yolo: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``net.tflite`` with its card beside it, and ``int8.tflite`` made of it with captures."""
    folder = tmp_path_factory.mktemp("net")
    (folder / "net.tflite").write_bytes(bright_yolo)
    run("card", folder / "net.tflite", "--classes", "airplane,bird,drone")
    card = folder / "net.card.toml"
    card.write_text(card.read_text().replace('band = "eo"', 'band = "lwir"'))
    return folder


def test_a_foreign_graph_goes_the_whole_way_with_one_card(net: Path, sky: Path, tmp_path: Path) -> None:
    quantize = ["quantize", net / "net.tflite", "--calibration", sky, "--plan", "int8", "--out", net / "int8.tflite"]
    run(*quantize)
    assert ModelCard.load(net / "int8.card.toml") == ModelCard.load(net / "net.card.toml")
    for name in ("net", "int8"):
        run("evaluate", net / f"{name}.tflite", "--captures", sky, "--out", tmp_path / f"{name}.json")
    assert Evaluation.load(tmp_path / "int8.json").classes == ("airplane", "bird", "drone")
    shown = run("gate", tmp_path / "net.json", tmp_path / "int8.json", "--out", tmp_path / "gate.json")
    assert "15 independent scenes" in shown  # too few to conclude from: the figures are there, the verdict is not
    (tmp_path / "words").write_text("a long passphrase\n")
    (tmp_path / "words").chmod(0o600)
    secret = ["--passphrase-file", tmp_path / "words"]
    run("keys", "new", tmp_path / "key.pem", *secret)
    package = tmp_path / "net.ksm"
    sign = ["sign", net / "int8.tflite", "--key", tmp_path / "key.pem", "--program", "sky", "--waive", "test"]
    run(*sign, *secret, "--out", package)
    signed = PackageFile.open(package).manifest_unverified.card
    assert signed is not None
    assert signed.classes == ("airplane", "bird", "drone")
    assert "airplane, bird, drone" in run("inspect", package)
    # A package is read with the card that is signed into it, and with no other list of classes.
    other = tmp_path / "other.card.toml"
    other.write_text((net / "net.card.toml").read_text().replace('"bird"', '"plane"'))
    run("evaluate", package, "--captures", sky)
    refused = CliRunner().invoke(cli, ["evaluate", str(package), "--captures", str(sky), "--card", str(other)])
    assert "is not the card signed into" in str(refused.exception)


def test_captures_become_samples_as_the_card_says(net: Path, sky: Path, tmp_path: Path) -> None:
    import numpy as np

    shown = run("calibration", "samples", net / "net.tflite", "--captures", sky, "--count", 4, "--out", tmp_path / "s")
    assert "4 samples of 30 captures" in shown
    files = sorted((tmp_path / "s").glob("*/*.npz"))
    assert {path.parent.name for path in files} == {"distance=far", "distance=near"}
    with np.load(files[0]) as arrays:
        assert (arrays.files, arrays["image"].shape) == (["image"], (1, 32, 48, 3))
    again = CliRunner().invoke(
        cli, ["calibration", "samples", str(net / "net.tflite"), "--captures", str(sky), "--out", str(tmp_path / "s")]
    )
    assert "is there already" in str(again.exception)
