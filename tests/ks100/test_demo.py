"""The whole way with a network of seconds: it is worth nothing, and every part that it walks through is real."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from hil.measurements.results import HilResults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

# What the gate says of such a network: its float parent finds nothing, so nothing can be said of the candidate.
INCONCLUSIVE = 6
POOLS = ("train=48", "calibration=16", "validation=48", "conditions=48", "ood=10", "hard-dev=8", "hard-holdout=48")


def ks100(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from ks100.cli.main import main; sys.exit(main())"]
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)


def demo(run: Path, *more: str | Path) -> subprocess.CompletedProcess[str]:
    frames = [part for pool in POOLS for part in ("--pairs", pool)]
    return ks100("demo", "--run", run, "--recipe", "fusion-small-smoke", "--waive", "a test's network", *frames, *more)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None:
        pytest.skip("no sshd: apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("demo") / "run"
    done = demo(folder)
    assert done.returncode == INCONCLUSIVE, done.stdout + done.stderr
    assert "rejected as chunk" in done.stdout
    assert "rejected as unknown-key" in done.stdout
    assert "over serial" in done.stdout
    return folder


def test_leaves_a_report_that_needs_no_network_and_machine_readable_results(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "EMULATED" in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page
    report = json.loads((run / "report.json").read_text())
    assert report["runs"][0]["source"] == "EMULATED"
    suites = ET.parse(run / "junit.xml").getroot()
    assert sum(int(suite.get("tests", 0)) for suite in suites) > 10


def test_a_second_demo_reuses_what_is_valid_and_says_so(run: Path) -> None:
    done = demo(run)
    assert done.returncode == INCONCLUSIVE, done.stdout + done.stderr
    reused = [line for line in done.stdout.splitlines() if "reused, still valid" in line]
    assert len(reused) == 24, "\n".join(reused)


def test_every_private_key_is_for_the_owner_only(run: Path) -> None:
    keys = [*(run / "keys").glob("*.pem"), run / "keys/passphrase"]
    assert len(keys) == 5
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in keys)


def test_the_package_verifies_and_its_custody_proves_how_it_came_to_be(run: Path) -> None:
    assert ks100("verify", run / "package.ksm", "--trust", run / "trust.ksr").returncode == 0
    custody = ks100("custody", "verify", run / "package.ksm", "--key", run / "keys/log.pem.pub")
    assert custody.returncode == 0, custody.stderr
    assert "train → quantize → gate → sign → push" in custody.stdout
    shown = ks100("inspect", run / "package.ksm").stdout
    assert "WAIVED: a test's network" in shown
    assert "CONV_2D:INT8" in shown


def test_an_edited_custody_log_is_noticed(run: Path, tmp_path: Path) -> None:
    log = tmp_path / "custody"
    shutil.copytree(run / "custody", log)
    entries = next(path for path in log.iterdir() if "quantize" in path.read_text() or "payload" in path.read_text())
    lines = entries.read_text().splitlines(keepends=True)
    entries.write_text("".join(lines[1:]))
    done = ks100("custody", "verify", run / "package.ksm", "--log", log, "--key", run / "keys/log.pem.pub")
    assert done.returncode == 4
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("part", "reason"), [("manifest", "signature"), ("payload", "payload-digest|chunk")])
def test_a_tampered_package_is_refused_with_exit_code_4_by_host_and_board(
    run: Path, tmp_path: Path, part: str, reason: str
) -> None:
    data = bytearray((run / "package.ksm").read_bytes())
    data[data.index(b"tflite") if part == "manifest" else -100] ^= 1  # the manifest names the payload's format
    tampered = tmp_path / "tampered.ksm"
    tampered.write_bytes(data)
    for unchecked in ((), ("--unchecked",)):
        done = ks100("flash", *unchecked, "--board", "emu:", "--trust", run / "trust.ksr", tampered)
        assert done.returncode == 4, done.stderr
        assert any(word in done.stderr for word in reason.split("|"))


def test_the_suite_runs_as_plain_pytest_with_the_trust_store_beside_the_package(run: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--pyargs", "hil.suite", "--ks-board", "emu:", "--ks-package",
         str(run / "package.ksm"), "-q", "-p", "no:cacheprovider"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_a_graph_can_be_signed_only_with_a_passed_gate_for_these_very_bytes(run: Path, tmp_path: Path) -> None:
    common = ("--key", run / "keys/program.pem", "--passphrase-file", run / "keys/passphrase", "--program", "demo",
              "--out", tmp_path / "out.ksm")  # fmt: skip
    without = ks100("sign", run / "graphs/mixed-qat.tflite", *common)
    assert without.returncode == 2
    assert "gate" in without.stderr
    other = ks100("sign", run / "graphs/int8-ptq.tflite", "--gate", run / "gate.json", *common)
    assert other.returncode == 2
    assert "another graph" in other.stderr
    assert not (tmp_path / "out.ksm").exists()


def test_the_gate_stops_a_candidate_that_has_not_passed(run: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("min_scenes = 1000\n")
    done = ks100(
        "demo", "--run", run, "--recipe", "fusion-small-smoke", "--policy", policy,
        *(part for pool in POOLS for part in ("--pairs", pool)),
    )  # fmt: skip
    assert done.returncode == INCONCLUSIVE
    assert "INCONCLUSIVE" in done.stdout
    assert "not released" in done.stderr


LYNX = Path(__file__).parents[1] / "boards" / "lynx.toml"
# What the first board's profile says, in the words of pages and tables.
OF_THE_FIRST_BOARD = re.compile(
    r"\b(?:8000|80 ms|8 W|60 frames/s|59\.4|16\.67?|6\.1 W|5\.6 W|6100|3\.4 G)\b|KS-100|VDD_|vdd_"
    r"|\bks100\b(?! (?:hil|demo|report))"
)


@pytest.fixture(scope="module")
def second(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("second") / "run"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("board-*", "hil-results", "pushes", "custody", ".lock"))
    done = demo(folder, "--profile", LYNX)
    assert done.returncode == INCONCLUSIVE, done.stdout + done.stderr
    assert "Train the fusion detector (FP32): reused" in done.stdout
    table = done.stdout[done.stdout.index("Deployment report") :]
    assert OF_THE_FIRST_BOARD.findall(table) == []
    assert "≤ 15000" in table
    return folder


def test_another_board_goes_through_all_steps_without_a_figure_of_the_first(second: Path) -> None:
    page = (second / "report.html").read_text()
    for words in ("120 ms", "15 W", "30 frames/s", "board 5V", "lynx-2", "counts cars", "9.9 W"):
        assert words in page, words
    assert OF_THE_FIRST_BOARD.findall(re.sub(r'base64,[^"]*', "", page)) == []
    results = HilResults.load(second / "hil-results")
    assert results.requirements is not None
    assert (results.requirements.window_ms, results.requirements.budget_mw) == (120, 15000)
    assert sum(item.name.startswith("power_rail_") for item in results.measurements) == 5
    assert [m.limit.high for m in results.measurements if m.limit and m.name.startswith("latency_")] == [120] * 3
    assert ks100("inspect", second / "package.ksm").stdout.count("lynx-2") == 1


def test_runs_of_one_kind_of_board_are_compared_and_of_two_are_not(run: Path, second: Path, tmp_path: Path) -> None:
    results = HilResults.load(second / "hil-results")
    replace(results, started_s=results.started_s + 60).save(tmp_path)  # a run is not compared with itself
    same = ks100("hil", "compare", second / "hil-results", tmp_path)
    assert same.returncode in (0, INCONCLUSIVE), same.stderr
    assert "power_total" in same.stdout
    other = ks100("hil", "compare", run / "hil-results", second / "hil-results")
    assert other.returncode == 2
    assert "board: ks100 before, lynx-2 now" in other.stderr


def test_a_package_for_one_kind_of_board_is_refused_by_another(run: Path, second: Path) -> None:
    done = ks100("flash", second / "package.ksm", "--board", "emu:")
    assert done.returncode == 4
    assert "board" in done.stderr
    matching = ks100("flash", second / "package.ksm", "--board", f"emu:?board={LYNX}")
    assert matching.returncode == 0, matching.stderr
