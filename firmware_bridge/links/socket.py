"""The link over a connected stream socket, e.g. the one between the agent and its ``sshd`` subsystem."""

from __future__ import annotations

import os
import socket

from firmware_bridge.links.descriptor import DescriptorLink

__all__ = ["socket_link"]


def socket_link(connected: socket.socket, name: str = "socket:") -> DescriptorLink:
    """Take over a connected stream socket as a reliable link; ``connected`` must not be used afterwards."""
    reading = connected.detach()
    return DescriptorLink(reading, os.dup(reading), name=name, reliable=True)
