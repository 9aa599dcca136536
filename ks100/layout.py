"""Names in a run folder: graphs, pools, boards, and evaluation files."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "BOARDS", "CANDIDATE", "CAPTURES", "FRONT", "GRAPHS", "POOLS", "PROFILE", "SENSITIVITY", "TWIN", "detections_file",
    "evaluation_file",
]  # fmt: skip

GRAPHS = {
    "FP32": "network/float.tflite",
    "INT8 PTQ": "graphs/int8-ptq.tflite",
    "FP32 twin": "qat/twin.tflite",
    "mixed QAT": "graphs/mixed-qat.tflite",
}
"""The compared graphs by their names in tables and reports."""
CANDIDATE = "mixed QAT"
TWIN = "FP32 twin"
"""The float network, trained as long as the candidate was fine-tuned: what the gate compares the candidate with."""
CAPTURES = ("train", "calibration", "validation", "hard-dev", "hard-holdout")
"""The generated pools (`models.curation.Pool`)."""
POOLS = ("validation", "hard-holdout")
"""The evaluation pools: the first for conditions, the second, sealed, for the verdict."""
BOARDS = {"ssh": "board-1", "serial": "board-2"}
"""The demo's boards by link: two, since a board receives the same bytes only once."""

PROFILE = "board.toml"
"""The profile of the board: its limits, its NPU, its rails."""
SENSITIVITY, FRONT = "sensitivity.json", "plan-front.json"
"""The sensitivity map, and the data of the plan's Pareto front."""


def evaluation_file(model: str, pool: str) -> str:
    """Return the path of an evaluation in the run folder."""
    return f"evaluation/{Path(GRAPHS[model]).stem}-{pool}.json"


def detections_file(model: str, pool: str) -> str:
    """Return the path of a model's detections in a pool, in the run folder."""
    return f"evaluation/{Path(GRAPHS[model]).stem}-{pool}.npz"
