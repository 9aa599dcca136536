"""``ks100 version``: versions of the toolkit, protocol, package and file formats."""

from __future__ import annotations

import click

from ks100.cli.output import json_option, print_json
from ks100.cli.tables import print_table

__all__ = ["command"]


@click.command(name="version")
@json_option
def command(as_json: bool) -> None:
    """Show the versions of toolkit, protocol, package and file formats of this release."""
    from ks100.versions import versions

    found = versions()
    if as_json:
        print_json(found)
        return
    rows = [(area, parts) if isinstance(parts, str) else (area, _shown(parts)) for area, parts in found.items()]
    print_table(("", "version"), rows)


def _shown(parts: dict[str, object]) -> str:
    return ", ".join(f"{name} {version}" for name, version in parts.items())
