"""A chain of custody as a self-contained HTML page.

Verifies nothing, and states so.
"""

from __future__ import annotations

import time
from html import escape

from firmware_bridge.package.manifest import Manifest
from ks100.custody.chain import Chain
from ks100.custody.log import Entry
from ks100.custody.statement import Artifact

__all__ = ["page_of"]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430 }
ol { list-style: none; border-left: 3px solid #8aa4c8; padding: 0 0 0 1.5rem }
li { margin: 0 0 1.2rem } h2 { font-size: 1.05rem; margin: 0 } code { color: #4a5a70 } small { color: #667 }
.waived { background: #c00; color: #fff; padding: .6rem 1rem; font-weight: bold }
"""


def page_of(chain: Chain, manifest: Manifest) -> str:
    """Return the page.

    Args:
        chain: of the package.
        manifest: of the package; its waiver is shown at the top in red.
    """
    waiver = manifest.evidence.waiver
    title = f"{manifest.model} {manifest.version} of {manifest.program}"
    return "\n".join(
        (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Custody of {escape(title)}</title>',
            f"<style>{_STYLE}</style><h1>{escape(title)}</h1><p>Package <code>{chain.package}</code></p>",
            f'<p class="waived">WAIVED: released without a passed gate: {escape(waiver)}</p>' if waiver else "",
            "<ol>",
            *map(_step, chain.entries),
            "</ol><p><small>Nothing is verified here: see ks100 custody verify.</small></p></html>\n",
        )
    )


def _step(entry: Entry) -> str:
    statement = entry.statement
    when = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(statement.time_s))
    how = "; ".join(f"{name}: {value}" for name, value in statement.parameters)
    used = f"<br>from {_names(statement.inputs)}" if statement.inputs else ""
    return (
        f"<li><h2>{statement.act.value}</h2><small>entry {entry.index}, {when}, {escape(statement.actor)}, "
        f"{escape(statement.tool)}, key <code>{entry.key_id[:16]}</code></small><br>"
        f"{_names(statement.subjects)}{used}{f'<br>{escape(how)}' if how else ''}</li>"
    )


def _names(artifacts: tuple[Artifact, ...]) -> str:
    return ", ".join(f'{escape(a.name)} <code title="{a.sha256}">{a.sha256[:12]}</code>' for a in artifacts)
