"""A link over the system's OpenSSH client: ``ssh -s HOST ks100``, the session on its standard input and output.

Configuration, agents, hardware keys, jump hosts, host keys and shared connections are OpenSSH's own. It never prompts:
``ssh`` runs in batch mode and without a terminal. See docs/adr/0007-openssh.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable

from firmware_bridge.errors import BenchError, BridgeError, TransferError
from firmware_bridge.links.descriptor import DescriptorLink
from firmware_bridge.links.openssh_command import OpenSsh
from firmware_bridge.links.openssh_errors import failure_of
from firmware_bridge.links.ssh_server import SUBSYSTEM, SshServer

__all__ = ["OpenSshLink", "open_openssh"]

_LOGIN_S = 120.0  # sshd's own LoginGraceTime; connecting has its limit of 10 s within
_SAY_AFTER_S = 5.0  # a key that waits for a touch must not look like a program that hangs
_POLL_S = 0.05
_END_S = 2.0  # how long an ssh whose input has ended may take to deliver what it has
_LAST_WORDS_S = 0.3  # what ssh wrote just before it ended
_PIPE_BYTES = 256 * 1024  # a pipe's usual 64 KiB cost a change of processes for each quarter
_MAX_TEXT_BYTES = 32 * 1024


def open_openssh(server: SshServer) -> OpenSshLink:
    """Start ``ssh`` and wait until it has logged in.

    Raises:
        BenchError: no connection, an unknown or changed host key, no login, or a configuration that ssh refuses.
    """
    ssh = OpenSsh.find(server)
    marker = secrets.token_hex(8)
    link = OpenSshLink(ssh, marker)
    try:
        if not ssh.is_shared():  # over a shared connection there is no login to wait for
            link.wait_for_login(marker)
    except BaseException:
        link.close()
        raise
    return link


class OpenSshLink(DescriptorLink):
    """Standard input and output of a running ``ssh``."""

    def __init__(self, ssh: OpenSsh, marker: str) -> None:
        """Start it.

        Args:
            ssh: the server, and the options for it.
            marker: what ssh writes to its standard error once it has logged in.
        """
        self._ssh = ssh
        there_read, there_write = os.pipe()
        back_read, back_write = os.pipe()
        for pipe in (there_write, back_write):
            with contextlib.suppress(OSError):  # a fleet may reach the user's limit on pipes
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        super().__init__(back_read, there_write, name=ssh.server.name, reliable=True)
        # A session of its own: Ctrl-C ends what the command does in its order, and ssh finds no terminal to prompt on.
        self._process = subprocess.Popen(
            ssh.subsystem(SUBSYSTEM, marker), stdin=there_read, stdout=back_write, stderr=subprocess.PIPE,
            start_new_session=True, env=ssh.environment(), bufsize=0,
        )  # fmt: skip
        for end in (there_read, back_write):
            os.close(end)
        self._said = bytearray()
        self._says = threading.Event()  # it has written more, or has ended
        self._listener = threading.Thread(target=self._listen, name=f"errors of {self.name}", daemon=True)
        self._listener.start()

    def wait_for_login(self, marker: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Return when ssh has logged in; raises BenchError when it does not."""
        begun_s = clock()
        remark_due = True
        while marker.encode() not in self._said:
            self._says.wait(_POLL_S)
            self._says.clear()
            if marker.encode() not in self._said and self._ended(0.0):
                if marker.encode() in self._said:
                    return  # logged in, and ended since: the first read says how
                raise self._failure(logged_in=False)
            if remark_due and clock() - begun_s > _SAY_AFTER_S:
                remark_due = False
                logging.getLogger(__name__).warning(
                    "%s: ssh is still logging in; does a hardware key wait for a touch, or an agent for a yes?",
                    self.name,
                )
            if clock() - begun_s > _LOGIN_S:
                raise BenchError(f"no SSH connection to {self.name}: ssh has not logged in within {_LOGIN_S:.0f} s")

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            while data := stream.read(4096):
                self._said += data
                del self._said[:-_MAX_TEXT_BYTES]
                self._says.set()
        self._says.set()

    def _ended(self, timeout_s: float) -> bool:
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._listener.join(_LAST_WORDS_S)  # not for ever: a proxy's program may keep the pipe open
        return True

    def _failure(self, *, logged_in: bool = True) -> BridgeError:
        said = self._said.decode(errors="replace")
        return failure_of(self._ssh, self._process.returncode, said, logged_in=logged_in)

    def _end_of_file(self) -> BridgeError:
        if self._ended(_END_S):
            return self._failure()
        return TransferError(f"{self.name} was closed by the board")

    def _release(self) -> None:
        super()._release()
        if not self._ended(_END_S):
            self._process.terminate()
            if not self._ended(_END_S):
                self._process.kill()
                self._process.wait()
