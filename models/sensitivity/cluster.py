"""The same sweep on a Dask cluster: pieces become tasks, a task whose worker dies is done again elsewhere.

Owns the only use of `dask.distributed`, an extra. The study is sent to each worker once.
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

# How often a piece is tried on other workers when one dies with it.
_RETRIES = 5
_CONNECT_S = 5


@contextmanager
def executor_for(address: str | None) -> Iterator[Executor]:
    """Yield the executor of a cluster's scheduler at ``address`` (``tcp://host:port``), or a local one for None.

    Raises:
        ModelsError: nothing answers at the address.
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
        """See `Executor.run`.

        Raises:
            ModelsError: a piece failed on every worker that tried it, or the cluster is gone.
        """
        from distributed import as_completed
        from distributed.client import FutureCancelledError
        from distributed.scheduler import KilledWorker

        # The study's digest names the data, so a second sweep finds it where it lies.
        held = self.client.scatter(study, broadcast=True)
        tasks = {self.client.submit(run_piece, held, piece, pure=False, retries=_RETRIES): piece for piece in pieces}
        try:
            for task in as_completed(list(tasks)):
                yield tasks[task], task.result()
        except (KilledWorker, FutureCancelledError, OSError) as error:
            raise ModelsError(f"the Dask cluster gave up a piece of the sweep: {error}; start workers again") from error
        finally:
            self.client.cancel([task for task in tasks if not task.done()])
