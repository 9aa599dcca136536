"""The link of a program that was started for one session: its standard input and output, as under ``sshd``."""

from __future__ import annotations

import os
import sys

from firmware_bridge.links.descriptor import DescriptorLink

__all__ = ["stdio_link"]


def stdio_link(name: str = "stdio:") -> DescriptorLink:
    """Take over standard input and output as a reliable link.

    Afterwards standard output points to standard error, so that a stray print cannot damage a frame.
    """
    sys.stdout.flush()
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    return DescriptorLink(reading, writing, name=name, reliable=True)
