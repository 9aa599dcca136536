"""What a run folder contains, and under which names: graphs, pools, boards, and the files of evaluations."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "BOARDS", "CANDIDATE", "CAPTURES", "FRONT", "GRAPHS", "POOLS", "PROFILE", "SENSITIVITY", "detections_file",
    "evaluation_file",
]  # fmt: skip

GRAPHS = {
    "FP32": "network/float.tflite",
    "INT8 PTQ": "graphs/int8-ptq.tflite",
    "mixed QAT": "graphs/mixed-qat.tflite",
}
"""The graphs that are compared, by the name that tables and reports give them."""
CANDIDATE = "mixed QAT"
CAPTURES = ("train", "calibration", "validation", "hard-dev", "hard-holdout")
"""The pools that are generated (`models.curation.Pool`)."""
POOLS = ("validation", "hard-holdout")
"""The pools that every graph is evaluated on: conditions in the first, the verdict on the sealed second."""
BOARDS = {"ssh": "board-1", "serial": "board-2"}
"""The demo's boards, by the link that the package is pushed over: two, since a board takes the same bytes only once."""

PROFILE = "board.toml"
"""The profile of the board that the run is for: its limits, its NPU, its rails."""
SENSITIVITY, FRONT = "sensitivity.json", "plan-front.json"
"""What each layer costs in INT8, and the picture of the plan's Pareto front."""


def evaluation_file(model: str, pool: str) -> str:
    """Return the file of one evaluation in the run folder."""
    return f"evaluation/{Path(GRAPHS[model]).stem}-{pool}.json"


def detections_file(model: str, pool: str) -> str:
    """Return the file of what one model found in one pool, in the run folder."""
    return f"evaluation/{Path(GRAPHS[model]).stem}-{pool}.npz"
