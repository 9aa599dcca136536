"""Custody faults: a closed set, each with a stable code and a line of text."""

from __future__ import annotations

from enum import Enum

from ks100.errors import CustodyError

__all__ = ["BrokenCustodyError", "CustodyFault"]


class CustodyFault(Enum):
    """A named fault; ``code`` is stable, ``text`` is for display."""

    UNREADABLE = ("unreadable", "the log or its checkpoint cannot be read")
    STATEMENT = ("statement", "an entry is not a well-formed statement")
    ENTRY_SIGNER = ("entry-signer", "an entry is not signed by a trusted key")
    ENTRY_SIGNATURE = ("entry-signature", "the signature of an entry does not verify")
    CHECKPOINT_SIGNATURE = ("checkpoint-signature", "a checkpoint is not signed by the log's key")
    ORIGIN = ("origin", "the checkpoint is of another log")
    CUT = ("cut", "entries are missing at the end of the log")
    UNCOVERED = ("uncovered", "the log has entries that its checkpoint does not cover")
    EDITED = ("edited", "an entry was edited, removed or moved")
    FORKED = ("forked", "the log's history differs from the one seen before")
    NO_SIGN = ("no-sign", "no statement records the signing of this package")
    MISSING_STEP = ("missing-step", "a step required by the policy is not in the chain")
    STEP_ORDER = ("step-order", "a step uses an artifact that was made later")
    STEP_SIGNER = ("step-signer", "a step is signed by a key that the policy does not permit")
    DIGEST_JOIN = ("digest-join", "a digest in the manifest differs from the statements")
    GATE_VERDICT = ("gate-verdict", "the gate's statement contradicts the manifest")

    @property
    def code(self) -> str:
        """The stable code."""
        return self.value[0]

    @property
    def text(self) -> str:
        """One line for display."""
        return self.value[1]


class BrokenCustodyError(CustodyError):
    """A log, a statement or a chain is not valid evidence.

    Attributes:
        fault: the fault.
        detail: the details.
    """

    def __init__(self, fault: CustodyFault, detail: str) -> None:
        self.fault = fault
        self.detail = detail
        super().__init__(f"{fault.code}: {fault.text} ({detail})")
