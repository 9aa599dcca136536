"""``ks100 conformance host``: try this program's own commands against a board that lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ks100.cli.progress import progress_bar

if TYPE_CHECKING:
    from hil.conformance.host.cases import HostRule
    from hil.conformance.results import ConformanceResults

__all__ = ["host_rows", "try_this_host"]

_PRELOAD = (
    "firmware_bridge.host.fleet", "hil.boards", "ks100.cli.boards", "ks100.cli.flash", "ks100.cli.flash_table",
    "ks100.custody.recorder", "rich.table",
)  # fmt: skip


def try_this_host(rules: tuple[HostRule, ...]) -> ConformanceResults:
    """Try ``rules`` on the commands of this installation."""
    from importlib.metadata import version

    from hil.conformance.host.command import HostProgram
    from hil.conformance.host.runner import run_host_conformance
    from ks100.cli.main import main

    program = HostProgram(main, _PRELOAD, version("ks100"))
    with progress_bar("conformance of the host") as progress:
        return run_host_conformance(program, rules, progress=progress)


def host_rows(rules: tuple[HostRule, ...]) -> list[tuple[str, str, str, str]]:
    """Return the rows of ``--list``."""
    return [(rule.group, rule.name, rule.promise, str(len(rule.cases))) for rule in rules]
