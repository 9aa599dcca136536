"""Races, shares, the store and the file: with executors that answer at once, so that the truth is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from models.errors import DataError
from models.quant.plan import Precision
from models.records import plain
from models.sensitivity.cache import CachedExecutor
from models.sensitivity.intervals import Interval, anytime_margin, scene_draws, scene_interval
from models.sensitivity.map import GroupFigures, SensitivityMap
from models.sensitivity.race import Race, measure, race
from models.sensitivity.shapley import shapley_shares
from models.sensitivity.sweep import SweepSettings, sweep
from models.sensitivity.tasks import LocalExecutor, Piece, PieceResult, Variant
from tests.sensitivity.small_study import study

FP32, INT8 = Precision.FP32, Precision.INT8


@dataclass
class _Told:
    """An executor whose divergences are given: ``loss(variant)`` plus a little noise that depends on the frame."""

    loss: object
    ran: list[Piece] = field(default_factory=list)

    def run(self, _study, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, PieceResult]]:
        for piece in pieces:
            self.ran.append(piece)
            noise = 0.01 * np.sin(np.asarray(piece.frames, float))
            values = np.stack([self.loss(variant) * (1 + noise) for variant in piece.variants])
            yield piece, PieceResult(values, 2 * values)


def _blocks(variant: Variant) -> set[str]:
    inside = {group.name: group.block for group in study().groups}
    return {inside[name] for name, _ in variant.changes}


def test_shares_of_independent_blocks_are_their_losses() -> None:
    weights = {"eo": 3.0, "lwir": 1.0, "fusion_4": 2.0, "fusion_8": 2.0, "fusion_16": 1.0, "neck": 0.5, "head": 0.5}
    told = _Told(lambda variant: sum(weights[block] for block in _blocks(variant)))
    found = shapley_shares(study(), study().groups, "validation", range(12), told)
    assert {b.block: round(b.share.value, 9) for b in found.blocks} == {b: w / 10 for b, w in weights.items()}
    assert found.attention.value == pytest.approx(0.5)


def test_shares_add_up_to_one_and_split_what_blocks_only_do_together() -> None:
    told = _Told(lambda variant: 1.0 * ({"eo", "head"} <= _blocks(variant)) + 0.1 * ("neck" in _blocks(variant)))
    found = shapley_shares(study(), study().groups, "validation", range(12), told, pairs=64)
    shares = {b.block: b.share.value for b in found.blocks}
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-9)
    assert shares["eo"] == pytest.approx(shares["head"], rel=0.2)
    assert shares["lwir"] == pytest.approx(0.0, abs=1e-12)


def test_clear_losers_stop_and_the_leaders_run_to_the_end() -> None:
    variants = [Variant.of(FP32, {group.name: INT8}) for group in study().groups[:12]]
    worth = {variant: 1.0 if number < 3 else 1e-3 for number, variant in enumerate(variants)}
    many = _longer(study(), 40)
    held = race(many, "validation", variants, _Told(worth.__getitem__), Race(leaders=3))
    frames = len(many.pools["validation"])
    assert [held[v].frames for v in variants[:3]] == [frames] * 3
    assert max(held[v].frames for v in variants[3:]) < frames / 2


def test_a_race_of_equals_stops_nobody() -> None:
    variants = [Variant.of(FP32, {group.name: INT8}) for group in study().groups[:6]]
    many = _longer(study(), 20)
    held = race(many, "validation", variants, _Told(lambda _: 1.0), Race(leaders=2))
    assert {v.frames for v in held.values()} == {len(many.pools["validation"])}


def _longer(source, times: int):
    """Return the study with its pool repeated, each time as other scenes."""
    from dataclasses import replace

    pool = source.pools["validation"]
    captures = tuple(replace(c, scene=f"{c.scene}-{n}") for n in range(times) for c in pool.captures)
    return replace(source, pools={"validation": replace(pool, captures=captures)})


def test_an_anytime_margin_holds_at_every_look() -> None:
    random = np.random.default_rng(0)
    missed = 0
    for _ in range(200):
        values = random.exponential(1.0, (150, 4)).mean(1)  # a scene is the mean of some frames
        counts = np.arange(16, 151)
        margins = [anytime_margin(np.array(values[:n].std(ddof=1)), n, 0.05, 40) for n in counts]
        missed += any(abs(values[:n].mean() - 1.0) > margin for n, margin in zip(counts, margins, strict=True))
    assert missed / 200 <= 0.10  # 5 % asymptotically, and three times the spread of 200 trials


def test_an_interval_draws_whole_scenes() -> None:
    scenes = np.repeat(np.arange(10), 8)
    values = np.repeat(np.random.default_rng(1).normal(size=10), 8)
    by_scene = scene_interval(values, scene_draws(scenes))
    by_frame = scene_interval(values, scene_draws(np.arange(80)))
    assert by_scene.upper - by_scene.lower > 2 * (by_frame.upper - by_frame.lower)


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    variants = [Variant.of(FP32, {name: INT8}) for name in ("eo_stem", "neck_8")]

    class Interrupted(LocalExecutor):
        def run(self, study, pieces):
            yield from super().run(study, pieces[:2])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(study(), "validation", variants, CachedExecutor(Interrupted(), tmp_path), batch=8)
    rest = _Counting()
    resumed = measure(study(), "validation", variants, CachedExecutor(rest, tmp_path), batch=8)
    assert rest.pieces == 1
    whole = measure(study(), "validation", variants, LocalExecutor(), batch=8)
    for variant in variants:
        np.testing.assert_allclose(resumed[variant].divergence, whole[variant].divergence, rtol=1e-5)


class _Counting(LocalExecutor):
    pieces = 0

    def run(self, study, pieces):
        self.pieces += len(pieces)
        return super().run(study, pieces)


def test_what_was_measured_is_not_measured_again_and_a_damaged_file_is(tmp_path: Path) -> None:
    variants = [Variant.of(FP32, {"eo_stem": INT8})]
    told = _Told(lambda _: 1.0)
    kept = CachedExecutor(told, tmp_path)
    for _ in range(2):
        measure(study(), "validation", variants, kept, batch=8)
    assert len(told.ran) == 3
    next(tmp_path.glob("*.npz")).write_bytes(b"PK\x03\x04 torn")
    measure(study(), "validation", variants, kept, batch=8)
    assert len(told.ran) == 4


def test_detections_are_kept_as_they_were(tmp_path: Path) -> None:
    variants = [Variant.of(FP32), Variant.of(INT8)]
    kept = CachedExecutor(LocalExecutor(), tmp_path)
    first, second = (measure(study(), "hard-dev", variants, kept, detect=True) for _ in range(2))
    for variant in variants:
        for frame, seen in first[variant].detections.items():
            np.testing.assert_array_equal(seen.boxes, second[variant].detections[frame].boxes)


@pytest.mark.slow
def test_a_map_has_every_pool_and_condition_and_survives_its_file(tmp_path: Path) -> None:
    found = sweep(study(), LocalExecutor(), SweepSettings(leaders=3, screen_frames=12, share_frames=8))
    found.save(tmp_path / "map.json")
    assert plain(SensitivityMap.load(tmp_path / "map.json")) == plain(found)
    measured = [group for group in found.groups if group.measured]
    assert len(measured) == 3
    assert found.rank_correlation is not None
    assert set(found.pools) == {"validation", "hard-dev"}
    for group in measured:
        assert {"int8", "int16", "restored", "rise", "ap", "ap_restored"} == set(group.figures)
        figure = group.of("int8", "hard-dev")
        assert figure is not None
        assert figure.lower <= figure.value <= figure.upper
    assert len(found.categories("validation")) > 5
    assert sum(b.share.value for b in found.shares.blocks) == pytest.approx(1.0, abs=1e-6)
    assert set(found.entropy) == {f"fusion_{s}_{band}_logits" for s in (4, 8, 16) for band in ("eo", "lwir")}


def test_a_file_that_is_no_map_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{"schema": 1, "groups": 3}')
    with pytest.raises(DataError, match=r"map\.json|sensitivity map"):
        SensitivityMap.load(tmp_path / "map.json")


def test_float_costs_nothing_and_a_missing_figure_is_named() -> None:
    group = GroupFigures("g", "eo", ("g",), 1, 1, False, 0.0, {"int8": {"p": {"all": Interval(1, 1, 1)}}})
    assert group.divergence(FP32, "p").value == 0
    with pytest.raises(DataError, match="int16"):
        group.divergence(Precision.INT16, "p")
