"""``ks100 dataset``: inspect real datasets, split them without leaks, find overlaps."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.band_option import band_option, reader_options
from ks100.cli.progress import progress_bar
from ks100.cli.tables import print_table
from ks100.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from models.captures import CaptureSet

__all__ = ["command"]

_SET = click.Path(path_type=Path)
_SHOWN = 10
_SAMPLED = 8


@click.group(name="dataset")
def command() -> None:
    """Inspect real datasets, split them by scene, and find overlaps between sets."""


@command.command()
@click.argument("path", type=_SET)
@band_option
def inspect(path: Path, band: str | None) -> None:
    """Count frames, boxes, classes and conditions of the dataset at PATH, and list its problems.

    PATH is a COCO JSON, the folder of a dataset (FLIR ADAS v2, LLVIP, KAIST, M3FD, DroneVehicle, VOC, YOLO, COCO),
    YOLO's data.yaml, a description (TOML, see docs/captures.md), or a stored set.
    """
    from models.readers import read_dataset

    with progress_bar("read") as progress:
        captures, report = read_dataset(path, options=reader_options(band, progress), purpose="inspect")
    boxes = sum(len(c.objects) for c in captures.captures)
    scenes = len({c.scene for c in captures.captures})
    click.echo(f"{path}: {len(captures)} frames, {boxes} boxes")
    click.echo(f"  scenes: {scenes}; bands: {_bands(captures)}")
    classes = Counter(
        "ignore" if o.ignore else captures.classes[o.object_class] for c in captures.captures for o in c.objects
    )
    click.echo("  classes: " + (", ".join(f"{name} {count}" for name, count in classes.most_common()) or "no boxes"))
    axes: dict[str, Counter[str]] = {}
    for capture in captures.captures:
        for axis, category in capture.conditions.items:
            axes.setdefault(axis, Counter())[category] += 1
    for axis, counts in axes.items():
        click.echo(f"  {axis}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    for line in report.lines():
        click.echo(f"  {line}")


def _bands(captures: CaptureSet) -> str:
    bands: Counter[str] = Counter()
    for index in range(0, len(captures), max(1, len(captures) // _SAMPLED)):
        frames = (("EO", captures.frames.eo(index)), ("LWIR", captures.frames.lwir(index)))
        bands[" + ".join(name for name, frame in frames if frame is not None)] += 1
    sizes = Counter(f"{capture.width}x{capture.height}" for capture in captures.captures)
    shown = (
        ", ".join(f"{size} ({count})" for size, count in sizes.most_common(3)) if len(sizes) > 1 else next(iter(sizes))
    )
    return f"{', '.join(bands)}; frames of {shown}{', ...' * (len(sizes) > 3)}"


@command.command()
@click.argument("path", type=_SET)
@click.option("--part", "parts", multiple=True, required=True, metavar="NAME=FRACTION",
              help="A part and its fraction of the frames, e.g. --part train=0.8 --part validation=0.2.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Order of the scenes.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Folder; each part is stored in a folder of its name below it.")  # fmt: skip
@band_option
def split(path: Path, parts: tuple[str, ...], seed: int, out: Path, band: str | None) -> None:
    """Split the dataset at PATH by scene or sequence, so that no scene is in two parts, and store the parts."""
    from models.readers import read_dataset, split_by_scene

    shares = _shares(parts)
    with progress_bar("read") as progress:
        captures, report = read_dataset(path, options=reader_options(band, progress), purpose="split")
    # Later steps use only labelled frames.
    if report.counts.unlabelled and report.counts.unlabelled < len(captures):
        click.echo(f"{path}: {report.counts.unlabelled} frames are unlabelled (left out)")
        captures = captures.labelled
    for name, part in split_by_scene(captures, shares, seed).items():
        part.save(out / name)
        click.echo(f"{out / name}: {len(part)} frames of {len({c.scene for c in part.captures})} scenes")


def _shares(parts: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in parts:
        name, _, share = text.partition("=")
        try:
            found[name] = float(share)
        except ValueError as error:
            raise UsageError(f"--part {text}: give NAME=FRACTION, e.g. train=0.8") from error
        if not name or Path(name).name != name or name in {".", ".."}:
            raise UsageError(f"--part {text}: the name must be usable as a folder name")
    return found


@command.command()
@click.argument("paths", type=_SET, nargs=-1, required=True)
@click.option("--nearer-than", type=click.FloatRange(0, 0.5), help="Distance below which two frames are duplicates.")
def overlap(paths: tuple[Path, ...], nearer_than: float | None) -> int:
    """Find scenes and near-duplicate frames shared by two of the sets at PATHS.

    PATHS are datasets or stored sets, or one folder of pools. Exit code 1 if there is any overlap.
    """
    from models.curation import near_duplicates, shared_scenes
    from models.curation.near_duplicates import NEAR

    sets = _sets(paths)
    scenes = shared_scenes(sets)
    pairs = near_duplicates(sets, NEAR if nearer_than is None else nearer_than)
    click.echo(", ".join(f"{name} {len(captures)} frames" for name, captures in sets.items()))
    for (one, other), names in scenes.items():
        click.echo(f"{one} and {other} share {len(names)} scenes: {', '.join(names[:5])}{', ...' * (len(names) > 5)}")
    if pairs:
        rows = [(f"{a}: {x}", f"{b}: {y}", f"{pair.distance:.3f}") for pair in pairs[:_SHOWN]
                for (a, x), (b, y) in [(pair.first, pair.second)]]  # fmt: skip
        print_table(("frame", "frame", ">distance"), rows, title=f"{len(pairs)} near-duplicates, closest first")
    if not scenes and not pairs:
        click.echo("no shared scenes and no near-duplicates")
    return ExitCode.LIMIT_FAILED if scenes or pairs else ExitCode.PASS


def _sets(paths: tuple[Path, ...]) -> dict[str, CaptureSet]:
    from ks100.steps.captures import load_captures
    from models.curation import Pool

    if len(paths) == 1:
        folder = paths[0]
        paths = tuple(folder / pool for pool in Pool if (folder / pool / "captures.json").is_file())
        if len(paths) < 2:
            raise UsageError(f"{folder} has fewer than two pools; give two sets or more")
    if len(set(paths)) < len(paths):
        raise UsageError("a set is given twice; give different sets")
    names = [path.name for path in paths]
    label = {path: path.name if names.count(path.name) == 1 else str(path) for path in paths}
    return {label[path]: load_captures(path, "look for overlaps")[0] for path in paths}
