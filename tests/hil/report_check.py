"""Whether the report can be read by everybody: axe-core, light and dark, a phone's width, and on paper.

`make report-check`. Needs a browser; the fast tests check the same page's structure without one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hil.report.html import render_html
from tests.hil.browser import axe, evaluate, print_pdf
from tests.hil.report_pages import failing_page, full_page, thousand_page

_AXE = "const found = await axe.run(); return found.violations.map(v => [v.id, v.nodes.map(n => n.html).slice(0, 3)]);"
_NARROWEST = 500  # of a window; the frame below is narrower
_LIBRARY = Path(__file__).resolve().parents[2] / ".venv"


def problems(page: str, library: str) -> Iterator[str]:
    """Yield what is wrong with a page."""
    for dark, width in ((False, 1200), (True, 1200), (False, _NARROWEST)):
        for rule, places in evaluate(page, _AXE, library=library, dark=dark, width=width):
            yield f"axe {rule}, {'dark' if dark else 'light'}, {width} px: {'; '.join(places)}"
    inner, scrolled = evaluate(_framed(page), _FRAMED_WIDTH)
    if scrolled > inner:
        yield f"{inner} px: the page is {scrolled} px wide and scrolls sideways"


_FRAMED_WIDTH = """
const frame = document.createElement("iframe"); frame.style.width = "390px"; frame.style.border = "0";
frame.srcdoc = document.getElementById("page").textContent; document.body.append(frame);
await new Promise(done => frame.onload = done);
const inside = frame.contentDocument.documentElement; return [frame.contentWindow.innerWidth, inside.scrollWidth];
"""


def _framed(page: str) -> str:
    text = page.replace("</script", "<\\/script")
    return f'<html><head></head><body><script type="text/plain" id="page">{text}</script></body></html>'


def main() -> int:
    """Check the pages; 1 when one has a problem."""
    library, failed = axe(_LIBRARY), 0
    for name, report in (("full", full_page()), ("failing", failing_page()), ("1,000 cases", thousand_page())):
        page = render_html(report)
        found = list(problems(page, library))
        with tempfile.TemporaryDirectory() as folder:
            file, pdf = Path(folder) / "page.html", Path(folder) / "page.pdf"
            file.write_text(page, encoding="utf-8")
            print_pdf(file, pdf)
            printed = pdf.stat().st_size
        failed += len(found)
        print(
            f"{name}: {len(found)} problems, {len(page) / 2**20:.2f} MiB, {printed / 2**20:.2f} MiB as PDF",
            flush=True,
        )
        for line in found:
            print(f"  {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
