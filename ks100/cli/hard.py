"""``ks100 hard``: mine hard cases with earlier model versions, seal a holdout, show its accesses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from ks100.cli.progress import progress_bar
from ks100.cli.tables import print_table

__all__ = ["command"]

_SET = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(name="hard")
def command() -> None:
    """Mine hard cases with earlier model versions; seal a holdout and show its accesses."""


@command.command()
@click.argument("captures", type=_SET)
@click.option("--previous", type=_SET, multiple=True, required=True,
              help="An earlier version: a graph, a package, or its evaluation on CAPTURES; at least two.")  # fmt: skip
@click.option("--candidate", type=_SET, help="The graph that will be judged: refused as an earlier version.")
@click.option("--parent", type=_SET, help="Its float parent: refused as an earlier version.")
@click.option(
    "--disjoint-from", type=_SET, multiple=True, help="A set that must not share a scene with the hard cases."
)
@click.option("--count", type=click.IntRange(1), default=200, show_default=True, help="Total number of frames.")
@click.option("--random-fraction", type=click.FloatRange(0, 1, max_open=True), default=0.25, show_default=True,
              help="Fraction of frames drawn at random, independent of the models.")  # fmt: skip
@click.option(
    "--per-scene", type=click.IntRange(1), default=2, show_default=True, help="Maximum of mined frames per scene."
)
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Seed of the random arm and the halves."
)
@click.option("--out", type=_FOLDER, required=True, help="Folder of the hard cases.")
@click.option("--holdout", type=_FOLDER, help="Put half of their scenes here, sealed.")
@click.option("--rest", type=_FOLDER, help="Write the scenes without selected frames, e.g. for training.")
def mine(
    captures: Path, previous: tuple[Path, ...], candidate: Path | None, parent: Path | None,
    disjoint_from: tuple[Path, ...], count: int, random_fraction: float, per_scene: int, seed: int, out: Path,
    holdout: Path | None, rest: Path | None,
) -> None:  # fmt: skip
    """Select the frames of CAPTURES on which at least two earlier versions failed, plus a random arm.

    Never mine with the candidate or its float parent: the cases would hide or inflate the loss of quantization.
    mining.json in the folder lists the versions; ks100 hard check compares graphs with it.
    """
    from ks100.steps.mining import MiningOutputs, mine_hard_cases
    from models.curation import MiningPolicy

    policy = MiningPolicy(count, random_fraction, per_scene, seed)
    judged = [path for path in (candidate, parent) if path is not None]
    outputs = MiningOutputs(out, holdout, rest)
    with progress_bar("mine") as progress:
        mined, stored = mine_hard_cases(captures, previous, judged, disjoint_from, policy, outputs, progress)
    for folder, part in stored.items():
        sealed = ", sealed" if folder == holdout else ""
        click.echo(f"{folder}: {len(part)} frames of {len({c.scene for c in part.captures})} scenes{sealed}")
    arms = Counter(frame.arm.value for frame in mined.record.frames)
    click.echo("  arms: " + ", ".join(f"{arm} {number}" for arm, number in sorted(arms.items())))
    if arms["mined"] < count - round(count * random_fraction):
        click.echo(f"  fewer than requested: no more failed frames, at {per_scene} per scene")
    suspects = [frame.id for frame in mined.record.frames if frame.by_all]
    if suspects:
        click.echo(f"  every version missed an object in {len(suspects)} frames; check their annotations first: "
                   + ", ".join(suspects[:5]) + (", ..." if len(suspects) > 5 else ""))  # fmt: skip
    if not judged:
        click.echo("  no --candidate or --parent given: run ks100 hard check before judging one on these")


@command.command()
@click.argument("captures", type=_FOLDER)
@click.argument("graphs", type=_SET, nargs=-1, required=True)
def check(captures: Path, graphs: tuple[Path, ...]) -> None:
    """Check that none of GRAPHS was used to mine the hard cases in CAPTURES."""
    from ks100.steps.mining import check_judges

    record = check_judges(captures, graphs)
    click.echo(f"{captures}: {len(record.frames)} frames, mined with {', '.join(sorted(record.models.values()))}")
    click.echo(f"  {', '.join(str(path) for path in graphs)}: may be judged on them")


@command.command()
@click.argument("captures", type=_FOLDER)
@click.option("--purpose", default="", help="Purpose for the log.")
def seal(captures: Path, purpose: str) -> None:
    """Seal the stored set CAPTURES: its digest is recorded, and each access is logged beside it."""
    from models.captures import CaptureSet
    from models.seal import log_path, seal

    digest = CaptureSet.load(captures, "seal again").digest
    seal(captures, digest, purpose)
    click.echo(f"{captures}: sealed, digest {digest}, log {log_path(captures)}")


@command.command()
@click.argument("captures", type=_FOLDER)
def accesses(captures: Path) -> None:
    """Show all accesses to the sealed set CAPTURES with time, user and purpose."""
    from models.errors import DataError
    from models.seal import is_sealed, read_accesses

    if not is_sealed(captures):
        raise DataError(f"{captures} is not sealed; ks100 hard seal does it")
    log = read_accesses(captures)
    rows = [(a.time, a.event.value, a.purpose, a.by, a.digest[:12]) for a in log]
    opened = sum(a.event.value == "opened" for a in log)
    print_table(("time (UTC)", "event", "purpose", "by", "digest"), rows, title=f"{captures}: opened {opened} times")
