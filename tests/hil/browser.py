"""A headless Chromium that opens one page, runs a script in it, and gives back what the script returns.

Needs Debian's `chromium`, and `npm` once for axe-core; nothing drives the browser: the script travels in the page.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

AXE = "axe-core@4.14.1"
_LIMIT_S = 120
_ANSWER = re.compile(r'<pre id="answer">(.*?)</pre>', re.DOTALL)
# Runs when the page has loaded; leaves its answer in the page, which the browser then prints.
_RUNNER = """
<script>{library}</script>
<script>addEventListener("load", async () => {{
  let answer;
  try {{ answer = await (async () => {{ {script} }})(); }} catch (error) {{ answer = {{error: String(error)}}; }}
  const place = document.createElement("pre"); place.id = "answer"; place.textContent = JSON.stringify(answer);
  document.body.append(place);
}});</script></head>"""


def evaluate(page: str, script: str, *, library: str = "", dark: bool = False, width: int = 1200) -> Any:
    """Return what ``script`` (the body of an async function) returns in ``page``."""
    with tempfile.TemporaryDirectory(prefix="ks100-browser-") as folder:
        file = Path(folder) / "page.html"
        file.write_text(page.replace("</head>", _RUNNER.format(library=library, script=script), 1), encoding="utf-8")
        done = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--window-size={width},900",
             f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--user-data-dir={folder}/profile",
             "--virtual-time-budget=60000", "--dump-dom", file.as_uri()],
            capture_output=True, text=True, timeout=_LIMIT_S, check=False,
        )  # fmt: skip
    found = _ANSWER.search(done.stdout)
    if found is None:
        raise RuntimeError(f"the browser gave no answer: {done.stderr[-400:]}")
    return json.loads(html.unescape(found[1]))


def print_pdf(page: Path, pdf: Path) -> None:
    """Print a page."""
    subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--print-to-pdf={pdf}",
         page.resolve().as_uri()],
        capture_output=True, timeout=_LIMIT_S, check=True,
    )  # fmt: skip


def axe(cache: Path) -> str:
    """Return axe-core, taken from npm once and kept in ``cache``."""
    kept = cache / f"{AXE.replace('@', '-')}.js"
    if not kept.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("npm is not installed; it brings axe-core: apt-get install npm")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([npm, "pack", "--silent", AXE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                member = archive.extractfile("package/axe.min.js")
                assert member is not None
                cache.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(member.read())
    return kept.read_text(encoding="utf-8")
