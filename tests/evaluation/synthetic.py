"""Detections of a known quality on known truth, without a network."""

from __future__ import annotations

import numpy as np

from models.captures import Capture, CaptureSet, Conditions, ObjectClass, TruthObject
from models.heads import Detections


def captures_of(frames: int, seed: int = 0, *, ignore_share: float = 0.1) -> CaptureSet:
    """Frames of 160 x 128 with up to five objects, four frames a scene."""
    rng = np.random.default_rng(seed)
    captures = []
    for index in range(frames):
        objects = []
        for _ in range(rng.integers(0, 6)):
            x, y = rng.uniform(0, 120), rng.uniform(0, 100)
            objects.append(
                TruthObject(
                    ObjectClass(int(rng.integers(0, 6))),
                    (float(x), float(y), float(x + rng.uniform(5, 40)), float(y + rng.uniform(5, 28))),
                    range_m=float(rng.uniform(30, 600)),
                    velocity_mps=float(rng.normal(0, 10)),
                    ignore=bool(rng.random() < ignore_share),
                )
            )
        conditions = Conditions((("thermal", ("day", "night", "crossover")[index % 3]),))
        captures.append(Capture(f"f{index}", f"s{index // 4}", 160, 128, conditions, tuple(objects)))
    empty = np.zeros((frames, 2, 2, 3), np.uint8), np.zeros((frames, 2, 2), np.uint16)
    return CaptureSet.from_arrays("synthetic", captures, *empty)


def detections_of(
    captures: CaptureSet, seed: int = 1, *, recall: float = 0.85, jitter: float = 1.0
) -> list[Detections]:
    """Find a share of the objects, a little off, and add false alarms of lower score."""
    rng = np.random.default_rng(seed)
    found = []
    for capture in captures.captures:
        rows = []
        for item in capture.objects:
            if rng.random() < recall:
                box = np.array(item.box) + rng.normal(0, jitter, 4)
                label = item.object_class if rng.random() < 0.95 else rng.integers(0, 6)
                rows.append((*box, rng.uniform(0.3, 1), label, item.range_m * 1.1, item.velocity_mps + 1))
        for _ in range(rng.integers(0, 4)):
            x, y = rng.uniform(0, 120), rng.uniform(0, 100)
            rows.append((x, y, x + 12, y + 9, rng.uniform(0.05, 0.7), rng.integers(0, 6), 100, 0))
        table = np.array(rows, np.float64).reshape(-1, 8)
        table[:, 2:4] = np.maximum(table[:, 2:4], table[:, :2] + 1)
        table = table[np.argsort(-table[:, 4], kind="stable")]
        found.append(
            Detections(
                table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64),
                table[:, 6].astype(np.float32), table[:, 7].astype(np.float32),
            )
        )  # fmt: skip
    return found


def without(detections: list[Detections], share: float, seed: int = 2) -> list[Detections]:
    """Drop a share of all boxes."""
    rng = np.random.default_rng(seed)
    kept = []
    for seen in detections:
        keep = rng.random(len(seen)) >= share
        parts = (seen.boxes, seen.scores, seen.classes, seen.range_m, seen.velocity_mps)
        kept.append(Detections(*(part[keep] for part in parts)))
    return kept
