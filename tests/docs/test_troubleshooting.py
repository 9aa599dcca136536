"""The troubleshooting page has a row for whatever can go wrong: reasons of trust, error classes, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

import firmware_bridge.errors
import hil.errors
import ks100.errors
import models.errors
from firmware_bridge.package.reasons import RejectReason
from ks100.errors import ExitCode

PAGE = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
MODULES = (firmware_bridge.errors, hil.errors, models.errors, ks100.errors)
CLASSES = [name for module in MODULES for name in module.__all__ if isinstance(getattr(module, name), type)]


@pytest.mark.parametrize("reason", RejectReason, ids=lambda reason: reason.code)
def test_every_rejection_reason_has_its_row(reason):
    assert f"| `{reason.code}` |" in PAGE


@pytest.mark.parametrize("name", [name for name in CLASSES if name.endswith("Error")])
def test_every_error_class_has_its_row(name):
    assert f"| `{name}` |" in PAGE


@pytest.mark.parametrize("code", ExitCode, ids=lambda code: code.name)
def test_every_exit_code_has_its_row(code):
    assert str(int(code)) in "".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| "))
