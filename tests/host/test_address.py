"""Addresses of boards: what each form means, and that nothing else is one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import InputError
from firmware_bridge.host.address import (
    BoardAddress,
    EmulatedAddress,
    LinkKind,
    QemuAddress,
    SerialAddress,
    SshAddress,
)
from firmware_bridge.host.open import open_link


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("emu:", EmulatedAddress()),
        ("emu:?link=serial", EmulatedAddress(None, LinkKind.SERIAL)),
        ("emu:run/board?link=ssh", EmulatedAddress(Path("run/board"))),
        ("emu:/tmp/b", EmulatedAddress(Path("/tmp/b"))),
        ("emu:///tmp/b", EmulatedAddress(Path("/tmp/b"))),
        ("qemu:", QemuAddress()),
        ("qemu:/b?board=lynx.toml", QemuAddress(Path("/b"), board="lynx.toml")),
        ("emu:?board=ks100&link=serial", EmulatedAddress(None, LinkKind.SERIAL, "ks100")),
        ("ssh://root@board17", SshAddress("board17", "root")),
        (
            "ssh://board17:2222?identity=/k/id&known_hosts=/k/h",
            SshAddress("board17", None, 2222, Path("/k/id"), Path("/k/h")),
        ),
        ("ssh://u@[::1]:22", SshAddress("::1", "u", 22)),
        ("ssh://Bench-7?config=/k/config", SshAddress("Bench-7", config=Path("/k/config"))),
        ("serial:///dev/ks100/A1?baud=115200", SerialAddress(Path("/dev/ks100/A1"), 115200)),
        ("serial:///dev/A1?baud=115200&fastest=921600", SerialAddress(Path("/dev/A1"), 115200, 921600)),
        ("serial:/dev/ttyUSB0", SerialAddress(Path("/dev/ttyUSB0"))),
    ],
)
def test_what_an_address_means(url, address):
    assert BoardAddress.parse(url) == address
    assert BoardAddress.parse(address.url) == address


@pytest.mark.parametrize(
    ("url", "ephemeral", "serial"),
    [
        ("emu:", True, False), ("qemu:?link=serial&board=ks100", True, True), ("emu:/tmp/b?link=serial", False, True),
        ("ssh://board17", False, False), ("serial:///dev/ttyUSB0", False, True),
    ],
)  # fmt: skip
def test_whether_it_is_another_board_each_time_and_behind_a_serial_line(url, ephemeral, serial):
    address = BoardAddress.parse(url)
    assert (address.is_ephemeral, address.is_serial) == (ephemeral, serial)


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda s: not {"/", "\\"} & set(s)
)
paths = st.lists(names.filter(lambda s: s not in (".", "..")), min_size=1, max_size=3).map(lambda p: Path("/", *p))


@given(
    st.one_of(
        st.builds(EmulatedAddress, st.none() | paths, st.sampled_from(LinkKind), st.none() | names),
        st.builds(SerialAddress, paths, st.integers(300, 12_000_000)),
        st.builds(
            SshAddress,
            st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True),
            st.none() | names,
            st.none() | st.integers(1, 65535),
            st.none() | paths,
            st.none() | paths,
            st.none() | paths,
        ),
    )
)
def test_every_address_survives_its_url(address):
    assert BoardAddress.parse(address.url) == address


@pytest.mark.parametrize(
    "url",
    [
        "", "board17", "http://x", "ssh://", "ssh://a:b@host", "ssh://host:99999", "ssh://host/path",
        "ssh://host?baud=3", "serial:", "serial://dev/ttyUSB0", "serial:///dev/x?baud=fast", "serial:///dev/x?baud=1",
        "emu:?link=usb", "emu:?board=", "emu:#2", "emu:?speed=2", "ssh://[::1",
    ],
)  # fmt: skip
def test_not_an_address(url):
    with pytest.raises(InputError):
        BoardAddress.parse(url)


def test_a_virtual_board_is_not_opened_here():
    with pytest.raises(InputError, match="started first"):
        open_link("emu:")
