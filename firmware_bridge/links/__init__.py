"""Byte pipes between a host and a board: serial, SSH, sockets, memory. A session is driven over one by `session/`.

Importing the package imports none of them: paramiko and pyserial are loaded where they are used.
"""

from firmware_bridge.links.link import Link

__all__ = ["Link"]
