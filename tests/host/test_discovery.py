"""Finding boards among serial ports, with no hardware: folders and port lists as the system gives them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from firmware_bridge.host.address import BoardAddress, SerialAddress
from firmware_bridge.host.discovery import find_ports, first_ports, identity_of, place_of, socket_of, stable_name


def port(device, product=None, serial=None, location=None):
    return SimpleNamespace(device=device, product=product, serial_number=serial, location=location)


@pytest.fixture
def sysfs(tmp_path):
    """A kernel's view in which a port is in a socket."""
    root = tmp_path / "sys"

    def plug(name: str, socket: str, interface: int = 0) -> None:
        device = root / f"devices/pci0000:00/usb1/{socket}/{socket}:1.{interface}/{name}"
        device.mkdir(parents=True)
        entry = root / "class/tty" / name
        entry.mkdir(parents=True)
        (entry / "device").symlink_to(device)

    return SimpleNamespace(root=root, plug=plug)


def test_ports_named_by_udev_and_by_usb_are_found_once_each_and_others_are_not(tmp_path):
    device = tmp_path / "ttyUSB0"
    device.touch()
    named = tmp_path / "ks100"
    named.mkdir()
    for link in ("A17", "at-pci-0000_00_14_0-usb-0_2_1_0"):
        (named / link).symlink_to(device)
    ports = [
        port(str(device), product="KS-100", serial="A17"),
        port("/dev/ttyUSB1", product="KS-100 debug", serial="B2"),
        port("/dev/ttyS0"),
        port("/dev/ttyACM0", product="Modem"),
    ]
    found = find_ports(named, lambda: ports)
    assert {(f.serial, f.device) for f in found} == {("A17", str(device)), ("B2", "/dev/ttyUSB1")}
    assert found == tuple(sorted(found, key=lambda f: f.address.url))
    assert any(f.address.path == named / "A17" for f in found), "the name by serial number is preferred"


@pytest.mark.parametrize(
    ("product", "is_board"),
    [("KS-100 module", True), ("ks-100 module", True), ("KS100", True), ("My KS-100 clone", False), ("FT232R", False)],
)
def test_a_port_is_a_boards_by_the_same_words_as_in_the_udev_rules(tmp_path, product, is_board):
    found = find_ports(tmp_path, lambda: [port("/dev/ttyUSB7", product=product)])
    assert bool(found) is is_board


def test_a_board_with_two_ports_counts_once(tmp_path):
    named = tmp_path / "ks100"
    named.mkdir()
    for name, device in (("A17", "ttyUSB0"), ("A17-if01", "ttyUSB1")):
        (tmp_path / device).touch()
        (named / name).symlink_to(tmp_path / device)
    found = find_ports(named, list)
    assert [f.serial for f in found] == ["A17", "A17"]
    assert [f.address.path.name for f in first_ports(found)] == ["A17"]


def test_two_boards_with_one_serial_number_are_two_each_in_its_socket(tmp_path, sysfs):
    ports = [port(f"/dev/ttyUSB{n}", "KS-100", "SAME", f"1-{n}:1.0") for n in (2, 3)]
    for n in (2, 3):
        sysfs.plug(f"ttyUSB{n}", f"1-{n}")
    found = first_ports(find_ports(tmp_path / "none", lambda: ports, sysfs.root))
    assert [(f.serial, f.socket) for f in found] == [("SAME", "1-2"), ("SAME", "1-3")]


def test_a_port_behind_a_hub_is_in_the_hubs_socket(sysfs):
    sysfs.plug("ttyUSB0", "1-2.4.1")
    assert socket_of(Path("/dev/ttyUSB0"), sysfs.root) == "1-2.4.1"
    assert socket_of(Path("/dev/ttyS0"), sysfs.root) == ""


def test_a_port_is_known_by_the_name_that_stays(tmp_path):
    device, folder = tmp_path / "ttyUSB0", tmp_path / "by-id"
    device.touch()
    folder.mkdir()
    assert stable_name(device, [tmp_path / "none", folder]) == device
    (folder / "usb-KS-A17").symlink_to(device)
    assert stable_name(device, [tmp_path / "none", folder]) == folder / "usb-KS-A17"
    assert stable_name(folder / "usb-KS-A17", [folder]) == folder / "usb-KS-A17"


def test_two_addresses_of_one_device_have_one_identity(tmp_path):
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "A17").symlink_to(tmp_path / "ttyUSB0")
    one, other = (SerialAddress(tmp_path / name) for name in ("ttyUSB0", "A17"))
    assert identity_of(one) == identity_of(other)
    assert len({identity_of(BoardAddress.parse(u)) for u in ("emu:/x/b", "emu:/x/../x/b?link=serial")}) == 1
    assert len({identity_of(BoardAddress.parse(u)) for u in ("ssh://a", "ssh://b", "emu:/x", "qemu:/x")}) == 4


def test_places_are_named_for_people(tmp_path):
    assert place_of(BoardAddress.parse("ssh://lab@b7")) == "ssh://lab@b7"
    assert place_of(SerialAddress(tmp_path / "ttyUSB0")).startswith("serial://")


def test_a_machine_without_boards_has_none(tmp_path):
    assert find_ports(tmp_path / "nothing", list) == ()
