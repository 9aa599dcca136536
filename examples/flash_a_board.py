"""Push a signed package to a board, run its trial and keep it; then ask the board what it runs.

python examples/flash_a_board.py runs/demo/package.ksm emu:boards/one
"""

from __future__ import annotations

import sys

import ks100


def main(package: str, url: str) -> int:
    """Flash one board; 0 when it has the package."""
    print(f"program {ks100.read_package(package).manifest_unverified.program}")
    (result,) = ks100.flash(package, [url], create=True)  # an emulated board is made if it is not there
    if result.error is not None:
        print(f"{result.board}: {result.error}")
        return 1
    with ks100.open_board(url) as board:
        print(f"{board.info().serial} runs {result.digest[:16]} from slot {result.slot}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
