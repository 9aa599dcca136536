"""A real aarch64 Linux as a board: its disk across power cuts, its INA226 driver, its links, its numerics."""

from __future__ import annotations

import time

import numpy as np
import pytest

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.device.runtime import Kernels, default_runtime
from firmware_bridge.errors import BenchError, BoardError, TransferError
from firmware_bridge.host.address import BoardAddress
from hil.boards import connect
from hil.virtual.qemu.board import QemuBoard
from tests.agent.board_kit import Office, graph_bytes, random_inputs

pytestmark = [pytest.mark.qemu, pytest.mark.timeout(900)]

_BOOT_S = 240.0


@pytest.fixture(scope="module")
def office():
    return Office()


@pytest.fixture(scope="module")
def machine(tmp_path_factory, office):
    with QemuBoard.start(tmp_path_factory.mktemp("qemu") / "state", serial_number="QEMU-TEST") as board:
        with _open(board.ssh_url) as opened:
            opened.provision(office.trust())
        yield board


def _open(url, patience_s=0.0):
    return connect(BoardAddress.parse(url), host="test", patience_s=patience_s)


def _install(board, package):
    board.activate(board.push(package).slot)
    return board.confirm()


def _after_power_cut(machine):
    """Cut the power, and return a session with the board that booted since."""
    with _open(machine.ssh_url) as board:
        before = len(board.audit())
    machine.cut_power()
    deadline_s = time.monotonic() + _BOOT_S
    while time.monotonic() < deadline_s:
        time.sleep(1)
        try:
            board = _open(machine.ssh_url)
            if len(board.audit()) > before:  # it has noted that it started
                return board
            board.close()
        except (BenchError, BoardError, TransferError):
            continue
    pytest.fail("the board did not come back")


@pytest.mark.parametrize("link", ["ssh", "serial"])
def test_both_links_reach_the_same_board(machine, link):
    with _open(machine.ssh_url if link == "ssh" else machine.serial_url) as board:
        info = board.info()
    assert (info.board, info.serial, info.emulated) == ("ks100", "QEMU-TEST", True)
    assert info.rails == tuple(rail.label for rail in BoardProfile.load("ks100").rails)


@pytest.mark.parametrize("runtime", ["litert"])
def test_its_numerics_are_the_hosts_bit_for_bit(machine, office, runtime):
    package = office.package(graph_bytes(padding_bytes=60_000))
    host = default_runtime(runtime).load(package.payload(), Kernels.REFERENCE)
    with _open(machine.ssh_url) as board:
        _install(board, package)
        for seed in range(3):
            inputs = random_inputs(Graph.parse(package.payload()), seed)
            outputs = board.infer(inputs, Kernels.REFERENCE).outputs
            for name, expected in host.run(inputs).items():
                np.testing.assert_array_equal(outputs[name], expected, strict=True)


def test_the_kernels_ina226_driver_shows_the_modelled_power(machine, office):
    package = office.package(graph_bytes(2))
    with _open(machine.ssh_url) as board:
        _install(board, package)
        measured = board.measure(frames=120, warmup=0, rate_hz=60.0, idle_s=1.0)
    idle_mw = sum(np.mean([p for t, p in zip(r.time_s, r.power_mw, strict=True) if t <= measured.idle_to_s])
                  for r in measured.rails)  # fmt: skip
    modelled = cost(Graph.parse(package.payload()), BoardProfile.load("ks100"))
    power_step_mw = 3.125  # of each of four registers
    assert idle_mw == pytest.approx(modelled.idle_mw, abs=4 * power_step_mw / 2)
    assert measured.dropped == 0


def test_a_confirmed_model_survives_a_power_cut_and_an_unconfirmed_one_falls_back(machine, office):
    confirmed, on_trial = office.package(graph_bytes(3)), office.package(graph_bytes(4))
    with _open(machine.ssh_url) as board:
        _install(board, confirmed)
        board.activate(board.push(on_trial).slot)
    with _after_power_cut(machine) as board:
        info = board.info()
        assert board.infer(random_inputs(Graph.parse(confirmed.payload())), Kernels.REFERENCE).outputs
    active = next(slot for slot in info.slots if slot.name == info.active)
    assert (active.digest, active.state) == (confirmed.manifest_unverified.payload_sha256.hex(), "confirmed")


def test_a_push_that_a_power_cut_broke_goes_on_from_the_chunks_on_disk(machine, office):
    package = office.package(graph_bytes(5, padding_bytes=1_500_000))

    def cut_halfway(progress):
        if progress.bytes_done > progress.bytes_total // 2 and not cut:
            cut.append(True)
            machine.cut_power()

    cut: list[bool] = []
    # Serial counts what the board has acknowledged; SSH what has left, into buffers that hold more than the package.
    with _open(machine.serial_url) as board, pytest.raises(TransferError):
        board.push(package, cut_halfway)
    resumed = []
    with _open(machine.ssh_url, patience_s=_BOOT_S) as board:
        board.push(package, lambda progress: resumed.append(progress.wire_bytes))
        _install(board, package)
    assert resumed[-1] < 0.8 * package.header.payload_bytes
