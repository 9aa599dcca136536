"""Whenever the power goes: the board boots, runs the old or the new verified model, and its floor has not sunk."""

from __future__ import annotations

import contextlib
import copy
import random

import pytest

from firmware_bridge.protocol import messages as m
from hil.virtual.disk import Moment, PowerCutError, SimulatedDisk, Survival
from tests.agent.board_kit import Graph, boot, graph_bytes, install, message_inputs, push, random_inputs, wanted

_OLD, _NEW = graph_bytes(1), graph_bytes(2, padding_bytes=40_000)
_INPUTS = message_inputs(random_inputs(Graph.parse(_OLD)))


class NoFolderSync(SimulatedDisk):
    """The test of the test: a store that does not sync its folders."""

    def sync_folder(self, folder: str) -> None:
        pass


class NoFileSync(SimulatedDisk):
    """The test of the test: a store that renames before the content is safe."""

    def fsync(self, name: str) -> None:
        pass


@pytest.fixture(scope="module")
def packages(office):
    return office.package(_OLD, version="1", security_version=1), office.package(_NEW, version="2", security_version=5)


def _installed_disk(office, packages, kind=SimulatedDisk):
    disk = kind()
    service = boot(disk)
    service.provision(office.trust())
    install(service, packages[0])
    return disk


def _active(service) -> str:
    info = service.info()
    return next((slot.version for slot in info.slots if slot.name == info.active), "")


def _cut_points(office, packages, action, kind=SimulatedDisk):
    """Yield a board's disk for each moment of each operation of ``action``, the power cut there."""
    base = _installed_disk(office, packages, kind)
    whole = copy.deepcopy(base)
    service = boot(whole)
    whole.cut_at(10**9, Moment.BEFORE)
    action(service)
    for operation in range(whole.operations):
        for moment in (Moment.BEFORE, Moment.WITHIN):  # after one operation is before the next
            disk = copy.deepcopy(base)
            service = boot(disk)
            disk.cut_at(operation, moment)
            with pytest.raises(PowerCutError):
                action(service)
            yield f"{whole.log[operation]} {moment.value}", disk


@pytest.mark.parametrize("survival", [Survival.LOST, Survival.PARTLY])
def test_an_update_may_be_cut_anywhere(office, packages, survival):
    points = 0
    for where, disk in _cut_points(office, packages, lambda service: install(service, packages[1])):
        disk.power_up(survival)
        service = boot(disk)
        assert _active(service) in ("1", "2"), f"{where}: nothing runs"
        assert service.infer(m.Infer(_INPUTS)).outputs, where
        assert service.info().floor >= 1, f"{where}: the floor sank"
        install(service, packages[1])
        assert _active(service) == "2", f"{where}: a retry does not install"
        points += 1
    assert points > 100


def test_the_recovery_from_a_cut_may_be_cut_too(office, packages):
    chance = random.Random(4)
    for where, disk in _cut_points(office, packages, lambda service: install(service, packages[1])):
        if chance.random() < 0.85:
            continue
        disk.power_up(chance.choice(list(Survival)))
        disk.cut_at(chance.randrange(6), chance.choice(list(Moment)))
        with contextlib.suppress(PowerCutError):
            boot(disk)
        disk.power_up(chance.choice(list(Survival)))
        service = boot(disk)
        assert _active(service) in ("1", "2"), where
        assert service.info().floor >= 1, where


def test_a_raised_floor_never_sinks(office, packages):
    def raise_floor(service):
        install(service, packages[1])
        push(service, office.package(graph_bytes(3), version="3", security_version=7))

    base = _installed_disk(office, packages)
    service = boot(base)
    raise_floor(service)
    service.activate("a")
    service.confirm()
    assert service.info().floor == 5
    later = office.package(graph_bytes(4), version="4", security_version=9)
    disk = copy.deepcopy(base)
    disk.cut_at(10**9, Moment.BEFORE)
    install(boot(disk), later)
    for operation in range(0, disk.operations, 3):
        cut = copy.deepcopy(base)
        service = boot(cut)
        cut.cut_at(operation, Moment.WITHIN)
        with contextlib.suppress(PowerCutError):
            install(service, later)
        cut.power_up(Survival.PARTLY)
        assert boot(cut).info().floor >= 5


def test_a_trust_update_may_be_cut_anywhere(office, packages):
    new = office.trust(version=2)
    for where, disk in _cut_points(office, packages, lambda service: service.provision(new)):
        disk.power_up(Survival.PARTLY)
        service = boot(disk)
        assert service.info().trust_version in (1, 2), where
        assert _active(service) == "1", where
        service.provision(new)
        assert service.info().trust_version == 2, where


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
def test_a_store_that_forgets_to_sync_is_caught(office, packages, kind):
    disk = kind()
    service = boot(disk)
    service.provision(office.trust())
    install(service, packages[0])
    disk.power_up(Survival.LOST)
    assert _active(boot(disk)) == "", "the simulator keeps what was never synced"
