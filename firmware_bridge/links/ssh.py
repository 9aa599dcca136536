"""A link over SSH: a channel of paramiko to the board's subsystem ``ks100``. The board's host key is always checked."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any, TypeAlias

import paramiko

from firmware_bridge.errors import BenchError, TransferError
from firmware_bridge.links.ssh_route import Hop, find_route

__all__ = ["SUBSYSTEM", "SshLink", "open_ssh"]

SUBSYSTEM = "ks100"
"""Name of the agent's subsystem in the board's ``sshd_config``."""

_Socket: TypeAlias = socket.socket | paramiko.Channel | paramiko.ProxyCommand

_READ_BYTES = 256 * 1024
_WINDOW_BYTES = 4 * 1024 * 1024  # SSH's own credit; larger than the session's, so that it is never the bottleneck
_CONNECT_S = 10.0
_STATUS_S = 0.3  # the exit status comes just after the end of file
_KEEPALIVE_S = 5  # a board that was reset under an open session is noticed


class _Proxy(paramiko.ProxyCommand):
    """The program of a ProxyCommand, which ends with the link."""

    def close(self) -> None:
        """Ask it to end; paramiko's threads may do so again after it has."""
        self.process.terminate()

    def release(self) -> None:
        """Wait for its end and close its pipes."""
        self.close()
        self.process.communicate()


class SshLink:
    """A channel to the agent, and the SSH clients around it."""

    def __init__(self, channel: paramiko.Channel, name: str, below: contextlib.ExitStack) -> None:
        """Take over an open channel, and what it runs over, to be closed with it."""
        self._below = below
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
        self._below.close()

    def _closed_text(self) -> str:
        # What a subsystem writes to standard error stays on the board (OpenSSH's session.c); its exit status does not.
        text = f"{self._name} was closed by the board"
        self._channel.status_event.wait(_STATUS_S)
        if self._channel.exit_status > 0:
            text += f": its agent's bridge ended with status {self._channel.exit_status}; is the agent running there?"
        return text


def open_ssh(
    host: str,
    *,
    user: str | None = None,
    port: int | None = None,
    identity: Path | None = None,
    known_hosts: Path | None = None,
    config: Path | None = None,
) -> SshLink:
    """Connect, check the host key, log in by key, and start the subsystem.

    Args:
        host: name or address, or an alias of the SSH configuration.
        user: defaults to the configuration's, then to the local user's name.
        port: TCP port; defaults to the configuration's, then to 22.
        identity: private key file; without it the configuration's, the agent's and the usual files are tried.
        known_hosts: file of known host keys; defaults to the configuration's, then to the user's.
        config: an OpenSSH client configuration; the user's and the system's otherwise. See `ssh_route`.

    Raises:
        BenchError: no connection, an unknown or changed host key, no login, or no agent on the board; at which host.
    """
    route = find_route(host, user=user, port=port, identity=identity, known_hosts=known_hosts, config=config)
    name = route.hops[-1].name
    with contextlib.ExitStack() as opened:
        sock = _first_socket(route.hops[0], route.command, opened)
        client = _log_in(route.hops[0], sock, opened)
        for hop in route.hops[1:]:
            client = _log_in(hop, _through(client, hop), opened)
        channel = _start_subsystem(client, name)
        return SshLink(channel, name, opened.pop_all())


def _first_socket(hop: Hop, command: str | None, opened: contextlib.ExitStack) -> _Socket:
    if command is not None:
        try:
            proxy = _Proxy(command)
        except (OSError, ValueError, ImportError) as error:
            raise BenchError(f"the SSH configuration's ProxyCommand of {hop.name} does not start: {error}") from error
        opened.callback(proxy.release)
        return proxy
    try:
        sock = socket.create_connection((hop.host, hop.port), timeout=_CONNECT_S)
    except OSError as error:
        raise BenchError(f"no board answers at {hop.name}: {error.strerror or error}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a request is one small packet that must not wait
    return sock


def _through(jump: paramiko.SSHClient, hop: Hop) -> _Socket:
    transport = jump.get_transport()
    try:
        if transport is None:
            raise EOFError("the connection is gone")
        transport.set_keepalive(_KEEPALIVE_S)
        return transport.open_channel(
            "direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), window_size=_WINDOW_BYTES, timeout=_CONNECT_S
        )
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise BenchError(f"the host in front of {hop.name} does not get through to it: {error}") from error


def _load_known_hosts(client: paramiko.SSHClient, hop: Hop) -> None:
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    if not hop.known_hosts:
        client.load_system_host_keys()
    for file in hop.known_hosts:
        try:
            client.load_system_host_keys(str(file))  # read, never written: nobody is trusted by connecting
        except FileNotFoundError:
            continue  # as for OpenSSH: a file that is not there knows no host
        except (OSError, paramiko.SSHException) as error:
            raise BenchError(f"cannot read the known host keys in {file}: {error}") from error


def _log_in(hop: Hop, sock: _Socket, opened: contextlib.ExitStack) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    opened.callback(client.close)
    _load_known_hosts(client, hop)
    try:
        client.connect(
            hop.key_name or hop.host,
            22 if hop.key_name else hop.port,  # an alias stands for host and port
            hop.user,
            sock=sock,
            key_filename=[str(file) for file in hop.identities] or None,  # type: ignore[arg-type]  # the stub lacks lists
            allow_agent=hop.agent,
            look_for_keys=not hop.identities,
            timeout=_CONNECT_S,
            banner_timeout=_CONNECT_S,
            auth_timeout=_CONNECT_S,
            transport_factory=_transport,
        )
    except BaseException as error:
        sock.close()
        text = _login_text(error, hop)
        if text is None:
            raise
        raise BenchError(text) from error
    return client


def _transport(sock: Any, **options: Any) -> paramiko.Transport:
    """Prefer AES-GCM, which passes over the data once; paramiko's own choice does so twice, for cipher and MAC."""
    transport = paramiko.Transport(sock, **options)
    security = transport.get_security_options()
    security.ciphers = sorted(security.ciphers, key=lambda name: "gcm" not in name)
    return transport


def _login_text(error: BaseException, hop: Hop) -> str | None:
    """Return what to tell the user, or None when the error is not the connection's."""
    known_as = hop.key_name or (hop.host if hop.port == 22 else f"[{hop.host}]:{hop.port}")
    match error:
        case paramiko.BadHostKeyException():
            return (
                f"the host key of {hop.name} has CHANGED: another board answers there, or someone listens in; if the "
                f"board was really replaced, remove the old key with `ssh-keygen -R '{known_as}'`"
            )
        case paramiko.PasswordRequiredException():
            return f"the key for {hop.name} has a passphrase; add it to the agent first: `ssh-add FILE`"
        case paramiko.AuthenticationException():
            return f"{hop.name} does not accept this key or user; give another with ?identity=FILE"
        case paramiko.SSHException() if "No authentication methods" in str(error):
            return f"{hop.name} accepts no key that is at hand; add one to the agent, or give ?identity=FILE"
        case paramiko.SSHException() if "not found in known_hosts" in str(error):
            return (
                f"the host key of {hop.name} is not known; compare it on the board, then add it with "
                f"`ssh-keyscan -p {hop.port} {hop.host} >> ~/.ssh/known_hosts`, or give ?known_hosts=FILE"
            )
        case FileNotFoundError() if error.filename:
            return f"there is no identity file {error.filename}"
        case paramiko.SSHException() | OSError() | EOFError() | ValueError():
            return f"no SSH connection to {hop.name}: {error}"
        case _:
            return None


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
