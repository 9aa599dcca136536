"""A link from another distribution is reached by its URL, like the ones that ship."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from firmware_bridge.agent.server import serve
from firmware_bridge.errors import BenchError, InputError
from firmware_bridge.host.address import BoardAddress, RegisteredAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.open import open_link
from firmware_bridge.links.registry import registered_links
from firmware_bridge.links.socket import socket_link
from tests.host.memory_service import MemoryService

TCP = """
import socket
from urllib.parse import urlsplit
from firmware_bridge.errors import InputError
from firmware_bridge.links.socket import socket_link

def open_tcp(url):
    parts = urlsplit(url)
    if parts.port is None:
        raise InputError(f"{url!r} has no port")
    return socket_link(socket.create_connection((parts.hostname, parts.port), timeout=5))

def no_link(url):
    return 7

def broken(url):
    raise KeyError("lab")
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed distribution that registers links."""
    (tmp_path / "lab_links.py").write_text(TCP)
    info = tmp_path / "lab_links-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-links\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ks100.links]\ntcp = lab_links:open_tcp\nnolink = lab_links:no_link\nbroken = lab_links:broken\n"
        "gone = lab_links:gone\nssh = lab_links:no_link\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registered_links.cache_clear()
    yield
    registered_links.cache_clear()
    sys.modules.pop("lab_links", None)


@pytest.fixture
def port() -> Iterator[int]:
    """A board that listens on the network."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        connected, _ = listener.accept()
        serve(socket_link(connected), MemoryService())

    thread = threading.Thread(target=accept)
    thread.start()
    yield listener.getsockname()[1]
    with socket.socket() as waker:
        waker.connect_ex(listener.getsockname())
    thread.join(10)
    listener.close()


def test_a_registered_link_is_opened_by_its_url(lab: None, port: int) -> None:
    address = BoardAddress.parse(f"tcp://127.0.0.1:{port}?anything=goes")
    assert isinstance(address, RegisteredAddress)
    with Board(open_link(address), "test") as board:
        assert board.info().serial == "M0001"


def test_commands_take_a_registered_link(lab: None, port: int, said: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = said("boards", "info", f"tcp://127.0.0.1:{port}")
    assert (code, err) == (0, "")
    assert "ks100 M0001" in out


@pytest.mark.parametrize(
    ("url", "error", "text"),
    [
        ("tcp://127.0.0.1", InputError, "has no port"),
        ("tcp://127.0.0.1:1", BenchError, "tcp://127.0.0.1:1 cannot be opened"),
        ("nolink:", InputError, "links of nolink: come from lab-links, and lab_links:no_link gives no link: it lacks"),
        ("broken:", InputError, "links of broken: come from lab-links, which fails at broken:: KeyError"),
        ("gone:", InputError, "links of gone: come from lab-links .lab_links:gone., which cannot be loaded"),
    ],
)
def test_what_goes_wrong_with_a_registered_link_is_one_line(lab: None, url: str, error: type, text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        open_link(url)
    assert "\n" not in str(caught.value)


def test_the_links_that_ship_cannot_be_replaced_and_others_are_named(lab: None) -> None:
    assert not isinstance(BoardAddress.parse("ssh://board"), RegisteredAddress)
    with pytest.raises(InputError, match=r"give one of emu:.*, tcp:\.\.\."):
        BoardAddress.parse("http://board")
