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
