"""The udev rules name boards stably; read here by a small reader of rules, and where there is one, by udev itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware_bridge.host.discovery import is_boards_product
from tests.udev.udev_rules import Device, apply, parse

AT = "ks100/at-pci-0000_00_14_0-usb-0_2_1_0"
RULES = Path(__file__).parents[2] / "udev" / "70-ks100.rules"


@pytest.fixture(scope="module")
def rules():
    return parse(RULES.read_text())


def _port(kernel="ttyUSB0", product="KS-100 perception module", serial="KS100-0042", interface="00", driver="ftdi_sio"):
    usb = Device("1-2", "usb", "usb", {"product": product, "idVendor": "0403", "serial": serial})
    face = Device(f"1-2:1.{int(interface, 16)}", "usb", driver, parent=usb)
    port = Device(kernel, "usb-serial", driver, {"latency_timer": "16"}, parent=face)
    names = {"ID_SERIAL_SHORT": serial, "ID_USB_INTERFACE_NUM": interface}
    builtins = {
        "usb_id": {k: v for k, v in names.items() if v},
        "path_id": {"ID_PATH_TAG": "pci-0000_00_14_0-usb-0_2_1_0"},
    }
    return usb, port, Device(kernel, "tty", parent=port, builtins=builtins)


def test_the_file_comes_before_the_rules_that_grant_access():
    assert int(re.match(r"(\d\d)-", RULES.name)[1]) < 73


def test_a_board_is_named_by_its_serial_number(rules):
    outcome = apply(rules, _port()[2])
    assert outcome.symlinks == ["ks100/KS100-0042", AT]
    assert outcome.owner == {"GROUP": "dialout", "MODE": "0660"}
    assert outcome.tags == {"uaccess"}


def test_a_boards_own_gadget_port_is_named_too(rules):
    assert apply(rules, _port("ttyACM3", driver="cdc_acm")[2]).symlinks == ["ks100/KS100-0042", AT]


def test_further_ports_of_a_board_do_not_take_its_name(rules):
    assert apply(rules, _port(interface="01")[2]).symlinks == ["ks100/KS100-0042-if01"]


def test_a_board_without_a_serial_number_is_named_by_its_socket(rules):
    assert apply(rules, _port(serial="")[2]).symlinks == [AT]


@pytest.mark.parametrize("product", ["ks-100 module", "KS100", "Ks-100"])
def test_a_board_is_known_in_any_case_as_the_host_knows_it(rules, product):
    assert is_boards_product(product)
    assert apply(rules, _port(product=product)[2]).symlinks == ["ks100/KS100-0042", AT]


def test_ports_of_other_makers_are_left_alone(rules):
    for device in (*_port(product="FT232R USB UART"), *_port(product="My KS-100 clone"), Device("ttyS0", "tty")):
        outcome = apply(rules, device)
        assert (outcome.symlinks, outcome.tags, outcome.owner, outcome.written) == ([], set(), {}, {})
        assert "ID_MM_DEVICE_IGNORE" not in device.properties


def test_modem_probes_and_the_ftdi_delay_are_switched_off(rules):
    usb, port, tty = _port()
    usb.properties["DEVTYPE"] = "usb_device"
    apply(rules, usb)
    assert usb.properties["ID_MM_DEVICE_IGNORE"] == "1"
    assert apply(rules, port).written == {"latency_timer": "1"}
    apply(rules, tty)
    assert tty.properties["ID_MM_PORT_IGNORE"] == "1"


def test_nothing_is_done_when_a_board_goes(rules):
    assert apply(rules, _port()[2], action="remove").symlinks == []


# --- udev itself --------------------------------------------------------------------------------------------

_USB = "/devices/pci0000:00/0000:00:14.0/usb1/1-2"
_RECORD = """\
P: /devices/pci0000:00/0000:00:14.0
E: SUBSYSTEM=pci
E: DRIVER=xhci_hcd

P: /devices/pci0000:00/0000:00:14.0/usb1
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
A: idVendor=1d6b
A: product=xHCI Host Controller

P: {usb}
N: bus/usb/001/002
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
E: DEVNAME=/dev/bus/usb/001/002
A: idVendor=0403
A: idProduct=6015
A: manufacturer=KS
A: product={product}
A: serial={serial}

P: {usb}/1-2:1.0
E: SUBSYSTEM=usb
E: DEVTYPE=usb_interface
E: DRIVER=ftdi_sio
A: bInterfaceNumber=00
A: bInterfaceClass=ff

P: {usb}/1-2:1.0/ttyUSB0
E: SUBSYSTEM=usb-serial
E: DRIVER=ftdi_sio
A: latency_timer=16

P: {usb}/1-2:1.0/ttyUSB0/tty/ttyUSB0
N: ttyUSB0
E: SUBSYSTEM=tty
E: DEVNAME=/dev/ttyUSB0
E: MAJOR=188
E: MINOR=0
"""


def _udevadm(tmp_path, path, **fields):
    for tool in ("udevadm", "umockdev-run", "unshare"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; install it with: apt-get install udev umockdev util-linux")
    record = tmp_path / "board.umockdev"
    record.write_text(_RECORD.format(usb=_USB, **fields))
    # Its own /run and /dev, in name spaces of this process alone: as root, udevadm test makes real links otherwise.
    real = tmp_path / "dev"
    real.mkdir()
    script = f"""
        mount -t tmpfs none /run && mkdir -p /run/udev/rules.d && cp {RULES} /run/udev/rules.d/ || exit 77
        mount --rbind /dev {real} && mount -t tmpfs none /dev && mkdir /dev/pts || exit 77
        mount --bind {real}/pts /dev/pts && ln -s pts/ptmx /dev/ptmx || exit 77
        for name in null urandom; do touch /dev/$name && mount --bind {real}/$name /dev/$name || exit 77; done
        umockdev-run --device {record} -- udevadm test --action=add /sys{path} 2>&1
    """
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no user and mount name spaces here; run as a user who may make them")
    return done.stdout


def test_udev_itself_takes_the_rules_and_names_the_board(tmp_path):
    said = _udevadm(tmp_path, f"{_USB}/1-2:1.0/ttyUSB0/tty/ttyUSB0", product="KS-100 module", serial="KS100-0042")
    assert "70-ks100.rules" in said
    assert not re.search(r"70-ks100\.rules:\d+.*(Invalid|Unknown|Failed to parse)", said), said
    links = re.search(r"DEVLINKS=(.*)", said)
    assert links is not None, said
    assert "/dev/ks100/KS100-0042" in links[1].split()
    assert any(link.startswith("/dev/ks100/at-") for link in links[1].split()), "no name by the socket"
    assert "ID_MM_PORT_IGNORE=1" in said
    assert not os.path.lexists("/dev/ks100/KS100-0042"), "the test touched this machine"


def test_udev_itself_leaves_other_ports_alone(tmp_path):
    said = _udevadm(tmp_path, f"{_USB}/1-2:1.0/ttyUSB0/tty/ttyUSB0", product="FT232R USB UART", serial="A1")
    assert "ks100/" not in said
    assert "ID_MM_PORT_IGNORE" not in said


@pytest.mark.skipif(shutil.which("udevadm") is None, reason="no udevadm: apt-get install udev")
def test_udev_verifies_the_rules():
    done = subprocess.run(["udevadm", "verify", str(RULES)], capture_output=True, text=True, check=False)
    if "Unknown command verb" in done.stderr:
        pytest.skip("no `udevadm verify` here; it comes with systemd 254")
    assert done.returncode == 0, done.stdout + done.stderr
