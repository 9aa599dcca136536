"""What a rule of the suite is: a class of attack, its promise, and the cases that try it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from firmware_bridge.errors import BoardBusyError, BoardError, RejectedError
from firmware_bridge.host.board import Board
from firmware_bridge.host.transfer import ChunkSource
from firmware_bridge.links.link import Link
from firmware_bridge.package.reasons import RejectReason
from hil.conformance.signing_kit import SigningKit

__all__ = [
    "ACCEPTED", "BUSY", "FAULT", "ON_DISK", "OVER_A_LINE", "OVER_SSH", "SURVIVED", "Act", "Case", "Group", "Rule",
    "Target", "offers", "provides",
]  # fmt: skip

ACCEPTED = "accepted"
BUSY = "busy"
FAULT = "fault"
"""The board reports that the request does not fit its state."""
SURVIVED = "survived"
"""Nothing was refused since nothing was requested; afterwards the board works as before."""


class Group(Enum):
    """Where in the life of a package the attack comes in."""

    CONTAINER = "container"
    ENCODING = "encoding"
    SIGNATURE = "signature"
    KEY = "key"
    TRUST = "trust store"
    POLICY = "policy"
    GRAPH = "graph"
    TRANSFER = "transfer"
    STORAGE = "storage"
    AVAILABILITY = "availability"
    VALID = "valid"


class Needs(Enum):
    """What a rule needs beyond a board on a link."""

    LINK = "a link"
    DISK = "the board's disk within reach, as an emulated board has it"
    SSH = "a second session, as SSH gives it"
    LINE = "a serial line, which has a rate"


ON_DISK, OVER_SSH, OVER_A_LINE = Needs.DISK, Needs.SSH, Needs.LINE


@dataclass
class Target:
    """The board under attack.

    Attributes:
        board: the open session.
        kit: keys and packages for attacks.
        open_link: opens another link to the board.
        disk: the folder that is the board's disk, None where it is out of reach.
        baseline: the slot of the model that runs.
        reopen: ends the session if it is open, and opens a new one.
    """

    board: Board
    kit: SigningKit
    open_link: Callable[[], Link]
    disk: Path | None
    baseline: str
    reopen: Callable[[], Board]


Act = Callable[[Target], str]
"""Does it; returns what the board made of it: a reason's code, or one of the words above. A refusal may be raised."""


@dataclass(frozen=True, slots=True)
class Case:
    """One attack.

    Attributes:
        label: names it within its rule.
        act: does it.
        expected: the board's required answer, if not the rule's.
    """

    label: str
    act: Act
    expected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One class of attack.

    Attributes:
        name: stable, unique.
        group: its group.
        promise: what the board must do, for people.
        why: what goes wrong on a board that does not.
        expected: the codes that are right.
        cases: makes the cases.
        origin: where such a fault was seen, e.g. a CVE.
        needs: what it needs.
        loads: whether the attack makes the board load a slot.
        silent: whether there is nothing that the audit log should name.
    """

    name: str
    group: Group
    promise: str
    why: str
    expected: tuple[str, ...]
    cases: Callable[[SigningKit], Iterator[Case]]
    origin: str = ""
    needs: Needs = Needs.LINK
    loads: bool = False
    silent: bool = False


def offers(source: ChunkSource) -> Act:
    """Return the act of pushing a package."""

    def act(target: Target) -> str:
        target.board.push(source)
        return ACCEPTED

    return act


def provides(store: bytes) -> Act:
    """Return the act of provisioning a trust store."""

    def act(target: Target) -> str:
        target.board.provision(store)
        return ACCEPTED

    return act


def observed(act: Act, target: Target) -> tuple[str, str]:
    """Do it; return what the board made of it, and its words.

    Raises:
        TransferError: the board or its link is gone.
    """
    try:
        return act(target), ""
    except RejectedError as error:
        return error.reason.code, error.detail
    except BoardBusyError as error:
        return BUSY, str(error)
    except BoardError as error:
        return FAULT, str(error)


def reasons(*found: RejectReason) -> tuple[str, ...]:
    """Return the codes of reasons."""
    return tuple(reason.code for reason in found)
