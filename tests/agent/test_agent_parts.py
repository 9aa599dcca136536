"""The agent's small parts: storage, audit log, rails, clock, pacing, sockets."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.agent.errors import StateError, UsageError
from firmware_bridge.agent.identity import device_serial
from firmware_bridge.agent.inference.clock import RealClock
from firmware_bridge.agent.inference.rails import HwmonRails
from firmware_bridge.agent.notify import Supervisor
from firmware_bridge.agent.sockets import connect_unix, listen_unix
from firmware_bridge.agent.state import lifecycle
from firmware_bridge.agent.state.audit import AuditLog
from firmware_bridge.agent.state.slot_table import SLOT_NAMES, BoardRecord, SlotRecord, SlotState
from firmware_bridge.device.profile import Rail
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.audit_chain import ACTS, NOTES
from hil.virtual.clock import ModelledClock
from tests.agent.board_kit import LocalStorage, SteadyRails, boot, graph_bytes, install

# --- storage ------------------------------------------------------------------------------------------------


@pytest.fixture
def storage(tmp_path):
    storage = LocalStorage(tmp_path / "state")
    yield storage
    storage.close()


def test_storage_refuses_names_that_lead_elsewhere(storage):
    for name in ("../x", "/etc/passwd", "slots/../x", "slots/a/b", "", ".hidden"):
        with pytest.raises(OSError, match="not a name"):
            storage.write(name, b"")


def test_storage_does_not_follow_links_or_wait_at_fifos(storage, tmp_path):
    (tmp_path / "state/slots/link").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "state/slots/fifo")
    for name in ("slots/link", "slots/fifo"):
        with pytest.raises(OSError, match=r"symbolic links|regular file"):
            storage.read(name, 100)


def test_storage_does_not_read_what_is_too_long(storage):
    storage.write("slots/x", bytes(101))
    with pytest.raises(OSError, match="101 bytes"):
        storage.read("slots/x", 100)
    assert storage.read("slots/x", 101) == bytes(101)


def test_storage_is_for_its_user_alone(storage, tmp_path):
    storage.write("slots/x", b"")
    assert (tmp_path / "state/slots/x").stat().st_mode & 0o077 == 0
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


# --- audit log ----------------------------------------------------------------------------------------------


def test_audit_log_goes_on_after_a_restart_and_a_torn_line(storage):
    log = AuditLog(storage, lambda: 5.0)
    log.add("boot", "x")
    log.add("install", "a", "ok")
    storage.append("audit/log", b'{"index": 2, "time')
    again = AuditLog(storage, lambda: 6.0)
    again.add("reboot", "x")
    assert [(e.index, e.action) for e in AuditLog(storage, lambda: 0.0).entries()] == [
        (0, "boot"),
        (1, "install"),
        (2, "reboot"),
    ]
    assert again.broken_links() == ()
    assert [e.index for e in again.entries(since=1)] == [1, 2]


def test_audit_log_shows_a_changed_line(storage):
    log = AuditLog(storage, lambda: 5.0)
    for n in range(4):
        log.add("offer", f"model {n}", "signature")
    raw = storage.read("audit/notes", 10**6).replace(b"model 1", b"model 9")
    storage.write("audit/notes", raw)
    assert AuditLog(storage, lambda: 0.0).broken_links() == (2,)


def test_audit_log_stays_bounded_and_keeps_counting(storage, monkeypatch):
    monkeypatch.setattr("firmware_bridge.agent.state.audit._FILE_BYTES", {ACTS: 2000, NOTES: 2000})
    log = AuditLog(storage, lambda: 5.0)
    for n in range(200):
        log.add("offer", "m", str(n))
    entries = AuditLog(storage, lambda: 0.0).entries()
    assert entries[-1].index == 199
    assert len(entries) < 40
    assert log.broken_links() == ()


def test_refusals_are_counted_and_push_out_no_act(storage, monkeypatch):
    monkeypatch.setattr("firmware_bridge.agent.state.audit._FILE_BYTES", {ACTS: 2000, NOTES: 2000})
    now_s = [5.0]
    log = AuditLog(storage, lambda: now_s[0])
    log.add("install", "detector 1", "ok: slot a")
    for n in range(4800):
        log.refuse("offer", f"head {n}", "signature: the signature is not the key's")
        now_s[0] += 40 / 4800
    entries = log.entries()
    assert entries[0].action == "install"
    refused = [entry for entry in entries if entry.action == "offer"]
    assert len(refused) == 9
    assert refused[-1].result.endswith("(the last of 4792 more)")
    for n in range(3000):
        log.refuse("offer", "x", f"reason {n}: each another")
    again = AuditLog(storage, lambda: 99.0)
    assert again.entries()[0].subject == "detector 1"
    assert again.broken_links() == ()
    assert again.entries()[-1].index == log.entries()[-1].index


# --- lifecycle ----------------------------------------------------------------------------------------------

_STEPS = st.lists(st.sampled_from(["push", "a", "b", "pass", "fail a", "fail b", "confirm", "restart"]), max_size=40)


@given(_STEPS, st.lists(st.integers(0, 9), min_size=40, max_size=40))
def test_no_order_of_steps_leaves_a_wrong_record(steps, versions):
    record = BoardRecord()
    for step, version in zip(steps, versions, strict=False):
        before = record
        try:
            record = _step(record, step, max(version, record.floor))
        except StateError:
            continue
        states = {name: record.slot(name).state for name in SLOT_NAMES}
        assert record.floor >= before.floor, "the floor sank"
        assert not record.active or states[record.active] in (SlotState.TRIAL, SlotState.CONFIRMED)
        assert not record.fallback or states[record.fallback] is SlotState.CONFIRMED
        assert all(s.security_version >= record.floor for s in record.slots if s.state is SlotState.CONFIRMED)
        assert lifecycle.spare_slot(record) != (record.fallback or record.active)
        if step == "push" and before.active and before.slot(before.active).state is SlotState.CONFIRMED:
            assert record.active == before.active, "a push changed what runs"
        after, _ = lifecycle.after_restart(record)
        if SlotState.CONFIRMED in states.values() and record.active:
            assert after.active, "a board with a confirmed slot does not boot"


def _step(record: BoardRecord, step: str, version: int) -> BoardRecord:
    match step.split():
        case ["push"]:
            slot = lifecycle.spare_slot(record)
            return lifecycle.received(lifecycle.cleared(record, slot), slot, SlotRecord(security_version=version))
        case ["pass"]:
            return lifecycle.trial_passed(record)
        case ["fail", slot]:
            return lifecycle.failed(record, slot) if record.slot(slot).state is not SlotState.EMPTY else record
        case ["confirm"]:
            return lifecycle.confirmed(record)
        case ["restart"]:
            return lifecycle.after_restart(record)[0]
        case [slot]:
            if record.slot(slot).security_version < record.floor:
                raise StateError("the rules of trust refuse it")
            return lifecycle.begin_trial(record, slot)
    raise AssertionError(step)


# --- rails --------------------------------------------------------------------------------------------------


def _chip(root, number, **files):
    folder = root / f"hwmon{number}"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


def test_rails_read_power_or_voltage_times_current_of_every_chip(tmp_path):
    _chip(tmp_path, 10, name="ina226", power1_input=5_600_000, power1_label="VDD_NPU", update_interval=2)
    _chip(tmp_path, 2, name="ina3221", in1_input=3300, curr1_input=250, in1_label="VDD_IO", in2_input=900)
    _chip(tmp_path, 3, name="cpu_thermal", temp1_input=45000)
    _chip(tmp_path, 4, name="lonely", power1_input=1000)
    rails = HwmonRails(tmp_path)
    assert rails.labels == ("VDD_IO", "lonely/hwmon4/1", "VDD_NPU")
    assert rails.read_mw() == (825.0, 1.0, 5600.0)
    assert rails.period_s == 0.002
    rails.close()


def test_a_rail_that_cannot_be_read_is_none_and_not_zero(tmp_path):
    _chip(tmp_path, 0, name="ina226", power1_input="")
    rails = HwmonRails(tmp_path)
    assert rails.read_mw() == (None,)
    rails.close()


def test_a_board_without_sensors_has_no_rails(tmp_path):
    assert HwmonRails(tmp_path / "missing").labels == ()


def _ina3221(root, number=0, **more):
    """As the kernel has it since 5.5: bus voltages, shunt voltages, and their sum; the fourth current is a sum."""
    currents = {f"curr{n}_input": 100 * n for n in (1, 2, 3)} | {"curr4_input": 600}
    volts = {f"in{n}_input": 5000 for n in (1, 2, 3)} | {f"in{n}_input": 10 for n in (4, 5, 6)} | {"in7_input": 30}
    labels = {"in1_label": "VDD_IN", "in2_label": "VDD_CPU", "in7_label": "sum of shunt voltages"}
    _chip(root, number, name="ina3221", **currents, **volts, **labels, **more)


def test_sums_and_shunt_voltages_of_an_ina3221_are_no_rails(tmp_path):
    _ina3221(tmp_path, in3_enable=0)
    rails = HwmonRails(tmp_path)
    assert (rails.labels, rails.read_mw()) == (("VDD_IN", "VDD_CPU"), (500.0, 1000.0))
    assert rails.left_out == (
        "hwmon0 (ina3221) channel 3 is switched off", "hwmon0 (ina3221) channel 4 is the chip's sum, not a rail",
    )  # fmt: skip
    rails.close()


@pytest.mark.parametrize(
    "name", ["ucsi_source_psy_USBC000:001", "BAT0", "AC", "ADP1", "hidpp_battery_0", "sbs-0-000b", "bq24190-charger"]
)
def test_batteries_and_supplies_are_no_rails(tmp_path, name):
    _chip(tmp_path, 0, name=name, power1_input=9_000_000, in0_input=5000, curr1_input=3000)
    rails = HwmonRails(tmp_path)
    assert (rails.labels, len(rails.left_out)) == ((), 1)
    assert "is a battery or a supply" in rails.left_out[0]


def test_a_supply_is_known_by_its_class_whatever_its_name(tmp_path):
    supply = tmp_path / "class/power_supply/cw2015"
    supply.mkdir(parents=True)
    _chip(tmp_path / "hwmon", 0, name="cw2015", power1_input=1000)
    (tmp_path / "hwmon/hwmon0/device").symlink_to(supply)
    assert HwmonRails(tmp_path / "hwmon").labels == ()


def test_rails_are_those_of_the_profile_by_label_and_chip_and_the_rest_is_said(tmp_path):
    _ina3221(tmp_path)
    _chip(tmp_path, 1, name="ina226", power1_input=7_000_000, power1_label="VDD_NPU")
    _chip(tmp_path, 2, name="amdgpu", power1_input=30_000_000, power1_label="VDD_NPU")
    _chip(tmp_path, 3, name="ina226", power1_input=2_000_000)
    (tmp_path / "i2c/0-0041").mkdir(parents=True)
    (tmp_path / "hwmon3/device").symlink_to(tmp_path / "i2c/0-0041")
    named = [
        Rail("VDD_IO", 3.3, 0.1, 0.1, chip="0-0041"), Rail("VDD_NPU", 0.8, 0.5, 0.5, chip="ina226"),
        Rail("VDD_CPU", 0.9, 0.2, 0.2), Rail("VDD_DDR", 1.1, 0.2, 0.2),
    ]  # fmt: skip
    rails = HwmonRails(tmp_path, named)
    assert dict(zip(rails.labels, rails.read_mw(), strict=True)) == {
        "VDD_CPU": 1000.0, "VDD_NPU": 7000.0, "VDD_IO": 2000.0,
    }  # fmt: skip
    said = "\n".join(rails.left_out)
    for line in (
        "the rail VDD_DDR of the profile is not there",
        "hwmon0/1 (VDD_IN) is not a rail",
        "hwmon2/1 (VDD_NPU) is no",
    ):
        assert line in said
    rails.close()


def test_a_label_on_two_chips_is_no_rail_until_the_profile_names_the_chip(tmp_path):
    for number in (0, 1):
        _chip(tmp_path, number, name="ina226", power1_input=1000, power1_label="VDD_NPU")
    rails = HwmonRails(tmp_path, [Rail("VDD_NPU", 0.8, 1.0, 1.0)])
    assert rails.labels == ()
    assert "on several channels (ina226/hwmon0/1, ina226/hwmon1/1): the profile must name its chip" in rails.left_out[0]


# --- clocks and pacing --------------------------------------------------------------------------------------


def test_real_clock_calls_back_until_cancelled():
    clock, ticks = RealClock(), []
    cancel = clock.every(0.01, lambda: ticks.append(clock.now_s()))
    clock.sleep_until_s(clock.now_s() + 0.2)
    cancel()
    count = len(ticks)
    assert 5 <= count <= 21
    time.sleep(0.03)
    assert len(ticks) == count


def test_measure_paces_frames_and_samples_the_rails_on_the_same_clock(board, package):
    install(board, package)
    measured = board.measure(m.Measure(frames=60, warmup=6, rate_hz=60.0, idle_s=0.5))
    assert len(measured.start_s) == len(measured.latency_ms) == 60
    gaps = [b - a for a, b in zip(measured.start_s, measured.start_s[1:], strict=False)]
    assert max(abs(gap - 1 / 60) for gap in gaps) < 2e-3
    assert measured.idle_to_s - measured.idle_from_s == pytest.approx(0.5, abs=1e-3)
    assert [trace.rail for trace in measured.rails] == list(SteadyRails.labels)
    for trace in measured.rails:
        assert trace.time_s[0] < measured.idle_to_s
        assert trace.time_s[-1] > measured.start_s[-1]
        assert list(trace.time_s) == sorted(trace.time_s)
    assert measured.dropped == 0


def test_measure_counts_samples_that_cannot_be_read(tmp_path, office, package):
    class Flaky(SteadyRails):
        def read_mw(self):
            return (None, 1.0)

    service = boot(tmp_path, rails=Flaky())
    service.provision(office.trust())
    install(service, package)
    measured = service.measure(m.Measure(frames=5, warmup=0, rate_hz=60.0, idle_s=0.1))
    assert measured.dropped == len(measured.rails[1].time_s)
    assert measured.rails[0].time_s == ()


def test_a_long_measurement_is_thinned_out_not_cut_off(board, package, monkeypatch):
    monkeypatch.setattr("firmware_bridge.agent.inference.paced_run._SAMPLES_LIMIT", 100)
    install(board, package)
    measured = board.measure(m.Measure(frames=300, warmup=0, rate_hz=100.0, idle_s=0.5))
    times = measured.rails[0].time_s
    assert 40 <= len(times) <= 100
    assert times[0] < measured.idle_to_s
    assert times[-1] > measured.start_s[-1] - 0.1
    assert measured.dropped == 0


@pytest.mark.parametrize(
    "request_", [m.Measure(0, 0, 60, 0), m.Measure(1, -1, 60, 0), m.Measure(10**5, 0, 1, 0), m.Measure(1, 0, 60, 1e9)]
)
def test_a_measurement_that_would_occupy_the_board_is_refused(board, package, request_):
    install(board, package)
    with pytest.raises(UsageError):
        board.measure(request_)


# --- modelled clock -----------------------------------------------------------------------------------------


def _clock():
    real = [100.0]
    return real, ModelledClock(lambda: real[0])


def test_modelled_work_takes_the_modelled_time_whatever_the_host_takes():
    real, clock = _clock()
    begin = clock.now_s()
    with clock.modelled(0.010):
        real[0] += 3.0
    assert clock.now_s() - begin == pytest.approx(0.010)
    real[0] += 0.5
    assert clock.now_s() - begin == pytest.approx(0.510)


def test_sleep_is_a_jump_past_the_callbacks_in_order():
    _, clock = _clock()
    seen = []
    clock.every(0.3, lambda: seen.append(("a", round(clock.now_s() - 100, 6))))
    cancel = clock.every(0.2, lambda: seen.append(("b", round(clock.now_s() - 100, 6))))
    clock.sleep_until_s(100.65)
    assert seen == [("b", 0.2), ("a", 0.3), ("b", 0.4), ("a", 0.6), ("b", 0.6)]
    assert clock.now_s() == pytest.approx(100.65)
    cancel()
    clock.sleep_until_s(101.0)
    assert seen[5:] == [("a", 0.9)]
    clock.sleep_until_s(50.0)
    assert clock.now_s() == pytest.approx(101.0), "time does not go back"


def test_a_late_callback_is_called_once_and_keeps_its_phase():
    real, clock = _clock()
    seen = []
    clock.every(0.25, lambda: seen.append(round(clock.now_s() - 100, 6)))
    real[0] += 1.1
    clock.sleep_until_s(clock.now_s() + 0.2)
    assert seen == [1.1, 1.25]


def test_a_failed_inference_leaves_the_clock_running():
    real, clock = _clock()
    with pytest.raises(ValueError, match="x"), clock.modelled(5.0):
        raise ValueError("x")
    real[0] += 1.0
    assert clock.now_s() == pytest.approx(101.0)


# --- sockets and service manager ----------------------------------------------------------------------------


def test_sockets_work_where_the_path_is_longer_than_an_address(tmp_path):
    path = str(tmp_path / ("d" * 100) / ("e" * 100) / "agent.sock")
    with listen_unix(path) as listener, connect_unix(path) as client:
        accepted, _ = listener.accept()
        with accepted:
            client.sendall(b"x")
            assert accepted.recv(1) == b"x"
    assert Path(path).stat().st_mode & 0o077 == 0
    listen_unix(path).close()  # a dead socket is replaced


def test_the_service_manager_hears_that_the_agent_is_ready_and_alive(tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(5)
        stop = threading.Event()
        supervisor = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "20000"})
        supervisor.ready()
        supervisor.keep_alive(stop)
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
        stop.set()
    Supervisor({}).ready()


def test_the_serial_number_comes_from_the_boot_firmware_and_never_shows_the_machine_id(tmp_path):
    (tmp_path / "dt").write_bytes(b"KS100-0042\0")
    (tmp_path / "id").write_text("0123456789abcdef\n")
    assert device_serial(tmp_path / "dt", tmp_path / "id") == "KS100-0042"
    derived = device_serial(tmp_path / "none", tmp_path / "id")
    assert len(derived) == 12
    assert derived.lower() not in "0123456789abcdef"
    assert device_serial(tmp_path / "none", tmp_path / "none") == "UNKNOWN"


def test_large_packages_pass_through_small_memory(tmp_path, office):
    """Assembling reads chunk by chunk; only the verification holds the payload, once."""
    import tracemalloc

    service = boot(tmp_path, capacity_bytes=64 << 20)
    service.provision(office.trust())
    large = office.package(graph_bytes(padding_bytes=16 << 20))
    service.offer(large.head)
    for index in range(large.chunk_count):
        service.chunk(index, large.chunk(index))
    tracemalloc.start()
    service.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < (16 << 20) * 1.3
