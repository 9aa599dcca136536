"""``ks100 scenes``: generate and view captures."""

from __future__ import annotations

from pathlib import Path

import click

from ks100.cli.progress import progress_bar
from models.progress import counted

__all__ = ["command"]


@click.group(name="scenes")
def command() -> None:
    """Generate paired EO and thermal captures, deterministic by seed; view them."""


@command.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Determines everything.")
@click.option("--count", type=click.IntRange(1), default=200, show_default=True, help="Frame pairs.")
@click.option("--size", type=(int, int), default=(160, 128), show_default=True, help="Width and height in pixels.")
@click.option(
    "--hardness", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="0 is typical, 1 is hard."
)
@click.option("--name", default="captures", show_default=True, help="Name of the set.")
@click.option("--ood", is_flag=True, help="Weather and sensor faults that training never shows.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
def generate(seed: int, count: int, size: tuple[int, int], hardness: float, name: str, ood: bool, out: Path) -> None:
    """Generate one set of captures and print its digest."""
    from models.scenes import SceneSpec, generate

    spec = SceneSpec(seed=seed, count=count, width=size[0], height=size[1], hardness=hardness, name=name, ood=ood)
    with progress_bar("scenes") as progress:
        captures = generate(spec, progress=counted(progress, "{done}/{total} pairs"))
    captures.save(out)
    objects = sum(len(c.objects) for c in captures.captures)
    click.echo(f"{out}: {len(captures)} pairs, {objects} objects, digest {captures.digest}")


@command.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Determines everything.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
def pools(seed: int, out: Path) -> None:
    """Generate the pools train, calibration, validation, hard-dev and hard-holdout, which share no scene."""
    from models.curation import generate_pools

    with progress_bar("pools") as progress:
        made = generate_pools(seed, folder=out, progress=counted(progress, "{done}/{total}"))
    for name, captures in made.items():
        click.echo(f"{out / name}: {len(captures)} pairs, digest {captures.digest}")


@command.command()
@click.argument("captures", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("sheet.png"), show_default=True)
@click.option("--count", type=click.IntRange(1), default=24, show_default=True, help="Number of pairs to show.")
@click.option("--columns", type=click.IntRange(1), default=6, show_default=True, help="Pairs per row.")
@click.option(
    "--width", type=click.IntRange(32, 4000), default=320, show_default=True, help="Width of a frame in pixels."
)
@click.option("--boxes/--no-boxes", default=True, show_default=True, help="Draw the true boxes.")
def sheet(captures: Path, out: Path, count: int, columns: int, width: int, boxes: bool) -> None:
    """Draw a contact sheet of a stored set or a dataset: EO above LWIR (its 8-bit AGC view), with boxes."""
    from ks100.steps.captures import load_captures
    from models.scenes import contact_sheet

    loaded, _ = load_captures(captures, "contact sheet")
    step = max(1, len(loaded) // count)
    shown = list(range(0, len(loaded), step))[:count]
    contact_sheet(loaded.subset(shown), out, columns, tile_width=width, boxes=boxes)
    click.echo(f"{out}: {len(shown)} of {len(loaded)} captures")
