"""The one shape of a benchmark: rows with a value, a target, whether it holds, and the peer; a table and a JSON file.

Use::

    def measure(bench: Benchmark) -> None:
        bench.row("share_921600", share, "1", at_least=0.97, peer="8N1 line rate")

    if __name__ == "__main__":
        run("link", measure)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

__all__ = ["Benchmark", "Row", "run"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        name: snake_case, stable.
        value: measured value, or None when it could not be measured (``note`` says why).
        unit: e.g. ``1``, ``ms``, ``bytes``.
        target: the target in words, e.g. ``>= 0.97``, or None for information.
        holds: whether the target holds; None without a target or a value.
        peer: what it is compared with.
        note: how it was obtained, or why not.
    """

    name: str
    value: float | None
    unit: str
    target: str | None = None
    holds: bool | None = None
    peer: str | None = None
    note: str = ""


@dataclass
class Benchmark:
    """Collects the rows of one run; prints each as it comes."""

    name: str
    rows: list[Row] = field(default_factory=list)
    options: argparse.Namespace = field(default_factory=argparse.Namespace)

    def row(
        self,
        name: str,
        value: float | None,
        unit: str,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        peer: str | None = None,
        note: str = "",
    ) -> None:
        """Add a figure with at most one bound."""
        target, holds = None, None
        if at_least is not None:
            target, holds = f">= {at_least:g}", value is not None and value >= at_least
        elif at_most is not None:
            target, holds = f"<= {at_most:g}", value is not None and value <= at_most
        row = Row(name, value, unit, target, holds, peer, note)
        self.rows.append(row)
        shown = "—" if value is None else f"{value:.4g}"
        mark = {True: "holds", False: "MISSED", None: ""}[holds]
        print(f"{name:42} {shown:>12} {unit:8} {target or '':12} {mark:7} {peer or ''} {note}".rstrip(), flush=True)

    def to_json(self) -> dict[str, object]:
        """Return the benchmark with the environment that it ran in."""
        environment = {
            "ks100": version("ks100"),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "system": f"{platform.system()} {platform.release()}",
            "cores": os.cpu_count(),
        }
        return {"benchmark": self.name, "environment": environment, "rows": [asdict(row) for row in self.rows]}


def run(
    name: str,
    measure: Callable[[Benchmark], None],
    add_options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> None:
    """Parse ``--json F`` and the benchmark's own options, measure, print, write F; exit 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--json", type=Path, metavar="F", help="also write the rows to this file")
    if add_options is not None:
        add_options(parser)
    arguments = parser.parse_args()
    bench = Benchmark(name, options=arguments)
    try:
        measure(bench)
    finally:
        if arguments.json is not None:
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            arguments.json.write_text(json.dumps(bench.to_json(), indent=1) + "\n")
    missed = [row.name for row in bench.rows if row.holds is False]
    if missed:
        print(f"targets missed: {', '.join(missed)}", file=sys.stderr)
    sys.exit(1 if missed else 0)
