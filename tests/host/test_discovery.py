"""Finding boards among serial ports, with no hardware: folders and port lists as the system gives them."""

from __future__ import annotations

from types import SimpleNamespace

from firmware_bridge.host.discovery import find_ports


def port(device, manufacturer=None, product=None, serial=None):
    return SimpleNamespace(device=device, manufacturer=manufacturer, product=product, serial_number=serial)


def test_ports_named_by_udev_and_by_usb_are_found_once_each_and_others_are_not(tmp_path):
    device = tmp_path / "ttyUSB0"
    device.touch()
    named = tmp_path / "ks100"
    named.mkdir()
    (named / "A17").symlink_to(device)
    ports = [
        port(str(device), product="KS-100", serial="A17"),
        port("/dev/ttyUSB1", manufacturer="Example", product="KS-100 debug", serial="B2"),
        port("/dev/ttyS0"),
        port("/dev/ttyACM0", product="Modem"),
    ]
    found = find_ports(named, lambda: ports)
    assert {(f.serial, f.device) for f in found} == {("A17", str(device)), ("B2", "/dev/ttyUSB1")}
    assert found == tuple(sorted(found, key=lambda f: f.address.url))
    assert any(f.address.path == named / "A17" for f in found), "the stable name is preferred"


def test_a_machine_without_boards_has_none(tmp_path):
    assert find_ports(tmp_path / "nothing", list) == ()
