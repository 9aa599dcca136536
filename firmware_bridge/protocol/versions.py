"""Versions of the messages: which ones this end speaks, and what it sends instead to a peer of an older one.

Between two versions only three things may differ, so that both ends stay compatible (`docs/protocol.md` has the rules):
a field is added at the end with a default (the codec then sends it to peers of that version on, and accepts arrays
with and without it), a message is added, or a message replaces another, which is translated here. Knows no bytes.
"""

from __future__ import annotations

from firmware_bridge.protocol.messages import Busy, Fault, FaultKind, Message

__all__ = ["MESSAGES_VERSION", "OLDEST_VERSION", "common_version", "current_form", "form_for"]

MESSAGES_VERSION = 3
"""Newest version of the messages that this end speaks, as `messages.Hello` and `messages.Welcome` carry it."""

OLDEST_VERSION = 1
"""Oldest version that it speaks; `Hello` is always sent in the form of this one."""

_BUSY_SINCE = 2


def common_version(peer: int) -> int | None:
    """Return the newest version that this end and a peer of version ``peer`` both speak, or None without one."""
    return min(peer, MESSAGES_VERSION) if peer >= OLDEST_VERSION else None


def form_for(message: Message, version: int) -> Message:
    """Return ``message`` as a peer of ``version`` knows it."""
    if isinstance(message, Busy) and version < _BUSY_SINCE:
        return Fault(FaultKind.BUSY, f"{message.since_s:.0f} {message.holder}")
    return message


def current_form(message: Message) -> Message:
    """Return a message of any supported version as this version knows it."""
    if isinstance(message, Fault) and message.kind is FaultKind.BUSY:
        seconds, _, holder = message.detail.partition(" ")
        return Busy(float(seconds[:9]) if seconds.isdecimal() else 0.0, holder or "another host")
    return message
