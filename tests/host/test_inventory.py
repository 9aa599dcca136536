"""Inventories: which resource of a target leads to the board, and what is wrong with one that leads nowhere."""

from __future__ import annotations

import re
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
        (
            "targets: {a: {resources: {NetworkService: {address: x, port: many}}}}",
            "the port 'many'; it is a number from 1 to 65535",
        ),
        ("targets: {a: &r {resources: {KS100Board: {url: 'emu:/x'}}}, b: *r}", "target b is the same board as a"),
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


@pytest.mark.parametrize("value", ["null", "~", "NULL", ""])
def test_null_is_no_value(tmp_path, value):
    with pytest.raises(InputError, match="NetworkService has no 'address'"):
        read(tmp_path, f"targets: {{a: {{resources: {{NetworkService: {{address: {value} }}}}}}}}")
    text = f"targets: {{a: {{resources: {{NetworkService: {{address: h, port: {value} }}}}}}}}"
    assert read(tmp_path, text) == {"a": SshAddress("h")}


@pytest.mark.parametrize("name", ["null", "no", "on", "007", "1e3", "~"])
def test_a_target_may_be_called_what_yaml_takes_for_something_else(tmp_path, name):
    boards = read(tmp_path, f"targets:\n  {name}:\n    resources:\n      NetworkService: {{address: h}}\n")
    assert list(boards) == [name]


@pytest.mark.parametrize(
    ("line", "resource", "wrong"),
    [
        (5, "RawSerialPort: {port: /dev/ttyUSB0, speed: 12}", "the speed '12'; it is a number from 300 to 12000000"),
        (5, "RawSerialPort: {port: /dev/ttyUSB0, speed: 99999999}", "the speed '99999999'"),
        (5, "RawSerialPort: {port: ttyUSB0}", "give its full path"),
        (5, "NetworkService: {address: h, port: 0}", "the port '0'; it is a number from 1 to 65535"),
        (5, "NetworkService: {address: h, port: 65536}", "the port '65536'"),
        (5, "NetworkService: {address: root@h}", "the user stands in username"),
        (3, "NetworkPowerPort: {model: gude}", "no resource that leads to a board"),
    ],
)
def test_what_is_wrong_has_a_line(tmp_path, line, resource, wrong):
    text = f"# a lab\ntargets:\n  bench-1:\n    resources:\n      {resource}\n"
    with pytest.raises(InputError, match=re.escape(wrong)) as raised:
        read(tmp_path, text)
    assert f"lab.yaml:{line}: target bench-1" in str(raised.value)


def test_a_board_that_is_there_twice_is_named_where_it_is_the_second_time(tmp_path):
    (tmp_path / "ttyUSB0").touch()
    (tmp_path / "A17").symlink_to(tmp_path / "ttyUSB0")
    text = "targets:\n" + "".join(
        f"  {name}:\n    resources:\n      RawSerialPort: {{port: {tmp_path}/{name}}}\n" for name in ("ttyUSB0", "A17")
    )
    with pytest.raises(InputError, match=r"lab\.yaml:5: target A17 is the same board as ttyUSB0"):
        read(tmp_path, text)


@pytest.mark.parametrize("name", ["-x", "a:b", '" a"', '"a\\u001b[2Jb"', '""'])
def test_a_name_that_no_command_line_could_give_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"lab\.yaml:2"):
        read(tmp_path, f"targets:\n  {name}:\n    resources: {{NetworkService: {{address: h}}}}\n")


def test_broken_yaml_has_a_line_too(tmp_path):
    with pytest.raises(InputError, match=r"lab\.yaml:4: the inventory is not YAML"):
        read(tmp_path, "targets:\n  a:\n   - {\n")
