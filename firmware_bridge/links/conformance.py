"""What every link promises, as tests for any implementation of `firmware_bridge.links.link.Link`.

class TestMyLink(LinkConformance):
    @pytest.fixture
    def ends(self):
        yield host, board          # two joined links: the host's end, the board's
"""

from __future__ import annotations

import random
import threading
import time

import pytest

from firmware_bridge.errors import TransferError
from firmware_bridge.links.link import Link, RatedLink, bauds_of

__all__ = ["LinkConformance", "read_exactly"]

Ends = tuple[Link, Link]


def read_exactly(link: Link, size: int, limit_s: float = 20.0) -> bytes:
    """Return ``size`` bytes, or what came of them in time."""
    data = b""
    end = time.monotonic() + limit_s
    while len(data) < size and time.monotonic() < end:
        data += link.read(0.2)
    return data


class LinkConformance:
    """The tests; ``ends`` is (host's end, board's end).

    Attributes:
        closes_the_other_end: whether closing one end shows at the other; on a serial line it does not.
        large_bytes: how much a large write is.
    """

    closes_the_other_end = True
    large_bytes = 1_000_000

    def test_it_has_a_name_that_says_which_link_it_is(self, ends: Ends) -> None:
        assert ":" in ends[0].name

    def test_every_byte_value_crosses_both_ways_unchanged(self, ends: Ends) -> None:
        host, board = ends
        everything = bytes(range(256)) + b"\r\n\x03\x04\x11\x13\x1a\x7f"
        host.write(everything)
        assert read_exactly(board, len(everything)) == everything
        board.write(everything)
        assert read_exactly(host, len(everything)) == everything

    def test_reading_silence_returns_nothing_after_the_timeout(self, ends: Ends) -> None:
        begun = time.monotonic()
        assert ends[0].read(0.1) == b""
        assert 0.08 <= time.monotonic() - begun < 2.0

    def test_reading_without_patience_returns_at_once(self, ends: Ends) -> None:
        begun = time.monotonic()
        assert ends[0].read(0.0) == b""
        assert time.monotonic() - begun < 0.5

    def test_reading_returns_what_is_there_without_waiting_for_more(self, ends: Ends) -> None:
        host, board = ends
        board.write(b"x")
        begun = time.monotonic()
        assert host.read(10.0) == b"x"
        assert time.monotonic() - begun < 5.0

    def test_a_large_write_blocks_until_it_is_read_and_loses_nothing(self, ends: Ends) -> None:
        host, board = ends
        data = random.Random(1).randbytes(self.large_bytes)
        writer = threading.Thread(target=host.write, args=(data,))
        writer.start()
        got = read_exactly(board, len(data), 60)
        writer.join(10)
        assert not writer.is_alive()
        assert got == data

    def test_both_directions_at_once_from_two_threads_each(self, ends: Ends) -> None:
        data = random.Random(2).randbytes(self.large_bytes // 4)
        got: dict[int, bytes] = {}
        threads = [threading.Thread(target=end.write, args=(data,)) for end in ends]
        threads += [
            threading.Thread(target=lambda i=i, e=e: got.update({i: read_exactly(e, len(data), 60)}))
            for i, e in enumerate(ends)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert got == {0: data, 1: data}

    def test_a_closed_link_refuses_to_read_and_write(self, ends: Ends) -> None:
        host, _ = ends
        host.close()
        with pytest.raises(TransferError):
            host.read(1.0)
        with pytest.raises(TransferError):
            host.write(b"x")

    def test_closing_twice_is_allowed(self, ends: Ends) -> None:
        ends[0].close()
        ends[0].close()

    def test_closing_ends_a_read_in_another_thread_soon(self, ends: Ends) -> None:
        host, _ = ends
        seen: list[object] = []

        def reading() -> None:
            try:
                seen.append(host.read(30.0))
            except TransferError as error:
                seen.append(error)

        thread = threading.Thread(target=reading)
        thread.start()
        time.sleep(0.1)
        host.close()
        thread.join(5)
        assert not thread.is_alive()
        assert isinstance(seen[0], TransferError)

    def test_both_ends_of_a_line_can_be_set_to_each_rate_that_they_share(self, ends: Ends) -> None:
        """For `RatedLink`s: one that sets nothing would hear the other end all the same."""
        host, board = ends
        shared = [baud for baud in bauds_of(host) if baud in bauds_of(board)]
        if not shared:
            pytest.skip("a link without a rate")
        assert isinstance(host, RatedLink)
        assert isinstance(board, RatedLink)
        for baud in [*shared[1:], shared[0]]:
            host.set_baud(baud)
            host.write(b"alone" * 20)
            assert read_exactly(board, 100, 0.5) != b"alone" * 20
            board.set_baud(baud)
            host.write(b"there" * 20)
            assert read_exactly(board, 100) == b"there" * 20
            board.write(b"back" * 20)
            assert read_exactly(host, 80) == b"back" * 20

    def test_the_other_end_notices_the_close_after_reading_what_came_before(self, ends: Ends) -> None:
        if not self.closes_the_other_end:
            pytest.skip("a serial line does not tell")
        host, board = ends
        host.write(b"last words")
        host.close()
        assert read_exactly(board, 10) == b"last words"
        with pytest.raises(TransferError):
            read_exactly(board, 1)
