"""The emulated board needs no root: when the tests run as root, this one runs a board as somebody else."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys

import pytest

_SCRIPT = """
import os, sys, tempfile
from pathlib import Path
from hil.boards import open_board
assert os.geteuid() != 0
with tempfile.TemporaryDirectory() as folder:
    for link in ("ssh", "serial"):
        with open_board(f"emu:{folder}?link={link}", create=True) as board:
            print(board.info().serial)
"""


def _somebody() -> pwd.struct_passwd | None:
    """Return an account that can log in: sshd runs the subsystem through its shell."""
    shells = ("/bin/sh", "/bin/bash", "/bin/dash", "/usr/bin/bash")
    return next((entry for entry in pwd.getpwall() if entry.pw_uid and entry.pw_shell in shells), None)


def test_a_board_runs_without_root(sshd):
    if os.geteuid() != 0:
        command = []
    else:
        user, unshare = _somebody(), shutil.which("unshare")
        if user is None or unshare is None:
            pytest.skip("run the tests as a normal user; here is no other account with a shell, or no unshare")
        # A user namespace: another user to the kernel and to sshd, who can still read this checkout.
        command = [unshare, "--user", f"--map-user={user.pw_uid}"]
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
            pytest.skip("run the tests as a normal user; this kernel makes no user namespaces")
    done = subprocess.run([*command, sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = done.stdout.split()
    assert first == second
