"""The agent's command line: ``serve`` is the daemon of a board, ``attach`` is what sshd starts for each session."""

from __future__ import annotations

import sys

_USAGE = "usage: python -m firmware_bridge.agent {serve,attach} --help\n"


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    # Imported late, one at a time: attach runs at the begin of every session, and must not wait for NumPy.
    match arguments:
        case ["attach", *rest]:
            from firmware_bridge.agent import attach

            return attach.main(rest)
        case ["serve", *rest]:
            from firmware_bridge.agent import serve_command

            return serve_command.main(rest)
        case _:
            sys.stderr.write(_USAGE)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
