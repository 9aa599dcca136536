"""The whole way over real terminals and a real SSH server, with the service in memory behind it."""

from __future__ import annotations

import random
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.errors import TransferError
from firmware_bridge.host.address import SerialAddress, SshAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.open import open_link
from firmware_bridge.links.tty import tty_link
from hil.virtual.line import PacedLine
from tests.host.memory_service import CHUNK_BYTES, MemoryPackage, MemoryService
from tests.host.serving import ServedBoard

sys.path.insert(0, str(Path(__file__).parents[1] / "links"))
from tests.links.own_sshd import SSHD, OwnSshd

PACKAGE = MemoryPackage(random.Random(9).randbytes(12 * CHUNK_BYTES))


@pytest.mark.parametrize("error_rate", [0.0, 1e-4])
def test_a_push_over_a_paced_serial_line_repeats_only_what_the_line_damaged(error_rate):
    service = MemoryService()
    with PacedLine(3_000_000, turnaround_s=0.016, byte_error_rate=error_rate, seed=3) as line:
        served = ServedBoard(tty_link(line.board_tty, 3_000_000), service)
        with Board(open_link(SerialAddress(Path(line.host_tty), 3_000_000)), "test") as board:
            board.push(PACKAGE)
            repeated = board.statistics.retransmissions
        served.close()
    assert service.installed == PACKAGE.payload
    assert (repeated > 0) == (error_rate > 0)


def test_a_login_prompt_on_the_line_is_named():
    with PacedLine(115200) as line:
        there = tty_link(line.board_tty, 115200)
        getty = threading.Thread(target=_answer_as_getty, args=(there,))
        getty.start()
        with pytest.raises(TransferError, match="ks100 login"):
            Board(open_link(f"serial://{line.host_tty}?baud=115200"), "test", silence_s=1.0)
        getty.join()
        there.close()


def _answer_as_getty(line) -> None:
    """Prompt once something is typed, as getty does; what came before the host opened the line is lost."""
    if line.read(10.0):
        line.write(b"\r\nDebian GNU/Linux 12 ks100 ttyS0\r\n\r\nks100 login: ")


def test_a_boot_log_before_the_agent_starts_does_no_harm():
    with PacedLine(115200) as line:
        there = tty_link(line.board_tty, 115200)
        there.write(b"[    0.000000] Booting Linux on physical CPU 0x0\r\n" * 20)
        served = ServedBoard(there, MemoryService())
        with Board(open_link(f"serial://{line.host_tty}?baud=115200"), "test") as board:
            assert board.info().serial == "M0001"
        served.close()


@pytest.fixture(scope="module")
def server():
    if not Path(SSHD).exists():
        pytest.skip("no sshd: apt-get install openssh-server")
    with tempfile.TemporaryDirectory(prefix="ks") as folder:
        script = Path(folder) / "agent.py"
        script.write_text(
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
            "from memory_service import MemoryService\n"
            "from firmware_bridge.agent.server import serve\n"
            "from firmware_bridge.links.stdio import stdio_link\n"
            "print('a stray print does no harm', flush=True)\n"
            "link = stdio_link()\nprint('nor does a later one', flush=True)\nserve(link, MemoryService())\n"
        )
        server = OwnSshd(Path(folder), f"{sys.executable} {script}")
        yield server
        server.stop()


@pytest.fixture
def ssh_address(server):
    return SshAddress("127.0.0.1", server.user, server.port, server.identity, server.known_hosts)


def test_a_push_over_a_real_ssh_server(ssh_address):
    with Board(open_link(ssh_address), "test") as board:
        installed = board.push(PACKAGE)
        assert board.activate(installed.slot).slot == "b"


def test_frames_cross_a_real_ssh_server_there_and_back(ssh_address):
    frames = {"eo": np.ones((1, 128, 160, 3), np.int8), "lwir": np.ones((1, 128, 160, 1), np.int8)}
    with Board(open_link(ssh_address.url), "test") as board:
        outputs = board.infer(frames).outputs
    for name, frame in frames.items():
        np.testing.assert_array_equal(outputs[f"{name}_out"], frame)
