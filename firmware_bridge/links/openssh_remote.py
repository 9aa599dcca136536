"""A shell command on a server, over the same OpenSSH client as the links: for putting the agent on a board."""

from __future__ import annotations

import shlex
import subprocess

from firmware_bridge.errors import BenchError
from firmware_bridge.links.openssh_command import OpenSsh
from firmware_bridge.links.openssh_errors import OWN_STATUS, failure_of

__all__ = ["run_remote"]


def run_remote(ssh: OpenSsh, command: str, data: bytes, limit_s: float) -> str:
    """Run ``command`` with ``data`` as its input, and return its output.

    Raises:
        BenchError: ssh does not get there, or the command fails; its last line says why.
        TransferError: the connection broke.
    """
    try:
        done = subprocess.run(
            ssh.remote(command), input=data, capture_output=True, timeout=limit_s, check=False,
            start_new_session=True, env=ssh.environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{ssh.server.name} did not finish within {limit_s:.0f} s; log in and look at it") from error
    output, said = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
    if done.returncode == OWN_STATUS:
        raise failure_of(ssh, done.returncode, said)
    if done.returncode != 0:
        last = (said.strip() or output.strip()).splitlines()[-1:] or ["it said nothing"]
        what = shlex.split(command)[0]
        raise BenchError(f"{ssh.server.name}: {what} failed with exit code {done.returncode}: {last[0].strip()}")
    return output
