"""Runs in an environment of its own, which has onnx2tf: ``python onnx_worker.py SOURCE OUT [NAME=1,3,H,W ...]``.

Leaves graph.tflite, reference.npz (``in/NAME``, ``out/NAME``) and changes.txt in OUT. Runs in OUT.
Imports nothing of the project.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx2tf
import onnxruntime

_PICTURES = "calibration_image_sample_data_20x128x128x3_float32.npy"


def main(source: str, out: Path, shapes: dict[str, str]) -> None:
    """Convert and run."""
    changes = []
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    random, feed, sizes = np.random.default_rng(7), {}, []
    for value in session.get_inputs():
        if value.type != "tensor(float)":
            raise SystemExit(f"input {value.name} is of {value.type}; only float inputs are imported")
        given = shapes.get(value.name)
        shape = [int(side) for side in given.split(",")] if given else list(value.shape)
        if shape and not isinstance(shape[0], int):
            shape[0] = 1
            changes.append(f"input {value.name}: the batch is 1 now")
        if not all(isinstance(side, int) and side > 0 for side in shape):
            raise SystemExit(f"input {value.name} is {value.shape}; give its size with --shape {value.name}=1,3,H,W")
        sizes.append(f"{value.name}:{','.join(map(str, shape))}")
        feed[value.name] = random.random(shape, np.float32)
    names = [value.name for value in session.get_outputs()]
    results = dict(zip(names, session.run(names, feed), strict=True))
    # onnx2tf fetches pictures for its own checks unless they lie here; noise does for a comparison.
    np.save(_PICTURES, random.random((20, 128, 128, 3), np.float32))
    work = out / "onnx2tf"
    onnx2tf.convert(
        input_onnx_file_path=source, output_folder_path=str(work), copy_onnx_input_output_names_to_tflite=True,
        output_signaturedefs=True, overwrite_input_shape=sizes, non_verbose=True, verbosity="error",
    )  # fmt: skip
    (made,) = work.glob("*_float32.tflite")
    shutil.copy(made, out / "graph.tflite")
    parts = {f"in/{name}": value for name, value in feed.items()}
    np.savez(out / "reference.npz", **parts, **{f"out/{name}": value for name, value in results.items()})
    version = next((item.version for item in onnx.load(source).opset_import if not item.domain), 0)
    changes.append(f"converted by onnx2tf {onnx2tf.__version__} from opset {version}")
    (out / "changes.txt").write_text("\n".join(changes), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), dict(item.split("=", 1) for item in sys.argv[3:]))
