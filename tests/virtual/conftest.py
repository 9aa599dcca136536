"""One emulated board for the tests that do not change it, and the kit of the agent's tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "agent"))

from board_kit import Office

from hil.virtual.emulated import EmulatedBoard
from hil.virtual.sshd import find_sshd


@pytest.fixture(scope="session")
def sshd():
    from firmware_bridge.errors import BenchError

    try:
        return find_sshd()
    except BenchError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def office():
    return Office()


@pytest.fixture(scope="module")
def emulated(sshd, tmp_path_factory):
    with EmulatedBoard.start(tmp_path_factory.mktemp("board") / "state", serial_number="EMU-TEST") as board:
        yield board
