"""A board that keeps what it gets, on standard input and output: the subsystem of an ``sshd`` under measurement."""

from __future__ import annotations

from benchmarks.paced_line import KeepingService
from firmware_bridge.agent.server import serve
from firmware_bridge.links.stdio import stdio_link

if __name__ == "__main__":
    serve(stdio_link(), KeepingService())
