"""A link over SSH: a channel of paramiko to the board's subsystem ``ks100``. The board's host key is always checked."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import paramiko

from firmware_bridge.errors import BenchError, TransferError

__all__ = ["SUBSYSTEM", "SshLink", "open_ssh"]

SUBSYSTEM = "ks100"
"""Name of the agent's subsystem in the board's ``sshd_config``."""

_READ_BYTES = 256 * 1024
_WINDOW_BYTES = 4 * 1024 * 1024  # SSH's own credit; larger than the session's, so that it is never the bottleneck
_CONNECT_S = 10.0
_STATUS_S = 0.3  # the exit status comes just after the end of file
_KEEPALIVE_S = 5  # a board that was reset under an open session is noticed


class SshLink:
    """A channel to the agent, and the SSH client around it."""

    def __init__(self, client: paramiko.SSHClient, channel: paramiko.Channel, name: str) -> None:
        """Take over a connected client and its open channel."""
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


def open_ssh(
    host: str,
    *,
    user: str | None = None,
    port: int = 22,
    identity: Path | None = None,
    known_hosts: Path | None = None,
) -> SshLink:
    """Connect, check the host key, log in by key, and start the subsystem.

    Args:
        host: name or address.
        user: defaults to the local user's name.
        port: TCP port.
        identity: private key file; without it the agent and the usual files are tried.
        known_hosts: file of known host keys; defaults to the user's.

    Raises:
        BenchError: no connection, an unknown or changed host key, no login, or no agent on the board.
    """
    name = f"ssh://{f'{user}@' if user else ''}{host}" + (f":{port}" if port != 22 else "")
    client = paramiko.SSHClient()
    try:
        _load_known_hosts(client, known_hosts)
        _connect(client, name, (host, port), user, identity)
        channel = _start_subsystem(client, name)
    except BaseException:
        client.close()
        raise
    return SshLink(client, channel, name)


def _load_known_hosts(client: paramiko.SSHClient, known_hosts: Path | None) -> None:
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        if known_hosts is None:
            client.load_system_host_keys()
        else:
            client.load_host_keys(str(known_hosts))
    except (OSError, paramiko.SSHException) as error:
        raise BenchError(f"cannot read the known host keys in {known_hosts}: {error}") from error


def _connect(
    client: paramiko.SSHClient,
    name: str,
    endpoint: tuple[str, int],
    user: str | None,
    identity: Path | None,
) -> None:
    host, port = endpoint
    try:
        sock = socket.create_connection(endpoint, timeout=_CONNECT_S)
    except OSError as error:
        raise BenchError(f"no board answers at {name}: {error.strerror or error}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a request is one small packet that must not wait
    try:
        client.connect(
            host,
            port,
            user,
            sock=sock,
            key_filename=str(identity) if identity else None,
            allow_agent=identity is None,
            look_for_keys=identity is None,
            timeout=_CONNECT_S,
            banner_timeout=_CONNECT_S,
            auth_timeout=_CONNECT_S,
        )
    except BaseException as error:
        sock.close()
        text = _connect_text(error, name, host, port)
        if text is None:
            raise
        raise BenchError(text) from error


def _connect_text(error: BaseException, name: str, host: str, port: int) -> str | None:
    """Return what to tell the user, or None when the error is not the connection's."""
    where = host if port == 22 else f"[{host}]:{port}"
    match error:
        case paramiko.BadHostKeyException():
            return (
                f"the host key of {name} has CHANGED: another board answers there, or someone listens in; if the board "
                f"was really replaced, remove the old key with `ssh-keygen -R {where}`"
            )
        case paramiko.AuthenticationException():
            return f"{name} does not accept this key or user; give another with ?identity=FILE"
        case paramiko.SSHException() if "not found in known_hosts" in str(error):
            return (
                f"the host key of {name} is not known; compare it on the board, then add it with "
                f"`ssh-keyscan -p {port} {host} >> ~/.ssh/known_hosts`, or give ?known_hosts=FILE"
            )
        case FileNotFoundError() if error.filename:
            return f"there is no identity file {error.filename}"
        case paramiko.SSHException() | OSError() | EOFError() | ValueError():
            return f"no SSH connection to {name}: {error}"
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
