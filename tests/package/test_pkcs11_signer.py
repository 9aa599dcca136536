"""Runs the checks of the token signer in a process of its own: a token's library and TensorFlow's break each other."""

import subprocess
import sys
from pathlib import Path

import pytest

from firmware_bridge.errors import InputError
from firmware_bridge.package.pkcs11 import Pkcs11Signer

CHECKS = Path(__file__).with_name("token_checks.py")


def test_the_token_signer_keeps_its_promises():
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:xdist", str(CHECKS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKS.parents[2])
    if " passed" not in done.stdout and "SKIPPED" in done.stdout:
        pytest.skip(next(line for line in done.stdout.splitlines() if line.startswith("SKIPPED")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_process_with_tensorflow_is_refused_before_it_crashes(monkeypatch):
    pytest.importorskip("pkcs11")
    monkeypatch.setitem(sys.modules, "tensorflow", object())
    with pytest.raises(InputError, match="TensorFlow"):
        Pkcs11Signer.open(Path("/usr/lib/softhsm/libsofthsm2.so"), "bench", "1234", "program", b"1")
