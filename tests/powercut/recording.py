"""A disk that remembers how it stood before, within and after each operation: every place for a cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hil.virtual.disk import Moment, SimulatedDisk
from tests.powercut.scenarios import Promise

__all__ = ["CutPoint", "RecordingDisk"]


@dataclass(frozen=True, slots=True)
class CutPoint:
    """The power goes here.

    Attributes:
        operation: number and name, as ``17 rename state.0``.
        moment: before, within or after it.
        promise: what the board has promised by then.
        disk: how it stands then, what is safe and what is not.
    """

    operation: str
    moment: Moment
    promise: Promise
    disk: SimulatedDisk

    def __str__(self) -> str:
        """Name the point."""
        return f"{self.moment.value} {self.operation}"


class RecordingDisk(SimulatedDisk):
    """A disk that collects `points`; set `promise` to what holds from now on."""

    def __init__(self, base: SimulatedDisk) -> None:
        """Begin with a copy of ``base``."""
        super().__init__()
        self.take_over(base)
        self.promise = Promise(frozenset())
        self.points: list[CutPoint] = []

    def rest(self, label: str) -> None:
        """Collect a point between operations: the power goes right after ``label``."""
        self._point(label, Moment.AFTER, self.copy())

    def _steps(self, operation: str, name: str, data: bytes = b"") -> Iterable[bytes]:
        label = f"{self.operations} {operation} {name}"
        self._point(label, Moment.BEFORE, self.copy())
        if len(data) > 1:  # only a write takes time in which it can be torn; POSIX makes the others one act
            for length in {1, len(data) // 2, len(data) - 1}:
                torn = self.copy()
                (torn.write if operation == "write" else torn.append)(name, data[:length])
                self._point(label, Moment.WITHIN, torn)
        yield from super()._steps(operation, name, data)
        self._point(label, Moment.AFTER, self.copy())

    def _point(self, label: str, moment: Moment, disk: SimulatedDisk) -> None:
        self.points.append(CutPoint(label, moment, self.promise, disk))
