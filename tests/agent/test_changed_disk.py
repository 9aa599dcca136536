"""A board whose disk somebody has changed: what it finds at the next load, and how it goes on."""

from __future__ import annotations

import pytest

from firmware_bridge.errors import RejectedError
from firmware_bridge.protocol import messages as m
from tests.agent.board_kit import Graph, boot, graph_bytes, install, message_inputs, random_inputs, results, slot_states


@pytest.fixture
def installed(tmp_path, office, package):
    """A folder of a board that runs ``package`` in slot a, with an older model confirmed in slot b."""
    service = boot(tmp_path)
    service.provision(office.trust())
    install(service, office.package(graph_bytes(7)))
    install(service, office.package(graph_bytes(8)))
    install(service, package)
    assert service.info().active == "a"
    return tmp_path


def test_a_bit_flipped_in_the_slot_makes_the_board_fall_back(installed):
    path = installed / "slots" / "a.payload"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    service = boot(installed)
    assert service.info().active == "b"
    assert slot_states(service)["a"] == "failed"
    assert "chunk" in results(service, "fallback")[-1]


def test_another_good_package_put_into_the_slot_is_refused(installed, office):
    other = office.package(graph_bytes(20))
    (installed / "slots" / "a.head").write_bytes(other.head)
    (installed / "slots" / "a.payload").write_bytes(other.payload())
    service = boot(installed)
    assert service.info().active == "b"
    assert "does not contain the package" in results(service, "load")[-2]


@pytest.mark.parametrize("what", ["a.payload", "a.head"])
def test_a_symbolic_link_in_the_slot_is_not_followed(installed, what):
    path = installed / "slots" / what
    elsewhere = installed / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert boot(installed).info().active == "b"


def test_a_longer_file_in_the_slot_is_refused(installed):
    with (installed / "slots" / "a.payload").open("ab") as file:
        file.write(b"\0")
    service = boot(installed)
    assert service.info().active == "b"
    assert "slot" in results(service, "fallback")[-1]


def test_every_load_verifies_what_is_on_the_disk_now(installed, package):
    service = boot(installed)
    inputs = message_inputs(random_inputs(Graph.parse(package.payload())))
    service.infer(m.Infer(inputs))
    (installed / "slots" / "a.payload").write_bytes(b"TFL3" * 1000)
    service.infer(m.Infer(inputs))  # the bytes that were verified are in memory
    with pytest.raises(RejectedError):
        service.infer(m.Infer(inputs, "reference"))  # other kernels mean another load


def test_both_slots_damaged_leave_a_board_that_can_be_helped(installed, package):
    for slot in "ab":
        (installed / "slots" / f"{slot}.payload").write_bytes(b"")
    service = boot(installed)
    assert service.info().active == ""
    install(service, package)
    assert service.info().active != ""


def test_a_lost_record_is_salvaged_without_sinking_the_floor(installed, office):
    for copy in ("state.0", "state.1"):
        (installed / copy).write_bytes(b"?" * 100)
    service = boot(installed)
    info = service.info()
    assert (info.active, info.floor) == ("", 1)
    assert slot_states(service) == {"a": "installed", "b": "installed"}
    service.activate("a")
    service.confirm()
    assert service.info().active == "a"
