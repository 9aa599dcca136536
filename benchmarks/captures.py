"""Captures: how fast pairs are generated, and that the evaluation is COCO's own, faster.

``python -m benchmarks.captures --json F``. The peer is pycocotools, the reference implementation of COCO's figures.
"""

from __future__ import annotations

import contextlib
import io
import time
from typing import Any

import numpy as np

from benchmarks.harness import Benchmark, run
from models.captures import CaptureSet
from models.evaluation.coco import coco_annotations, coco_results
from models.heads import Detections
from models.scenes import SceneSpec, generate

_PAIRS = 600
_REPEATS = 3


def measure(bench: Benchmark) -> None:
    """Measure generation, then evaluation on the truth of what was generated."""
    started = time.perf_counter()
    captures = generate(SceneSpec(seed=7, count=_PAIRS, hardness=0.2, name="benchmark"))
    rate = _PAIRS / (time.perf_counter() - started)
    bench.row("scene_fps", rate, "1/s", at_least=150, note=f"{_PAIRS} pairs of 160x128, start of workers included")
    single = generate(SceneSpec(seed=7, count=80, hardness=0.2, name="benchmark"), workers=1)
    same = single.digest == captures.subset(range(80)).digest
    bench.row("scene_workers_equal", float(same), "1", at_least=1, note="one process gives the same bytes as several")
    _measure_evaluation(bench, captures)


def _measure_evaluation(bench: Benchmark, captures: CaptureSet) -> None:
    from faster_coco_eval import COCO as FasterCOCO  # noqa: N811 - the class of that name is pycocotools'
    from faster_coco_eval import COCOeval_faster
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, results = coco_annotations(captures), coco_results(_detections(captures))
    ours, ours_s = _figures(FasterCOCO, COCOeval_faster, truth, results)
    peers, peers_s = _figures(COCO, COCOeval, truth, results)
    note = f"{len(captures)} frames, {len(results)} detections, best of {_REPEATS}"
    bench.row("eval_speedup_vs_pycocotools", peers_s / ours_s, "1", at_least=4, peer="pycocotools", note=note)
    worst = float(np.abs(ours - peers).max())
    bench.row("eval_max_abs_diff_vs_pycocotools", worst, "1", at_most=1e-6, peer="pycocotools", note="12 figures")


def _figures(
    truth_type: Any, evaluation_type: Any, truth: dict[str, Any], results: list[dict[str, Any]]
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], float]:
    """Return the twelve figures and the best time to get them, data loaded before."""
    best = float("inf")
    for _ in range(_REPEATS):
        with contextlib.redirect_stdout(io.StringIO()):
            loaded = truth_type()
            loaded.dataset = {**truth, "annotations": [dict(item) for item in truth["annotations"]]}
            loaded.createIndex()
            found = loaded.loadRes([dict(item) for item in results])
            started = time.perf_counter()
            evaluation = evaluation_type(loaded, found, iouType="bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            best = min(best, time.perf_counter() - started)
    return np.asarray(evaluation.stats[:12], np.float64), best


def _detections(captures: CaptureSet) -> list[Detections]:
    """Return detections of middling quality: most objects a little off, and fifteen false alarms a frame."""
    rng = np.random.default_rng(1)
    found = []
    for capture in captures.captures:
        hits = [item for item in capture.objects if rng.random() < 0.85]
        boxes = np.array([item.box for item in hits], np.float64).reshape(-1, 4) + rng.normal(0, 1.2, (len(hits), 4))
        corner = rng.uniform(0, 100, (15, 2))
        alarms = np.concatenate([corner, corner + rng.uniform(5, 40, (15, 2))], axis=1)
        labels = np.array([int(item.object_class) for item in hits] + list(rng.integers(0, 6, 15)), np.int64)
        scores = np.concatenate([rng.uniform(0.3, 1, len(hits)), rng.uniform(0.02, 0.6, 15)]).astype(np.float32)
        unknown = np.zeros(len(labels), np.float32)
        table = np.concatenate([boxes, alarms]).astype(np.float32)
        found.append(Detections(table, scores, labels, unknown, unknown))
    return found


if __name__ == "__main__":
    run("captures", measure)
