"""What ended an ``ssh``, in one line that says what to do: read from its exit status and its standard error.

OpenSSH's messages are not translated and have been the same for many years (sshconnect.c, sshconnect2.c, clientloop.c);
what is not known here is passed on as it stands.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which

from firmware_bridge.errors import BenchError, BridgeError, TransferError
from firmware_bridge.links.openssh_command import OpenSsh
from firmware_bridge.links.ssh_server import SUBSYSTEM
from firmware_bridge.text import clean_text

__all__ = ["OWN_STATUS", "failure_of"]

OWN_STATUS = 255  # ssh's own; any other is the remote program's
_BEHIND_A_JUMP = "Connection closed by UNKNOWN port"  # the address of a connection that is a program's pipe
_NOISE = ("@@@", "Warning: Permanently added", "Authenticated to ", "Transferred: ", "Bytes per second: ", "debug")
_BROKE = (
    "client_loop: ", "Timeout, server ", "Connection to ", "Connection reset by ", "mux_client_",
    "Shared connection to ", "packet_write_wait: ", "channel 0: open failed", "Bad packet length", "Corrupted MAC",
)  # fmt: skip
_MAX_TEXT = 300


def failure_of(ssh: OpenSsh, status: int, text: str, *, logged_in: bool = True) -> BridgeError:
    """Return the error that an ``ssh`` which ended means.

    Args:
        ssh: what was started.
        status: its exit status.
        text: what it wrote to standard error.
        logged_in: whether it had logged in; what ends it before is always the bench's.
    """
    name = ssh.server.name
    lines = [clean_text(line.strip()) for line in text.replace("\r", "\n").split("\n")]
    lines = [line for line in lines if line and not line.startswith(_NOISE)]
    if status != OWN_STATUS:
        if status == 0:
            return TransferError(f"{name} was closed by the board")
        how = f"ended with status {status}" if status > 0 else f"was ended by signal {-status}"
        who = "its agent's bridge" if status > 0 else "ssh"
        return TransferError(f"{name} was closed by the board: {who} {how}; is the agent running there?")
    for pattern, meaning in _MEANINGS:
        if (match := re.search(pattern, "\n".join(lines), re.MULTILINE)) is not None:
            front = f"a host in front of {name}: " if _BEHIND_A_JUMP in text else ""
            return BenchError(front + meaning(ssh, match))
    said = "; ".join(lines[-2:])[:_MAX_TEXT] or f"ssh ended with status {status} and said nothing"
    if logged_in and any(line.startswith(_BROKE) for line in lines):
        return TransferError(f"{name} broke: {said}")
    return BenchError(f"no SSH connection to {name}: {said}")


def _changed(_: OpenSsh, match: re.Match[str]) -> str:
    host = match[1]
    return (
        f"the host key of {host} has CHANGED: another machine answers there, or someone listens in; if the board was "
        f"really replaced, remove the old key with `ssh-keygen -R '{host}'`"
    )


def _revoked(_: OpenSsh, match: re.Match[str]) -> str:
    return f"the host key of {match[1]} is REVOKED in the known hosts: nothing that has this key can be trusted"


def _unknown(ssh: OpenSsh, match: re.Match[str]) -> str:
    if _BEHIND_A_JUMP in match.string:
        return "its host key is not known; compare it there, then log in to it once with `ssh` and accept it"
    host, port = (ssh.settings.get(key, "") for key in ("hostname", "port"))
    where = ssh.server.known_hosts or "~/.ssh/known_hosts"
    return (
        f"the host key of {ssh.server.name} is not known; compare it on the board, then add it with "
        f"`ssh-keyscan -p {port} {host} >> {where}`, or give ?known_hosts=FILE"
    )


def _denied(ssh: OpenSsh, match: re.Match[str]) -> str:
    who, methods = match[1], match[2]
    files = (ssh.server.identity,) if ssh.server.identity else ssh.identities
    for file in files:
        if file is not None and (wrong := _wrong_with_key(file)):
            return f"{who} does not let us in ({methods}): {wrong}"
    return (
        f"{who} does not accept a key that is at hand, or not this user ({methods}); add one to the agent, or give "
        f"?identity=FILE"
    )


def _wrong_with_key(file: Path) -> str | None:
    """Return why ssh could not use a key file, found by ``ssh-keygen`` after the fact, or None."""
    if not file.is_file() or file.suffix == ".pub" or (keygen := which("ssh-keygen")) is None:
        return None
    command = [keygen, "-y", "-P", "", "-f", str(file)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=20)
    said = done.stderr.decode(errors="replace")
    if done.returncode == 0:
        return None
    if "passphrase" in said:
        return f"the key {file} has a passphrase; add it to the agent first: `ssh-add {file}`"
    if "too open" in said:
        return f"the key {file} may be read by others, so ssh ignores it; restrict it with `chmod 600 {file}`"
    return f"{file} is not a private key that ssh can read"


def _as_said(text: str) -> Callable[[OpenSsh, re.Match[str]], str]:
    """Return a meaning with the fields ``name`` and the match's groups, as ``{0}``, ``{1}``."""
    return lambda ssh, match: text.format(*match.groups(), name=ssh.server.name, subsystem=SUBSYSTEM)


_MEANINGS: tuple[tuple[str, Callable[[OpenSsh, re.Match[str]], str]], ...] = (
    (r"for (\S+) is marked as revoked", _revoked),
    (r"Host key for (\S+) has changed", _changed),
    (r"Host key verification failed", _unknown),
    (r"signing failed for .*: (.*)", _as_said("{name}: the agent or hardware key does not sign: {0}")),
    (r"^(\S+): Permission denied \((.*)\)", _denied),
    (
        r"Too many authentication failures",
        _as_said("{name} ends the login after too many keys; give the right one with ?identity=FILE"),
    ),
    (
        r"subsystem request failed",
        _as_said("{name} has no agent: its sshd offers no subsystem {subsystem!r}; see ks100 agent install"),
    ),
    (r"^channel 0: open failed: (.*)", _as_said("it does not get through to the next one: {0}")),
    (r"connect to host (\S+) port (\d+): (.*)", _as_said("no board answers at {name}: {2} ({0} port {1})")),
    (r"Could not resolve hostname (.*)", _as_said("no board answers at {name}: the name is not known: {0}")),
    (
        r"Unable to negotiate with .*?: (.*)",
        _as_said("{name} and this machine's OpenSSH have no algorithm in common: {0}"),
    ),
)
