"""The number of cores and the processor's vector unit do not change what a demo trains."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

GRADIENTS = """
import hashlib, os, sys
from models.reproducible import settle_threads, threads
settle_threads(2)
assert threads() == 2
import keras, numpy as np, tensorflow as tf
keras.utils.set_random_seed(1)
layers = [keras.layers.Conv2D(24, 3, padding="same", activation="relu") for _ in range(3)]
model = keras.Sequential([keras.Input((96, 128, 8)), *layers])
x = np.random.default_rng(1).normal(size=(4, 96, 128, 8)).astype("float32")
with tf.GradientTape() as tape:
    loss = tf.reduce_mean(tf.square(model(x)))
found = tape.gradient(loss, model.trainable_variables)
print(hashlib.sha256(b"".join(part.numpy().tobytes() for part in found)).hexdigest())
"""
_SET = (
    "TF_ENABLE_ONEDNN_OPTS",
    "ONEDNN_MAX_CPU_ISA",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "KS100_THREADS",
)


def gradients(cores: set[int], **environment: str) -> str:
    plain = {name: value for name, value in os.environ.items() if name not in _SET}
    run = subprocess.run(
        [sys.executable, "-P", "-c", GRADIENTS], env=plain | environment, capture_output=True, text=True, check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    return run.stdout


def test_a_step_has_the_same_gradients_on_one_core_and_on_all() -> None:
    everywhere = os.sched_getaffinity(0)
    if len(everywhere) < 2:
        pytest.skip("needs a machine with two cores or more")
    assert gradients(everywhere) == gradients({min(everywhere)})


def test_another_number_of_threads_or_another_vector_unit_is_another_result() -> None:
    """What is settled matters: otherwise the test above would say nothing."""
    here = os.sched_getaffinity(0)
    assert len({gradients(here), gradients(here, ONEDNN_MAX_CPU_ISA="SSE41")}) == 2
