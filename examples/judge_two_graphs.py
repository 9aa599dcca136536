"""Is the quantized graph good enough where it matters? Evaluate it and its float parent, and judge the difference.

python examples/judge_two_graphs.py runs/demo
"""

from __future__ import annotations

import sys
from pathlib import Path

import ks100


def main(run: Path) -> None:
    """Judge the INT8 graph of a demo run on its hard cases."""
    hard = ks100.load_captures(run / "captures/hard-holdout")
    parent = ks100.evaluate(run / "network/float.tflite", hard)
    candidate = ks100.evaluate(run / "graphs/int8-ptq.tflite", hard)
    verdict = ks100.judge(parent, candidate)
    print(f"{verdict.verdict.value}: {verdict.reason}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
