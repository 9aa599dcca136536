"""The same sweep on a real Dask cluster of two worker processes on loopback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from models.errors import ModelsError
from models.quant.plan import Precision
from models.sensitivity.race import measure
from models.sensitivity.tasks import LocalExecutor, Variant
from tests.sensitivity.small_study import study

distributed = pytest.importorskip("distributed", reason='needs dask.distributed: pip install "ks100[dask]"')

from models.sensitivity.cluster import executor_for  # noqa: E402


@contextmanager
def _cluster() -> Iterator[tuple[str, list[int]]]:
    """Yield a scheduler's address and its workers' process ids; nurses would bring a killed one back, so none."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None, memory_limit=0
    ) as cluster:
        yield cluster.scheduler_address, [worker.pid for worker in cluster.workers.values()]


@pytest.mark.slow
def test_two_workers_give_the_local_figures_also_when_one_is_killed_halfway() -> None:
    groups = [group.name for group in study().groups[::9]]
    variants = [Variant.of(Precision.FP32, {name: Precision.INT8}) for name in groups]
    here = measure(study(), "validation", variants, LocalExecutor(), batch=2)
    killed = []
    with _cluster() as (address, workers), executor_for(address) as executor:

        def kill_one(done: int, total: int) -> None:
            if done >= total / 3 and not killed:
                killed.append(workers[0])
                os.kill(workers[0], signal.SIGKILL)

        there = measure(study(), "validation", variants, executor, batch=2, progress=kill_one)
    assert killed
    for variant in variants:
        np.testing.assert_allclose(there[variant].divergence, here[variant].divergence, rtol=1e-3, atol=1e-12)


def test_a_scheduler_that_does_not_answer_is_named() -> None:
    with pytest.raises(ModelsError, match=r"127\.0\.0\.1:9"), executor_for("tcp://127.0.0.1:9"):
        sys.exit("never reached")
