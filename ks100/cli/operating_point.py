"""``ks100 operating-point``: choose the score threshold that promises a recall."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.tables import percent, print_table
from ks100.errors import UsageError

if TYPE_CHECKING:
    from models.card import OperatingPoint
    from models.evaluation.evaluation import Evaluation

__all__ = ["command"]

_INSIDE = click.FloatRange(0, 1, min_open=True, max_open=True)


@click.command(name="operating-point")
@click.argument("evaluation", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--recall", type=_INSIDE, default=0.7, show_default=True, help="The recall to promise.")
@click.option("--confidence", type=_INSIDE, default=0.95, show_default=True, help="Of the promise, in each condition.")
@click.option("--card", type=click.Path(path_type=Path, dir_okay=False), help="Write it into this model card.")
@click.option("--float", "parent", type=click.Path(path_type=Path, dir_okay=False),
              help="The float graph's evaluation: also show what its threshold would do to this graph.")  # fmt: skip
def command(evaluation: Path, recall: float, confidence: float, card: Path | None, parent: Path | None) -> None:
    """Choose the highest score threshold that keeps a recall in each condition of an EVALUATION.

    The recall is the mean over scenes of the fraction of objects found. The promise is on scenes like those of the
    evaluation, whose pool must have neither trained nor chosen the graph. Quantization moves scores: fit each graph.
    """
    from models.card import ModelCard
    from models.evaluation.evaluation import Evaluation, Metric
    from models.evaluation.operating_point import fit_operating_point

    own = Evaluation.load(evaluation)
    if own.metric is not Metric.AP50:
        raise UsageError(f"{evaluation} is of {own.metric.value}; an operating point needs an evaluation of detections")
    written = None if card is None else ModelCard.load(card)
    point = fit_operating_point(own, recall, confidence)
    rows = [(own.model, point)]
    if parent is not None:
        other = Evaluation.load(parent)
        if other.data_digest != own.data_digest:
            raise UsageError(f"{parent} is of other captures than {evaluation}; evaluate both graphs on the same pool")
        rows.append((f"{own.model}, at {other.model}'s threshold", fit_operating_point(other, recall, confidence)))
    _print(own, rows)
    if written is not None and card is not None:
        replace(written, operating_point=point).save(card)
        click.echo(f"{card}: operating point {point.score:.4f}")


def _print(own: Evaluation, rows: list[tuple[str, OperatingPoint]]) -> None:
    from models.evaluation.operating_point import false_alarms, kept_recall

    shown = []
    for name, point in rows:
        by_condition = {
            f"{part.axis}: {part.category}": kept_recall(own, point.score, part.axis, part.category)
            for part in own.slices
            if part.objects
        }
        worst = min(by_condition, key=by_condition.__getitem__)
        shown.append((
            name, f"{point.score:.4f}", percent(kept_recall(own, point.score)),
            f"{percent(by_condition[worst])} ({worst})", f"{false_alarms(own, point.score):.2f}",
        ))  # fmt: skip
    _, first = rows[0]
    print_table(
        ("threshold of", ">score", ">recall", ">worst condition", ">false alarms a frame"), shown,
        title=f"recall {first.recall:.0%} in each condition, confidence {first.confidence:.0%}, on {own.pool}",
    )  # fmt: skip
