"""Querying several boards in parallel; a failed board does not affect the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from ks100.errors import ExitCode, worst_code

if TYPE_CHECKING:
    from firmware_bridge.host.address import BoardAddress
    from firmware_bridge.host.board import Board

__all__ = ["Answer", "ask_each", "end_code", "error_lines"]

_T = TypeVar("_T")
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Answer(Generic[_T]):
    """The answer of one board, or its error.

    Attributes:
        name: the user's name for it.
        address: its address.
        value: the answer, None after an error.
        error: the error, or None.
    """

    name: str
    address: BoardAddress
    value: _T | None = None
    error: Exception | None = None

    @property
    def code(self) -> int:
        """The exit code of this answer."""
        from ks100.cli.main import code_of

        return int(ExitCode.PASS if self.error is None else code_of(self.error))

    def record(self, **fields: object) -> dict[str, object]:
        """Return the answer as JSON values, with further fields."""
        error = None if self.error is None else " ".join(str(self.error).split())
        return {"name": self.name, "address": self.address.url, **fields, "exit_code": self.code, "error": error}


def ask_each(boards: Mapping[str, BoardAddress], ask: Callable[[Board], _T]) -> tuple[Answer[_T], ...]:
    """Open and query every board; the answers are in the order of ``boards``."""

    def one(name: str, address: BoardAddress) -> Answer[_T]:
        from hil.boards import open_board

        try:
            with open_board(address) as board:
                return Answer(name, address, ask(board))
        except Exception as error:  # noqa: BLE001  # an error of one board must not stop the others
            return Answer(name, address, error=error)

    with ThreadPoolExecutor(min(_AT_ONCE, len(boards)), thread_name_prefix="board") as pool:
        return tuple(pool.map(one, boards, boards.values()))


def end_code(answers: Iterable[Answer[_T]]) -> ExitCode:
    """Return the exit code of the worst answer."""
    return worst_code(answer.code for answer in answers)


def error_lines(answers: Iterable[Answer[_T]]) -> list[str]:
    """Return one line per failed board."""
    return [f"{a.name}: {' '.join(str(a.error).split())}" for a in answers if a.error is not None]
