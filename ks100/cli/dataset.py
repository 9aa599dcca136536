"""``ks100 dataset``: what a real dataset holds, and what could not be read of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

__all__ = ["command"]


@click.group(name="dataset")
def command() -> None:
    """Inspect a real dataset and what could not be read of it."""


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
def inspect(path: Path) -> None:
    """Count frames, boxes, classes and conditions of the dataset at PATH (an annotation file or a folder)."""
    from models.readers import read_dataset

    captures, report = read_dataset(path)
    boxes = sum(len(c.objects) for c in captures.captures)
    click.echo(f"{path}: {len(captures)} frames, {boxes} boxes")
    classes = Counter(
        "ignore" if o.ignore else o.object_class.name.lower() for c in captures.captures for o in c.objects
    )
    click.echo("  classes: " + ", ".join(f"{name} {count}" for name, count in classes.most_common()))
    axes: dict[str, Counter[str]] = {}
    for capture in captures.captures:
        for axis, category in capture.conditions.items:
            axes.setdefault(axis, Counter())[category] += 1
    for axis, counts in axes.items():
        click.echo(f"  {axis}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    for line in report.lines():
        click.echo(f"  {line}")
