"""Equal seeds give equal captures whatever vector unit the processor has."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from numpy.core._multiarray_umath import __cpu_dispatch__, __cpu_features__

CODE = """
import hashlib
from models.scenes import SceneSpec, generate
made = generate(SceneSpec(3, 12), workers=1)
digest = hashlib.sha256()
for at in range(12):
    digest.update(made.frames.eo(at).tobytes() + made.frames.lwir(at).tobytes())
print(digest.hexdigest(), made.digest)
"""


def rendered(**environment: str) -> str:
    command = [sys.executable, "-P", "-c", CODE]
    run = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return run.stdout


def test_captures_are_the_same_with_and_without_the_processors_vector_unit() -> None:
    used = [feature for feature in __cpu_dispatch__ if __cpu_features__.get(feature)]
    if not used:
        pytest.skip("needs a processor with more than NumPy's baseline, e.g. AVX2")
    assert rendered() == rendered(NPY_DISABLE_CPU_FEATURES=" ".join(used), OPENBLAS_CORETYPE="Prescott")
