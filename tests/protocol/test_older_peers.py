"""Today's host and today's board with a peer of an older version, whose bytes were kept when it was the newest."""

from __future__ import annotations

import json
import queue
import threading

import pytest

from firmware_bridge.agent.server import serve
from firmware_bridge.agent.session_rules import SessionLock
from firmware_bridge.errors import BoardBusyError, BoardError, RejectedError, TransferError
from firmware_bridge.host.board import Board
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.codec import decode, encode
from firmware_bridge.protocol.deflate import chunk_data
from firmware_bridge.protocol.frames import Data, unpack
from firmware_bridge.protocol.reader import FrameReader
from firmware_bridge.protocol.versions import MESSAGES_VERSION, OLDEST_VERSION
from tests.host.memory_service import MemoryService
from tests.host.serving import memory_board
from tests.protocol.peer_dialogue import HOLDER, PACKAGE, PEERS, SESSION, dialogue

VERSIONS = range(OLDEST_VERSION, MESSAGES_VERSION)


def recorded(version: int) -> list[list[str]]:
    return json.loads((PEERS / f"version_{version}.json").read_text())


def message_bytes(wire: bytes, *, from_board: bool) -> list[bytes]:
    """The encoded messages in a recording of one direction."""
    stream = b""
    for body in FrameReader(1 << 17).feed(wire):
        frame = unpack(body, SESSION, from_board=from_board)
        if isinstance(frame, Data):
            stream += frame.payload
    found = []
    while stream:
        end = 4 + int.from_bytes(stream[:4], "little")
        found.append(stream[4:end])
        stream = stream[end:]
    return found


class Replayed:
    """A link whose other end is a recorded board: it answers once it has got as many messages as it had then."""

    name, reliable = "recording", True

    def __init__(self, steps: list[list[str]]) -> None:
        self._answers: list[tuple[int, bytes]] = []
        asked = b""
        for sender, data in steps:
            if sender == "host":
                asked += bytes.fromhex(data)
            elif sender == "board":
                self._answers.append((len(message_bytes(asked, from_board=False)), bytes.fromhex(data)))
        self._due: queue.Queue[bytes] = queue.Queue()
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data
        count = len(message_bytes(self.written, from_board=False))
        while self._answers and self._answers[0][0] <= count:
            self._due.put(self._answers.pop(0)[1])

    def read(self, timeout_s: float) -> bytes:
        try:
            return self._due.get(timeout=timeout_s)
        except queue.Empty:
            return b""

    def close(self) -> None:
        pass


def test_a_recording_of_every_older_version_that_is_spoken_is_kept():
    assert {path.name for path in PEERS.iterdir()} == {f"version_{version}.json" for version in VERSIONS}


@pytest.mark.parametrize("version", VERSIONS)
def test_an_older_host_gets_from_todays_board_the_very_bytes_that_its_own_board_sent(version):
    steps = recorded(version)
    lock, other = SessionLock(lambda: 0.0), object()

    class OldHost:
        """Sends what the recorded host sent, each piece after the answers to the one before."""

        name, reliable = "old host", True

        def __init__(self) -> None:
            self.heard, self._due, self._ahead = b"", b"", iter(steps)
            self._answered = threading.Condition()

        def read(self, _: float) -> bytes:
            for sender, data in self._ahead:
                match sender:
                    case "hold":
                        lock.take(other, HOLDER)
                    case "free":
                        lock.give_back(other)
                    case "board":
                        self._due += bytes.fromhex(data)
                        with self._answered:
                            assert self._answered.wait_for(lambda: len(self.answers()) >= self._due_count(), 10)
                    case "host":
                        return bytes.fromhex(data)
            raise TransferError("the host has hung up")

        def write(self, data: bytes) -> None:
            with self._answered:
                self.heard += data
                self._answered.notify_all()

        def close(self) -> None:
            pass

        def answers(self) -> list[bytes]:
            return message_bytes(self.heard, from_board=True)

        def _due_count(self) -> int:
            return len(message_bytes(self._due, from_board=True))

    host = OldHost()
    serve(host, MemoryService(), lock=lock)
    meant = b"".join(bytes.fromhex(data) for sender, data in steps if sender == "board")
    assert host.answers() == message_bytes(meant, from_board=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_todays_host_understands_an_older_board_and_asks_it_what_its_own_host_did(version, monkeypatch):
    steps = recorded(version)
    monkeypatch.setattr("firmware_bridge.host.board.secrets.randbelow", lambda _: SESSION - 2**24)
    link = Replayed(steps)
    with Board(link, "bench 2") as board:
        assert board.welcome == m.Welcome(version, "ks100", "M0001")
        (
            busy,
            info,
            store,
            _,
            provisioned,
            forged,
            installed,
            empty,
            active,
            confirmed,
            latency_ms,
            measured,
            entries,
            _,
        ) = dialogue(board, lambda _: None)
    assert isinstance(busy, BoardBusyError)
    assert (busy.holder, busy.since_s) == (HOLDER, 0.0)
    assert info.package_schema == 1
    assert info.slots[0] == m.SlotInfo("a", "empty")
    assert (store, provisioned) == (b"", b"store")
    assert isinstance(forged, RejectedError)
    assert isinstance(empty, RejectedError)
    assert installed.digest == m.Installed("b", installed.digest).digest
    assert (active, confirmed) == (m.Activated("b"), m.Confirmed("b", 3))
    assert latency_ms == 8.5
    assert measured.rails[0].power_mw == (5600.0, 5600.0)
    assert [entry.action for entry in entries] == ["offer"]
    meant = b"".join(bytes.fromhex(data) for sender, data in steps if sender == "host")
    asked, once_asked = (
        [_inflated(decode(data)) for data in message_bytes(wire, from_board=False)] for wire in (link.written, meant)
    )
    assert asked[0] == m.Hello(MESSAGES_VERSION, "bench 2")
    assert asked[1:] == once_asked[1:]


def _inflated(message: m.Message) -> m.Message:
    return m.Chunk(message.index, chunk_data(message), deflated=False) if isinstance(message, m.Chunk) else message


@pytest.mark.parametrize("offset", [-1, 1])
def test_a_board_of_a_version_that_this_host_does_not_speak_is_refused_by_name(offset, monkeypatch):
    version = OLDEST_VERSION - 1 if offset < 0 else MESSAGES_VERSION + 1
    monkeypatch.setattr("firmware_bridge.agent.server.common_version", lambda _: version)
    monkeypatch.setattr("firmware_bridge.session.base.Session.use_version", lambda *_, **__: None)
    with (
        pytest.raises(BoardError, match=rf"ks100 M0001 speaks version {version} of the messages.*update"),
        memory_board(),
    ):
        pass


def test_a_host_older_than_any_version_that_the_board_speaks_gets_a_fault_that_says_so(monkeypatch):
    monkeypatch.setattr("firmware_bridge.host.board.MESSAGES_VERSION", OLDEST_VERSION - 1)
    with pytest.raises(BoardError, match="update the host's ks100") as caught, memory_board():
        pass
    assert caught.value.kind is m.FaultKind.USAGE


def test_both_ends_of_today_use_the_newest_version():
    with memory_board() as (board, service):
        assert board.welcome.version == MESSAGES_VERSION
        assert encode(service.info()) != encode(service.info(), OLDEST_VERSION)
        assert board.info() == service.info()
        assert board.push(PACKAGE).slot == "b"
