"""The version has one source, and a release is one everywhere (docs/releasing.md)."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_bridge.package import manifest
from firmware_bridge.protocol.versions import MESSAGES_VERSION
from hil.measurements.results import FILE as RESULTS

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
HEADING = re.search(r"^## (\S+) \((.+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip("not a git checkout: clone the repository to check its tags")
    return run.stdout.strip()


def test_the_changelog_begins_with_the_version_of_the_project() -> None:
    assert HEADING is not None
    assert HEADING[1] == VERSION
    assert re.fullmatch(r"unreleased|\d{4}-\d\d-\d\d", HEADING[2])


def test_no_code_repeats_the_version() -> None:
    called = re.compile(rf"ks100[-= ]{re.escape(VERSION)}\b")
    files = [*ROOT.glob("*/**/*.py"), *ROOT.glob("docs/**/*.md"), ROOT / "Makefile"]
    ours = [file for file in files if file.relative_to(ROOT).parts[0] in PARTS and "peers" not in file.parts]
    assert len(ours) > 300
    assert [str(file) for file in ours if called.search(file.read_text())] == []


PARTS = {"ks100", "hil", "models", "firmware_bridge", "docs", "examples", "Makefile"}


def test_a_tag_of_this_commit_is_the_version_and_the_changelog_has_its_date() -> None:
    tags = [tag for tag in git("tag", "--points-at", "HEAD").split() if tag.startswith("v")]
    for tag in tags:
        assert tag == f"v{VERSION}"
        assert HEADING is not None
        assert HEADING[2] != "unreleased"


def test_the_command_prints_every_version(said: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = said("version", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["toolkit"] == VERSION
    assert found["protocol"]["messages"] == MESSAGES_VERSION
    assert found["package"] == {"container": 1, "manifest": manifest.SCHEMA, "payload": "tflite 3", "trust store": 1}
    assert found["files"]["HIL results"] == RESULTS.schema
    code, out, _ = said("version")
    assert code == 0
    assert f"manifest {manifest.SCHEMA}, payload tflite 3" in out
