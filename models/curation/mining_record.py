"""The record of a mining run: the models, the source, and the reason for each frame. A JSON file in the set's folder.

With it anyone can check that neither a candidate nor its float parent selected the cases they are judged on: selection
by the parent's failures hides a loss (the parent is already bad there), selection by the candidate's inflates it.
Round-trip law: ``MiningRecord.load(f) == r`` after ``r.save(f)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from models.errors import DataError
from models.records import RecordFile

__all__ = ["ARM_AXIS", "MINING_FILE", "Arm", "MinedFrame", "MiningRecord"]

MINING_FILE = "mining.json"
ARM_AXIS = "arm"
"""The condition axis of the arms, so that evaluations report both."""


class Arm(StrEnum):
    """How a frame was selected."""

    MINED = "mined"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class MinedFrame:
    """The reason for one frame.

    Attributes:
        id: the capture's id.
        arm: mined, or random, independent of the models.
        agreed: objects that several models missed.
        by_all: objects that every model missed: check these annotations first.
        missed: objects missed, mean over the models.
        false_alarms: false alarms, mean over the models.
    """

    id: str
    arm: Arm
    agreed: int
    by_all: int
    missed: float
    false_alarms: float


@dataclass(frozen=True)
class MiningRecord:
    """The record of one mining run.

    Attributes:
        source: digest of the captures that were mined.
        models: names of the earlier versions by the SHA-256 of their graphs.
        seed: of the random arm.
        frames: one per frame of the set.
    """

    source: str
    models: Mapping[str, str]
    seed: int
    frames: tuple[MinedFrame, ...]

    def check_judges(self, graphs: Mapping[str, str]) -> None:
        """Check that the set may be used to judge the graphs.

        Args:
            graphs: names by SHA-256 (hex).

        Raises:
            DataError: one of them selected the cases.
        """
        check_apart(self.models, graphs)

    def save(self, folder: Path) -> None:
        """Write the record into the set's folder."""
        FILE.save(self, folder / MINING_FILE)

    @classmethod
    def load(cls, folder: Path) -> MiningRecord:
        """Read the record of the set in ``folder``.

        Raises:
            DataError: there is none, or it is damaged.
        """
        return FILE.load(folder / MINING_FILE)


FILE = RecordFile(MiningRecord, "a record of mining", 1, "mine again", DataError)


def check_apart(miners: Mapping[str, str], judged: Mapping[str, str]) -> None:
    """Check that no judged graph was used for mining; both maps are names by SHA-256.

    Raises:
        DataError: names the graph.
    """
    for digest in miners:
        if digest in judged:
            raise DataError(
                f"{judged[digest]} is the earlier version {miners[digest]} (SHA-256 {digest[:12]}): a candidate or its "
                "parent must not select the cases that it is judged on; mine with other versions"
            )
