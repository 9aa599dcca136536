"""Runs in an environment of its own, which has litert-torch: ``python torch_worker.py SOURCE OUT``.

SOURCE is an exported program (``torch.export.save``). Leaves graph.tflite, reference.npz (``in/NAME``, ``out/NAME``)
and changes.txt in OUT. Imports nothing of the project.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import litert_torch
import numpy as np
import torch


def main(source: str, out: Path) -> None:
    """Convert and run."""
    program = torch.export.load(source)
    module = program.module()
    random, inputs = np.random.default_rng(7), []
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    for name in program.graph_signature.user_inputs:
        value = values[name]
        if not value.is_floating_point() or not all(isinstance(side, int) for side in value.shape):
            raise SystemExit(
                f"input {name} is {value.dtype} {tuple(value.shape)}; export it with float inputs of fixed size"
            )
        inputs.append(torch.from_numpy(random.random(tuple(value.shape), np.float32)))
    found = module(*inputs)
    results = (
        list(found.values())
        if isinstance(found, dict)
        else list(found)
        if isinstance(found, (list, tuple))
        else [found]
    )
    litert_torch.convert(module, tuple(inputs)).export(str(out / "graph.tflite"))
    parts = {f"in/args_{index}": value.numpy() for index, value in enumerate(inputs)}
    made = {f"out/output_{index}": value.detach().numpy() for index, value in enumerate(results)}
    np.savez(out / "reference.npz", **parts, **made)
    line = f"converted by litert-torch {version('litert-torch')}, torch {torch.__version__}"
    (out / "changes.txt").write_text(line, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
