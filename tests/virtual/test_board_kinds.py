"""A virtual board is of the kind that its profile says, and stays of it; what it must satisfy comes from there."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.errors import BenchError, InputError
from hil.boards import open_board, profile_of
from hil.errors import SuiteError
from hil.virtual.emulated import EmulatedBoard

LYNX = Path(__file__).parents[1] / "boards" / "lynx.toml"


def test_a_board_is_made_of_a_kind_and_keeps_it(tmp_path: Path) -> None:
    folder = tmp_path / "board"
    url = f"emu:{folder}?board={LYNX}&link=serial"
    with open_board(url, create=True) as board:
        info = board.info()
        assert (info.board, info.rails) == ("lynx-2", ("core", "memory", "soc", "camera", "board 5V"))
        assert info.capacity_bytes == 16 << 20
    with open_board(f"emu:{folder}?link=serial") as board:
        assert board.info().board == "lynx-2"
    assert profile_of("lynx-2", f"emu:{folder}").budget_mw == 15000
    with pytest.raises(BenchError, match="is a 'lynx-2', not a 'ks100'"), open_board(f"emu:{folder}?board=ks100"):
        pass


def test_a_wrong_profile_makes_no_board(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('name = "wrong"\n')
    with pytest.raises(InputError, match=r"wrong\.toml"):
        EmulatedBoard.start(tmp_path / "board", profile=str(wrong))
    with pytest.raises(InputError, match="unknown board 'lynx-3'; use one of ks100"):
        EmulatedBoard.start(tmp_path / "board", profile="lynx-3")
    assert not (tmp_path / "board").exists()


def test_a_board_is_judged_by_the_profile_of_its_kind_or_by_the_one_that_was_given() -> None:
    assert profile_of("ks100", "ssh://board17").name == "ks100"
    assert profile_of("lynx-2", "ssh://board17", str(LYNX)).window_ms == 120
    assert profile_of("lynx-2", f"emu:?board={LYNX}").window_ms == 120


def test_a_kind_without_a_profile_and_a_profile_of_another_kind_are_named() -> None:
    with pytest.raises(SuiteError, match=r"kind 'lynx-2' ships; give it with --profile FILE\.toml"):
        profile_of("lynx-2", "ssh://board17")
    with pytest.raises(SuiteError, match=r"the board is a 'ks100', and the profile .* is that of a 'lynx-2'"):
        profile_of("ks100", "ssh://board17", str(LYNX))


def test_the_start_of_a_qemu_board_brings_its_profile_and_a_sensor_for_each_rail(tmp_path: Path) -> None:
    from hil.virtual.qemu.start import write_start

    profile = tmp_path / "profile.toml"
    profile.write_text(LYNX.read_text())
    for name in ("host_ed25519", "authorized_keys"):
        (tmp_path / name).write_text("key\n")
    write_start(tmp_path / "start.tar", profile, {"serial-number": "Q1"}, tmp_path)
    with tarfile.open(tmp_path / "start.tar") as tar:
        settings = tar.extractfile("settings").read().decode()  # type: ignore[union-attr]
        assert tar.extractfile("profile.toml").read() == LYNX.read_bytes()  # type: ignore[union-attr]
    assert "RAIL_ADDRESSES='0x40,0x41,0x42,0x43,0x44'" in settings
    assert "--profile /run/board/profile.toml --serial-number Q1" in settings


def test_a_qemu_board_has_no_more_rails_than_its_bus_has_sensors(tmp_path: Path) -> None:
    from hil.virtual.qemu.start import write_start

    text = LYNX.read_text()
    rail = '[[rails]]\nlabel = "r{}"\nnominal_v = 1.0\nshare = 0\nidle_share = 0\n\n'
    profile = tmp_path / "profile.toml"
    profile.write_text(text.replace("[published]", "".join(rail.format(n) for n in range(6)) + "[published]"))
    assert len(BoardProfile.load(str(profile)).rails) == 11
    with pytest.raises(InputError, match="sensors for 10 rails, and the profile has 11"):
        write_start(tmp_path / "start.tar", profile, {}, tmp_path)
