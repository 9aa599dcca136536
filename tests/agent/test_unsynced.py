"""What was not synced before the power went: chunks of a push, and stores that forget to sync."""

from __future__ import annotations

import pytest

from hil.virtual.disk import SimulatedDisk, Survival
from tests.agent.board_kit import boot, graph_bytes, install, wanted


class NoFolderSync(SimulatedDisk):
    """The test of the test: a store that does not sync its folders."""

    def sync_folder(self, folder: str) -> None:
        pass


class NoFileSync(SimulatedDisk):
    """The test of the test: a store that renames before the content is safe."""

    def fsync(self, name: str) -> None:
        pass


def test_a_cut_push_resumes_with_the_chunks_that_were_synced(office):
    large = office.package(graph_bytes(5, padding_bytes=900_000))
    disk = SimulatedDisk()
    service = boot(disk)
    service.provision(office.trust())
    for index in wanted(service.offer(large.head), large)[:40]:
        service.chunk(index, large.chunk(index))
    disk.power_up(Survival.LOST)
    left = wanted(boot(disk).offer(large.head), large)
    assert large.chunk_count - len(left) == 32, "chunks are synced sixteen at a time"


@pytest.mark.parametrize("kind", [NoFolderSync, NoFileSync])
def test_a_store_that_forgets_to_sync_is_caught(office, kind):
    disk = kind()
    service = boot(disk)
    service.provision(office.trust())
    install(service, office.package(graph_bytes(1)))
    disk.power_up(Survival.LOST)
    assert not boot(disk).info().active, "the simulator keeps what was never synced"
