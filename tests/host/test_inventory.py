"""Inventories: which resource of a target leads to the board, and what is wrong with one that leads nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge.errors import InputError
from firmware_bridge.host.address import EmulatedAddress, SerialAddress, SshAddress
from firmware_bridge.host.inventory import read_inventory


def read(tmp_path: Path, text: str):
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    return read_inventory(path)


def test_a_labgrid_environment_names_its_boards(tmp_path):
    boards = read(
        tmp_path,
        """
targets:
  net:
    resources:
      NetworkService: {address: 10.0.0.7, username: root, port: 2222}
    drivers: {SSHDriver: {}}
  line:
    resources:
    - RawSerialPort: {port: /dev/ks100/A1, speed: 115200}
    - NetworkPowerPort: {model: gude, host: power, index: 1}
  both:
    resources:
      RawSerialPort: {port: /dev/ttyUSB0}
      KS100Board: {url: "emu:/tmp/b"}
imports: [strategy.py]
""",
    )
    assert boards == {
        "net": SshAddress("10.0.0.7", "root", 2222),
        "line": SerialAddress(Path("/dev/ks100/A1"), 115200),
        "both": EmulatedAddress(Path("/tmp/b")),
    }
    assert list(boards) == ["net", "line", "both"]


LABGRID_FORMS = {
    "a list with cls": """
      resources:
      - cls: NetworkService
        name: ssh
        address: 192.0.2.17
        username: root
      drivers: [{cls: SSHDriver, keyfile: keys/lab}]""",
    "a list of classes": """
      resources: [NetworkService: {address: 192.0.2.17, username: root}]
      drivers: [SSHDriver: {keyfile: keys/lab}]""",
    "a class inside a named resource": """
      resources: {my-net: {cls: NetworkService, address: 192.0.2.17, username: root}}
      drivers: {my-ssh: {cls: SSHDriver, keyfile: keys/lab}}""",
    "templates": """
      resources: {NetworkService: {address: !template '${LG_BOARD}', username: root}}
      drivers: {SSHDriver: {keyfile: !template $BASE/keys/lab}}""",
    "a driver's user and a binding": """
      resources:
      - NetworkService: {address: 192.0.2.9, name: other}
      - NetworkService: {address: 192.0.2.17, name: net, username: nobody}
      drivers: {SSHDriver: {username: root, keyfile: $HOME_OF_KEYS/lab, bindings: {networkservice: net}}}""",
    "a merged mapping": """
      resources: {NetworkService: {<<: &lab {username: root}, address: 192.0.2.17}}
      drivers: {SSHDriver: {keyfile: keys/lab}, SerialDriver: }""",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", LABGRID_FORMS)
def test_what_labgrid_accepts_leads_to_the_board(tmp_path, monkeypatch, form, encoding):
    monkeypatch.setenv("LG_BOARD", "192.0.2.17")
    monkeypatch.setenv("HOME_OF_KEYS", "keys")
    path = tmp_path / "lab.yaml"
    path.write_text(f"targets:\n  main:{LABGRID_FORMS[form]}\nimages: {{os: !template $LG_NONE/os.img}}\n", encoding)
    board = SshAddress("192.0.2.17", "root", identity=tmp_path / "keys/lab")
    assert read_inventory(path) == {"main": board}


def test_names_are_what_is_written_not_numbers_or_truth_values(tmp_path):
    names = ["007", "no", "1e3"]
    text = "".join(f"  {name}: {{resources: {{KS100Board: {{url: 'emu:/x/{name}'}}}}}}\n" for name in names)
    assert list(read(tmp_path, "targets:\n" + text)) == names


def test_a_usb_port_is_found_by_its_serial_number(tmp_path):
    text = "targets: {a: {resources: {USBSerialPort: {match: {ID_SERIAL_SHORT: KS100-0042}, speed: 115200}}}}"
    assert read(tmp_path, text) == {"a": SerialAddress(Path("/dev/ks100/KS100-0042"), 115200)}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "no targets"),
        ("- a", "no targets"),
        ("targets: {}", "no targets"),
        ("targets: [a]", "no targets"),
        ("targets: {a: }", "a has no resource"),
        ("targets: {a: {resources: {NetworkPowerPort: {}}}}", "a has no resource"),
        ("targets: {a: {resources: {KS100Board: }}}", "KS100Board has no 'url'"),
        ("targets: {a: {resources: {KS100Board: {url: nowhere}}}}", "not a board's address"),
        ("targets: {a: {resources: {NetworkService: {address: x, port: many}}}}", "wrong kind"),
        ("targets: {a: &r {resources: {KS100Board: {url: 'emu:/x'}}}, b: *r}", "b and a are the same board"),
        ("targets: {a: {resources: {RemotePlace: {name: b}}}}", "there is RemotePlace"),
        ("targets: {a: {resources: [NetworkService: {address: x}, NetworkService: {address: y}]}}", "bind SSHDriver"),
        ("targets: {a: {resources: {RawSerialPort: {port: COM3}}}}", "give its full path"),
        ("targets: {a: {resources: {USBSerialPort: {match: {ID_PATH: x}}}}}", "ID_SERIAL_SHORT"),
        ("targets: {a: {resources: {NetworkService: {address: !template $NONE}}}}", "unknown variable: \\$NONE"),
        ("targets: {a: {resources: [NetworkService]}}", "written as a mapping"),
        ("targets: {a: {}, a: {}}", "'a' is there twice"),
        ("targets: {a: !include b}", "not YAML"),
        ("targets: [", "not YAML"),
        ("targets: !!python/object/apply:os.system [ls]", "not YAML"),
    ],
)
def test_what_is_no_inventory_is_named(tmp_path, text, wrong):
    with pytest.raises(InputError, match=wrong):
        read(tmp_path, text)


def test_a_file_that_is_not_there():
    with pytest.raises(InputError, match="cannot read"):
        read_inventory(Path("/no/such/lab.yaml"))
