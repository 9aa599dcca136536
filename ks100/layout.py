"""Names in a run folder: graphs, pools, boards, and evaluation files."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "BOARDS", "CANDIDATE", "CAPTURES", "FRONT", "GRAPHS", "POOLS", "PROFILE", "SENSITIVITY", "TWIN", "card_file",
    "detections_file", "evaluation_file",
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
CAPTURES = ("train", "calibration", "validation", "conditions", "ood", "hard-dev", "hard-holdout")
"""The generated pools (`models.curation.Pool`)."""
POOLS = ("conditions", "hard-holdout", "ood")
"""The evaluation pools, none of which made a graph: for conditions, for the verdict (sealed), out of distribution."""
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


def card_file(model: str) -> str:
    """Return the file of one graph's model card, beside it in the run folder."""
    return f"{GRAPHS[model].removesuffix('.tflite')}.card.toml"
