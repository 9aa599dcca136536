"""Running a sweep on a Dask cluster: pieces become tasks, which are retried if their worker dies.

The only user of `dask.distributed`, an extra. The study is sent to each worker once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from models.errors import ModelsError
from models.sensitivity.study import Study
from models.sensitivity.tasks import Executor, LocalExecutor, Piece, PieceResult, run_piece

__all__ = ["DaskExecutor", "executor_for"]

# Retries of a piece whose worker died.
_RETRIES = 5
_CONNECT_S = 5


@contextmanager
def executor_for(address: str | None) -> Iterator[Executor]:
    """Yield an executor on the scheduler at ``address`` (``tcp://host:port``), or a local executor for None.

    Raises:
        ModelsError: no scheduler answers at the address.
    """
    if address is None:
        yield LocalExecutor()
        return
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        raise ModelsError(
            f"no Dask scheduler answers at {address}: {error}; start one with `dask scheduler`"
        ) from error
    with client:
        yield DaskExecutor(client)


@dataclass(frozen=True)
class DaskExecutor:
    """Runs pieces on the workers of a cluster.

    Attributes:
        client: a connected `distributed.Client`.
    """

    client: Any

    def run(self, study: Study, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, PieceResult]]:
        """Implement `Executor.run`.

        Raises:
            ModelsError: a piece failed on every worker that tried it, or the cluster was lost.
        """
        from distributed import as_completed
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        # Keyed by the study's digest, so a second sweep reuses the data on the workers.
        held = self.client.scatter(study, broadcast=True)
        tasks = {self.client.submit(run_piece, held, piece, pure=False, retries=_RETRIES): piece for piece in pieces}
        try:
            for task in as_completed(list(tasks)):
                yield tasks[task], task.result()
        except (KilledWorker, FutureCancelledError, OSError) as error:
            raise ModelsError(f"the Dask cluster gave up a piece of the sweep: {error}; start workers again") from error
        finally:
            self.client.cancel([task for task in tasks if not task.done()])
