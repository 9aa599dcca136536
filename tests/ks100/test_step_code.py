"""A step's result depends on every module that it reaches, and on the libraries that compute it: none is listed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ks100 import step_code
from ks100.pipeline import DemoOptions, build_steps
from ks100.step_code import PACKAGES, code_of

ROOT = Path(__file__).parents[2]
STEPS = {step.name: step for step in build_steps(DemoOptions())}
RUN_TWICE = """
from pathlib import Path
from ks100.run_folder import Run, Step

def work(folder, progress):
    from firmware_bridge.package.signing import PemSigner
    (folder / "out").write_text("signed")

with Run(Path("run")) as run:
    outcome = run.execute(Step("sign", "Sign", work, outputs=("out",)), lambda share, text: None)
print("reused" if outcome.reused else f"done: {outcome.why}")
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the four packages, to be changed."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.tflite"))
    (tmp_path / "twice.py").write_text(RUN_TWICE)
    return tmp_path


def executed(tree: Path) -> str:
    run = subprocess.run([sys.executable, "twice.py"], cwd=tree, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_one_changed_line_in_a_module_that_is_only_reached_indirectly_makes_the_step_run_again(tree: Path) -> None:
    assert executed(tree) == "done:"
    assert executed(tree) == "reused"
    indirect = tree / "firmware_bridge/package/ecdsa.py"
    indirect.write_text(
        indirect.read_text().replace(
            "from __future__ import annotations", "from __future__ import annotations\n_X = 1", 1
        )
    )
    assert executed(tree) == "done: firmware_bridge/package/ecdsa.py changed"
    stranger = tree / "models/scenes/thermal.py"
    stranger.write_text(stranger.read_text() + "\n_X = 1\n")
    assert executed(tree) == "reused"


@pytest.mark.parametrize(
    ("step", "reached"),
    [
        ("captures", "models/scenes/worker.py"),  # started by its name
        ("train", "ks100/steps/training.py"),
        ("train", "models/evaluation/metrics.py"),
        ("train", "models/training/recipes/fusion-small-demo.toml"),  # data beside a module
        ("sensitivity", "firmware_bridge/device/macs.py"),
        ("evaluate-float-conditions", "models/evaluation/matching.py"),
        ("graph", "firmware_bridge/device/runtimes/litert.toml"),
        ("gate", "models/evaluation/interval.py"),
    ],
)
def test_a_step_reaches(step: str, reached: str) -> None:
    assert reached in code_of(STEPS[step].work).files


def test_a_step_does_not_depend_on_what_it_does_not_reach() -> None:
    files = code_of(STEPS["captures"].work).files
    assert not any(file.startswith(("hil/", "models/training/", "firmware_bridge/links/")) for file in files)


def test_the_libraries_that_compute_count_by_their_versions() -> None:
    training = code_of(STEPS["train"].work).libraries
    assert training.keys() >= {"python", "numpy", "keras", "tensorflow_cpu", "ai-edge-litert"}
    assert "litert-quantizer" in code_of(STEPS["graph"].work).libraries  # imported by name, from an f-string
    assert not {"paramiko", "grimp", "rich"} & training.keys()
    assert "pytest" not in code_of(STEPS["captures"].work).libraries


def test_the_functions_own_text_counts() -> None:
    def first() -> int:
        return 1

    def second() -> int:
        return 2

    assert code_of(first).digest != code_of(second).digest


def test_a_function_depends_on_what_it_uses_from_its_module_without_importing_it() -> None:
    def work() -> object:
        return step_code_user()

    assert "ks100/step_code.py" in code_of(work).files


def step_code_user() -> object:
    return step_code


step_code_user.__module__ = "ks100.step_code"
