"""Runs every command block of README and the guides, in order, in a fresh folder: `make docs-check`.

A fenced block marked ``sh`` is run as it stands, by bash, with errors fatal. Three markers, all visible in the source:

- a line that ends in ``# exit N`` is expected to end with that exit code;
- ``<!-- not run: REASON -->`` on the line before a block leaves it out, and the reason is printed;
- ``<!-- needs: FOLDER -->`` there needs the dataset ``shared/FOLDER`` beside the checkout (``KS100_SHARED``), which
  is linked into the folder; without it the block is left out.

The pages share one folder, in the order in which they are given, so that a guide may use what an earlier one made.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "docs/ml-engineer.md",
    "docs/your-network.md",
    "docs/firmware-engineer.md",
    "docs/bench-technician.md",
    "docs/lab-ci.md",
    "docs/auditor.md",
    "docs/extend.md",
)
_BLOCK = re.compile(
    r"(?:<!-- (?P<marker>not run|needs): (?P<reason>[^>]+) -->\n\s*)?^```sh\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_EXIT = re.compile(r"^(?P<command>.*?)\s+# exit (?P<code>\d+)$", re.MULTILINE)
_LIMIT_S = 900
_SHARED = Path(os.environ.get("KS100_SHARED", ROOT.parent / "shared"))


@dataclass(frozen=True, slots=True)
class Block:
    """One command block of a page."""

    page: str
    line: int
    text: str
    reason: str

    @property
    def script(self) -> str:
        """What bash runs: expected exit codes become checks."""
        check = (
            r'code=0; { \g<command>; } || code=$?; [ $code = \g<code> ] || { echo "exit $code, not \g<code>"; exit 1; }'
        )
        return "set -euo pipefail\n" + _EXIT.sub(check, self.text)


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Yield a page's command blocks in order."""
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        reason = (found["reason"] or "").strip()
        if found["marker"] == "needs":
            reason = "" if (_SHARED / reason).is_dir() else f"there is no {_SHARED / reason}"
        yield Block(page, line, found["text"], reason)


def _run(block: Block, folder: Path, environment: dict[str, str]) -> str:
    begun_s = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", block.script], check=False, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_LIMIT_S,
    )  # fmt: skip
    print(f"{block.page}:{block.line}: exit {done.returncode}, {time.monotonic() - begun_s:.1f} s", flush=True)
    return "" if done.returncode == 0 else f"{block.page}:{block.line}\n{block.text}\n{done.stdout[-4000:]}"


def main() -> int:
    """Run the pages; 1 when a block ends otherwise than it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="holds demo/, from `make demo`")
    parser.add_argument("pages", nargs="*", default=PAGES)
    given = parser.parse_args()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    failed, count = [], 0
    with tempfile.TemporaryDirectory(prefix="ks100-docs-") as name:
        folder = Path(name)
        (folder / "runs").symlink_to(given.runs.resolve())
        (folder / "examples").symlink_to(ROOT / "examples")
        for dataset in sorted(_SHARED.glob("*/annotations")):
            (folder / dataset.parent.name).symlink_to(dataset.parent.resolve())
        environment["HOME"] = name
        for page in given.pages:
            for block in blocks_of(page, (ROOT / page).read_text(encoding="utf-8")):
                if block.reason:
                    print(f"{block.page}:{block.line}: not run: {block.reason}")
                    continue
                count += 1
                failed += [text] if (text := _run(block, folder, environment)) else []
    for text in failed:
        print(f"\nFAILED {text}")
    print(f"{count - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
