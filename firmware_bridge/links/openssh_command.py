"""The command line of the system's OpenSSH client for a server, on top of what the user's own configuration says.

What is added: no prompts, no forwarding, keepalives and a limit on connecting where the configuration sets none.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from firmware_bridge.errors import BenchError
from firmware_bridge.links.ssh_server import SshServer

__all__ = ["OpenSsh"]

_CONNECT_S = 10
_KEEPALIVE_S = 5  # a board that was reset under an open session is noticed after three of them
_ASK_S = 20.0  # `ssh -G` and `ssh -O check` stay on this machine
_MAX_HOPS = 8  # a configuration in which two hosts jump through each other starts programs without end
_NO_SHELLS = {"false", "nologin"}  # of service users; ssh runs local commands in $SHELL
_ALWAYS = (
    "BatchMode=yes", "RequestTTY=no", "RemoteCommand=none", "ForwardAgent=no", "ForwardX11=no",
    "ClearAllForwardings=yes", "LogLevel=INFO",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpenSsh:
    """The client, a server, and what the configuration says of it.

    Attributes:
        program: path of ``ssh``.
        server: the server.
        settings: the effective configuration by lower-case keyword, as ``ssh -G`` prints it; the first of each.
        identities: the key files that it names, in order.
    """

    program: str
    server: SshServer
    settings: Mapping[str, str] = field(default_factory=dict)
    identities: tuple[Path, ...] = ()

    @classmethod
    def find(cls, server: SshServer) -> OpenSsh:
        """Ask the client what its configuration says of ``server``.

        Raises:
            BenchError: there is no client, or it refuses the configuration or what was given.
        """
        program = shutil.which("ssh")
        if program is None:
            raise BenchError("OpenSSH's client is not installed; install it with: apt-get install openssh-client")
        bare = cls(program, server)
        lines = bare._effective(bare._target())
        settings = dict(reversed(lines))
        bare._check_jumps(settings)
        identities = tuple(Path(value).expanduser() for key, value in lines if key == "identityfile")
        return cls(program, server, settings, identities)

    def subsystem(self, subsystem: str, marker: str) -> list[str]:
        """Return the command that joins its standard input and output to a subsystem.

        Args:
            subsystem: its name.
            marker: written to standard error once ssh has logged in, by its LocalCommand.
        """
        mark = f"/bin/sh -c 'echo {marker} >&2'"
        theirs = self.settings.get("localcommand", "none")
        if self.settings.get("permitlocalcommand") == "yes" and theirs != "none":
            mark = f"{theirs}; {mark}"
        options = ("PermitLocalCommand=yes", f"LocalCommand={mark}")
        return [*self._begin(options), "-s", *self._target(), subsystem]

    def remote(self, command: str) -> list[str]:
        """Return the command that runs a shell command on the server."""
        return [*self._begin(), "-T", *self._target(), command]

    @staticmethod
    def environment() -> dict[str, str]:
        """Return the environment to start it in: without a program that prompts, with a shell for local commands."""
        environment = {**os.environ, "SSH_ASKPASS_REQUIRE": "never"}
        if Path(environment.get("SHELL", "")).name in _NO_SHELLS:
            environment["SHELL"] = "/bin/sh"
        return environment

    def is_shared(self) -> bool:
        """Return whether a connection that the user's configuration shares is open already."""
        if self.settings.get("controlpath", "none") == "none":
            return False
        return self._ask(["-O", "check", *self._target()]).returncode == 0

    def _begin(self, more: tuple[str, ...] = ()) -> list[str]:
        options = [*_ALWAYS, *more, *self._defaults()]
        return [self.program, *self._given(), *(part for option in options for part in ("-o", option))]

    def _defaults(self) -> list[str]:
        options = []
        if self.settings.get("serveraliveinterval", "0") == "0":
            options += [f"ServerAliveInterval={_KEEPALIVE_S}", "ServerAliveCountMax=3"]
        if self.settings.get("connecttimeout", "none") == "none":
            options.append(f"ConnectTimeout={_CONNECT_S}")
        if self.settings.get("controlpersist", "no") == "no":
            # A connection that others share would end with this one: it is used, but only one that outlives us is made.
            options.append("ControlMaster=no")
        return options

    def _given(self) -> list[str]:
        server = self.server
        given = []
        if server.config is not None:
            given += ["-F", str(server.config)]
        if server.user is not None:
            given += ["-l", server.user]
        if server.port is not None:
            given += ["-p", str(server.port)]
        if server.identity is not None:
            given += ["-o", "IdentitiesOnly=yes", "-o", f"IdentityFile={_quoted(server.identity)}"]
        if server.known_hosts is not None:
            known = f"UserKnownHostsFile={_quoted(server.known_hosts)}"
            given += ["-o", known, "-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"]
        return given

    def _target(self) -> list[str]:
        return ["--", self.server.host]

    def _effective(self, target: list[str]) -> list[tuple[str, str]]:
        done = self._ask(["-G", *target])
        if done.returncode != 0:
            said = "; ".join(done.stderr.replace("\r", "").strip().splitlines()) or f"exit status {done.returncode}"
            raise BenchError(f"ssh refuses its configuration, or the address {self.server.name}: {said}")
        lines = (line.partition(" ") for line in done.stdout.splitlines())
        return [(key, value) for key, _, value in lines]

    def _ask(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        command = [self.program, *self._given(), *arguments]
        try:
            return subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASK_S, check=False,
                text=True, encoding="utf-8", errors="surrogateescape", env=self.environment(),
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise BenchError(f"`{shlex.join(command)}` did not finish within {_ASK_S:.0f} s") from error

    def _check_jumps(self, settings: Mapping[str, str]) -> None:
        """Refuse jumps in a circle, through which ssh would start itself for ever."""
        for _ in range(_MAX_HOPS):
            jump = settings.get("proxyjump", "none")
            if jump.lower() == "none":
                return
            first = jump.partition(",")[0]
            settings = dict(reversed(self._effective(["--", first if "://" in first else f"ssh://{first}"])))
        raise BenchError(
            f"the SSH configuration leads to {self.server.name} through more than {_MAX_HOPS} hosts, in a circle?"
        )


def _quoted(path: Path) -> str:
    """Return a path as one argument of the configuration, without a token to expand."""
    return '"' + str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"') + '"'
