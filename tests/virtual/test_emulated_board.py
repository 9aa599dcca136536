"""The emulated board over its real links: SSH and serial reach one and the same board."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.device.cost import cost
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.device.runtime import Kernels, default_runtime
from firmware_bridge.errors import BenchError, BoardBusyError, RejectedError, TransferError
from firmware_bridge.host.address import BoardAddress
from firmware_bridge.package.container import PackageFile
from firmware_bridge.package.manifest import CHUNK_BYTES
from firmware_bridge.package.reasons import RejectReason
from hil.boards import connect, open_board
from hil.virtual.emulated import EmulatedBoard
from tests.agent.board_kit import Graph, graph_bytes, random_inputs


def _open(url, patience_s=0.0):
    return connect(BoardAddress.parse(url), host="test", patience_s=patience_s)


@pytest.fixture(params=["ssh", "serial"])
def url(request, emulated):
    return emulated.ssh_url if request.param == "ssh" else emulated.serial_url


def _install(board, package):
    board.activate(board.push(package).slot)
    return board.confirm()


def test_the_board_says_who_it_is(emulated, url):
    with _open(url) as board:
        info = board.info()
    assert (info.board, info.serial, info.emulated) == ("ks100", "EMU-TEST", True)
    assert info.rails == tuple(rail.label for rail in BoardProfile.load("ks100").rails)
    assert "CONV_2D:INT8" in info.runtime.ops


def test_a_package_is_pushed_run_and_measured_on_each_link(url, office):
    package = office.package(graph_bytes(padding_bytes=60_000))
    graph = Graph.parse(package.payload())
    with _open(url) as board:
        if not board.trust():
            board.provision(office.trust())
        assert _install(board, package).floor == 1
        host = default_runtime("litert").load(package.payload(), Kernels.REFERENCE)
        for seed in range(3):
            inputs = random_inputs(graph, seed)
            outputs = board.infer(inputs, Kernels.REFERENCE).outputs
            for name, expected in host.run(inputs).items():
                np.testing.assert_array_equal(outputs[name], expected, strict=True)
        measured = board.measure(frames=40, warmup=5, rate_hz=60.0, idle_s=0.5)
    modelled = cost(graph, BoardProfile.load("ks100"))
    assert 0.9 * modelled.latency_ms <= min(measured.latency_ms) < modelled.latency_ms + 5
    assert (measured.npu_ops, measured.cpu_ops) == (modelled.npu_ops, modelled.cpu_ops)
    assert measured.dropped == 0


def test_the_rails_carry_the_modelled_energy_where_there_is_no_noise(sshd, tmp_path, office):
    with EmulatedBoard.start(tmp_path, noise=False) as running, _open(running.ssh_url) as board:
        board.provision(office.trust())
        package = office.package(graph_bytes(4))
        _install(board, package)
        measured = board.measure(frames=120, warmup=0, rate_hz=60.0, idle_s=1.0)
    modelled = cost(Graph.parse(package.payload()), BoardProfile.load("ks100"))
    begin_s, end_s = measured.start_s[0], measured.start_s[0] + 2.0
    total_mj = idle_mw = 0.0
    for trace in measured.rails:
        times, power = np.array(trace.time_s), np.array(trace.power_mw)
        within = (times > begin_s) & (times <= end_s)
        total_mj += float(power[within].mean()) * 2.0
        idle_mw += float(power[times <= measured.idle_to_s].mean())
    assert idle_mw == pytest.approx(modelled.idle_mw, rel=1e-3)
    assert total_mj - 2.0 * idle_mw == pytest.approx(120 * modelled.energy_mj, rel=0.02, abs=0.5)


def test_a_forged_package_is_refused_and_the_active_model_stays(url, office):
    package = office.package(graph_bytes(5))
    flipped = bytearray(package.data)
    flipped[-1] ^= 1
    foreign = office.package(graph_bytes(6), signer=office.other)
    with _open(url) as board:
        if not board.trust():
            board.provision(office.trust())
        _install(board, office.package(graph_bytes(7)))
        before = board.info()
        for forged, reason in ((PackageFile.of(bytes(flipped)), RejectReason.CHUNK), (foreign, RejectReason.PROGRAM)):
            with pytest.raises(RejectedError) as caught:
                board.push(forged)
            assert caught.value.reason is reason
        assert (board.info().active, board.info().floor) == (before.active, before.floor)
        logged = " ".join(entry.result for entry in board.audit())
        assert RejectReason.PROGRAM.code in logged
        assert RejectReason.CHUNK.code in logged


def test_the_second_writer_is_told_who_holds_the_board(emulated, office):
    with _open(emulated.ssh_url) as first, connect(BoardAddress.parse(emulated.serial_url), host="second") as second:
        first.provision(first.trust() or office.trust())  # the same bytes again are welcome, and take the lock
        with pytest.raises(BoardBusyError) as caught:
            second.provision(office.trust())
        assert caught.value.holder == "test"
        assert second.info().serial == "EMU-TEST", "reading needs no lock"


def test_a_reboot_brings_the_board_back_with_its_model(sshd, tmp_path, office):
    package = office.package(graph_bytes(2))
    with EmulatedBoard.start(tmp_path) as running:
        for url in (running.ssh_url, running.serial_url):
            with _open(url) as board:
                if not board.trust():
                    board.provision(office.trust())
                    _install(board, package)
                boots = sum(entry.action == "boot" for entry in board.audit())
                board.reboot()
            with _open(url, patience_s=20) as board:
                assert board.info().active == "a"
                assert sum(entry.action == "boot" for entry in board.audit()) == boots + 1


def test_an_agent_that_is_killed_in_a_push_comes_back_and_the_push_resumes(sshd, tmp_path, office):
    large = office.package(graph_bytes(padding_bytes=8_000_000))
    with EmulatedBoard.start(tmp_path) as running:
        with _open(running.ssh_url) as board:
            board.provision(office.trust())
            killer = threading.Thread(target=_kill_once_it_has, args=(100, running))
            killer.start()
            with pytest.raises(TransferError):
                board.push(large)
            killer.join()
        with _open(running.ssh_url, patience_s=20) as board:
            seen = []
            board.push(large, progress=seen.append)
            assert seen[-1].wire_bytes < 8_000_000 - 90 * CHUNK_BYTES, "the push began anew"


def _kill_once_it_has(chunks, running):
    agent, deadline_s = running.agent_process(), time.monotonic() + 20
    while len(list((running.state / "board" / "chunks").iterdir())) < chunks and time.monotonic() < deadline_s:
        time.sleep(0.001)
    os.kill(agent, signal.SIGKILL)


def test_state_outlives_the_process(sshd, tmp_path, office):
    with open_board(f"emu:{tmp_path}", trust=office.trust(), create=True) as board:
        _install(board, office.package())
        serial = board.info().serial
    with open_board(f"emu:{tmp_path}?link=serial") as board:
        info = board.info()
    assert (info.serial, info.active, info.trust_version) == (serial, "a", 1)


def test_an_address_with_a_folder_finds_the_board_that_runs_there(emulated):
    for suffix in ("", "?link=serial"):
        with open_board(f"emu:{emulated.state}{suffix}") as board:
            assert board.info().serial == "EMU-TEST"
    assert EmulatedBoard.find(emulated.state.parent) is None


def test_one_folder_carries_one_board(emulated):
    with pytest.raises(BenchError, match="running already"):
        EmulatedBoard.start(emulated.state)


def test_a_long_path_with_spaces_and_signs_is_no_obstacle(sshd, tmp_path, office):
    folder = tmp_path / ("long " * 20).strip() / "100% 'quoted' & more"
    with open_board(
        BoardAddress.parse(f"emu:{folder.as_posix().replace('%', '%25')}"), trust=office.trust(), create=True
    ) as board:
        assert board.info().trust_version == 1


def test_keys_are_private_and_the_host_key_is_checked(emulated):
    for name in ("id_ed25519", "host_ed25519", "authorized_keys"):
        assert (emulated.state / "ssh" / name).stat().st_mode & 0o077 == 0
    bad = emulated.state.parent / "other_hosts"
    bad.write_text("")
    url = emulated.ssh_url.replace(str(emulated.state / "ssh/known_hosts"), str(bad))
    with pytest.raises(BenchError, match="host key"):
        _open(url)


def test_the_board_ends_when_the_program_that_started_it_is_killed(sshd, tmp_path):
    script = f"""
        import time
        from pathlib import Path
        from hil.virtual.emulated import EmulatedBoard
        board = EmulatedBoard.start(Path({str(tmp_path)!r}))
        print(board.process, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE) as parent:
        supervisor = int(parent.stdout.readline())
        children = _children(supervisor)
        assert children
        parent.send_signal(signal.SIGKILL)
    deadline_s = time.monotonic() + 10
    while any(_runs(process) for process in (supervisor, *children)) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not any(_runs(process) for process in (supervisor, *children))


def test_the_processes_end_when_the_supervisor_is_killed(sshd, tmp_path):
    board = EmulatedBoard.start(tmp_path)
    children = _children(board.process)
    os.kill(board.process, signal.SIGKILL)
    board.stop()
    deadline_s = time.monotonic() + 10
    while any(_runs(process) for process in children) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not any(_runs(process) for process in children)


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_missing_ssh_server_is_named_with_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("hil.virtual.sshd.shutil.which", lambda *_, **__: None)
    from hil.virtual.sshd import find_sshd

    with pytest.raises(BenchError, match="apt-get install openssh-server"):
        find_sshd()


def test_a_board_without_ssh_needs_no_ssh_server(tmp_path):
    with EmulatedBoard.start(tmp_path, ssh=False) as board:
        with _open(board.serial_url) as opened:
            assert opened.info().emulated
        with pytest.raises(BenchError, match="no SSH server"):
            _ = board.ssh_url
