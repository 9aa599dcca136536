"""A link over SSH without an OpenSSH client: a channel of paramiko to the board's subsystem ``ks100``.

For machines that have no ``ssh``, and by ``?client=paramiko``. What the address gives counts, with the usual keys, the
agent and the known hosts; an SSH configuration, jump hosts and hardware keys need OpenSSH. The host key is checked.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from functools import partial
from typing import Any

import paramiko

from firmware_bridge.errors import BenchError, TransferError
from firmware_bridge.links.known_hosts import KnownKeys, read_known_keys
from firmware_bridge.links.ssh_server import SUBSYSTEM, SshServer

__all__ = ["ParamikoLink", "open_paramiko"]

_READ_BYTES = 256 * 1024
_WINDOW_BYTES = 4 * 1024 * 1024  # SSH's own credit; larger than the session's, so that it is never the bottleneck
_CONNECT_S = 10.0
_STATUS_S = 0.3  # the exit status comes just after the end of file
_KEEPALIVE_S = 5  # a board that was reset under an open session is noticed
_PORT = 22
_KINDS = {"rsa-sha2-256": "ssh-rsa", "rsa-sha2-512": "ssh-rsa"}  # by how it signs: what its key is called

# paramiko logs tracebacks of its threads; what went wrong is raised, in one line.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False


class ParamikoLink:
    """A channel to the agent, and the SSH client around it."""

    def __init__(self, channel: paramiko.Channel, name: str, client: paramiko.SSHClient) -> None:
        """Take over an open channel, and the client that it runs over, to be closed with it."""
        self._client = client
        self._channel = channel
        self._name = name

    @property
    def name(self) -> str:
        """What a person would call it."""
        return self._name

    @property
    def reliable(self) -> bool:
        """True: SSH repairs losses."""
        return True

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, or ``b""`` after ``timeout_s`` seconds; raises TransferError when closed."""
        self._channel.settimeout(timeout_s)
        try:
            data = self._channel.recv(_READ_BYTES)
        except TimeoutError:
            if self._channel.closed:  # the transport died without an end of file
                raise TransferError(self._closed_text()) from None
            return b""
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise TransferError(f"{self._name} broke: {error}") from error
        if not data:
            raise TransferError(self._closed_text())
        return data

    def write(self, data: bytes) -> None:
        """Send all of ``data``; blocks while the channel's window is full; raises TransferError when closed."""
        left = memoryview(data)
        while left:
            try:
                sent = self._channel.send(left)  # type: ignore[arg-type]  # any buffer is taken; a copy would cost
            except TimeoutError:
                continue  # the reader's timeout is the channel's; a full window is no fault
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise TransferError(f"{self._name} broke while writing: {error}") from error
            if sent == 0:
                raise TransferError(self._closed_text())
            left = left[sent:]

    def close(self) -> None:
        """Close channel and connection; closing twice is allowed."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()
        self._client.close()

    def _closed_text(self) -> str:
        # What a subsystem writes to standard error stays on the board (OpenSSH's session.c); its exit status does not.
        text = f"{self._name} was closed by the board"
        self._channel.status_event.wait(_STATUS_S)
        if self._channel.exit_status > 0:
            text += f": its agent's bridge ended with status {self._channel.exit_status}; is the agent running there?"
        return text


def open_paramiko(server: SshServer) -> ParamikoLink:
    """Connect, check the host key, log in by key, and start the subsystem.

    Raises:
        BenchError: no connection, an unknown or changed host key, no login, or no agent on the board.
    """
    if server.config is not None:
        raise BenchError(f"{server.name}: an SSH configuration needs OpenSSH; leave out ?config or ?client=paramiko")
    known = read_known_keys(server.known_hosts, server.host, server.port or _PORT)
    try:
        sock = socket.create_connection((server.host, server.port or _PORT), timeout=_CONNECT_S)
    except OSError as error:
        raise BenchError(
            f"no board answers at {server.name}: {error.strerror or error} (an SSH configuration needs OpenSSH)"
        ) from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a request is one small packet that must not wait
    client = paramiko.SSHClient()
    try:
        _log_in(client, server, sock, known)
        return ParamikoLink(_start_subsystem(client, server.name), server.name, client)
    except BaseException:
        client.close()
        sock.close()
        raise


def _log_in(client: paramiko.SSHClient, server: SshServer, sock: socket.socket, known: KnownKeys) -> None:
    client.set_missing_host_key_policy(_Known(server, known))  # paramiko's own table stays empty
    # The public half of a key names one that the agent holds; paramiko can only offer all of them.
    identity = None if server.identity is None or server.identity.suffix == ".pub" else server.identity
    try:
        client.connect(
            server.host,
            server.port or _PORT,
            server.user,
            sock=sock,
            key_filename=None if identity is None else str(identity),
            allow_agent=identity is None,
            look_for_keys=identity is None,
            timeout=_CONNECT_S,
            banner_timeout=_CONNECT_S,
            auth_timeout=_CONNECT_S,
            transport_factory=partial(_transport, known),
        )
    except (paramiko.SSHException, OSError, EOFError, ValueError) as error:
        raise BenchError(_login_text(error, server.name)) from error


class _Known(paramiko.MissingHostKeyPolicy):
    """Accepts the keys that are known of one host."""

    def __init__(self, server: SshServer, known: KnownKeys) -> None:
        self._server = server
        self._known = known

    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> None:
        """Raise BenchError unless the key is known."""
        name, known = self._server.name, self._known
        if key in known.revoked:
            raise BenchError(
                f"the host key of {name} is REVOKED in the known hosts: nothing that has this key can be trusted"
            )
        if key in known.good:
            return
        if key.get_name() in known.kinds:
            raise BenchError(
                f"the host key of {name} has CHANGED: another board answers there, or someone listens in; if the "
                f"board was really replaced, remove the old key with `ssh-keygen -R '{known.host}'`"
            )
        raise BenchError(
            f"the host key of {name} is not known; compare it on the board, then add it with `ssh-keyscan -p "
            f"{self._server.port or _PORT} {self._server.host} >> ~/.ssh/known_hosts`, or give ?known_hosts=FILE"
        )


def _transport(known: KnownKeys, sock: Any, **options: Any) -> paramiko.Transport:
    """Ask for a host key of a known kind, and prefer AES-GCM: paramiko's own choice passes over the data twice."""
    transport = paramiko.Transport(sock, **options)
    security = transport.get_security_options()
    security.ciphers = sorted(security.ciphers, key=lambda name: "gcm" not in name)
    security.key_types = sorted(security.key_types, key=lambda name: _KINDS.get(name, name) not in known.kinds)
    return transport


def _login_text(error: Exception, name: str) -> str:
    """Return what to tell the user."""
    match error:
        case paramiko.PasswordRequiredException():
            return f"the key for {name} has a passphrase; add it to the agent first: `ssh-add FILE`"
        case paramiko.AuthenticationException():
            return f"{name} does not accept this key or user; give another with ?identity=FILE"
        case paramiko.SSHException() if "No authentication methods" in str(error):
            return f"{name} accepts no key that is at hand; add one to the agent, or give ?identity=FILE"
        case _:
            return f"no SSH connection to {name}: {error}"


def _start_subsystem(client: paramiko.SSHClient, name: str) -> paramiko.Channel:
    transport = client.get_transport()
    try:
        if transport is None:
            raise EOFError("the connection is gone")
        transport.set_keepalive(_KEEPALIVE_S)
        channel = transport.open_session(window_size=_WINDOW_BYTES)
        channel.invoke_subsystem(SUBSYSTEM)
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise BenchError(f"{name} has no agent: its sshd offers no subsystem {SUBSYSTEM!r} ({error})") from error
    return channel
