"""Quantize a float graph after training, and see what each output lost.

python examples/quantize_a_graph.py runs/demo/network/float.tflite runs/demo/captures/calibration int8.tflite
"""

from __future__ import annotations

import sys

import ks100


def main(graph: str, calibration: str, out: str) -> None:
    """Write ``out`` in INT8 and print its fidelity."""
    summary = ks100.quantize(graph, calibration, out, plan="int8")
    for line in summary.lines():
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:4])
