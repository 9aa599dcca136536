"""One emulated board for the tests that do not change it, and keys of this run."""

import pytest

from firmware_bridge.errors import BenchError
from hil.virtual.emulated import EmulatedBoard
from hil.virtual.sshd import find_sshd
from tests.agent.board_kit import Office


@pytest.fixture(scope="session")
def sshd():
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
