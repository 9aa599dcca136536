"""What can be wrong with custody: a closed set, one stable code and one line for people each."""

from __future__ import annotations

from enum import Enum

from ks100.errors import CustodyError

__all__ = ["BrokenCustodyError", "CustodyFault"]


class CustodyFault(Enum):
    """A named fault; ``code`` is stable, ``text`` is for people."""

    UNREADABLE = ("unreadable", "the log or its checkpoint cannot be read")
    STATEMENT = ("statement", "an entry is not a well-formed statement")
    ENTRY_SIGNER = ("entry-signer", "an entry is signed by nobody who is trusted for it")
    ENTRY_SIGNATURE = ("entry-signature", "the signature of an entry does not verify")
    CHECKPOINT_SIGNATURE = ("checkpoint-signature", "a checkpoint is not signed by the log's key")
    ORIGIN = ("origin", "the checkpoint is of another log")
    CUT = ("cut", "entries are missing at the end of the log")
    UNCOVERED = ("uncovered", "the log has entries that its checkpoint does not cover")
    EDITED = ("edited", "an entry was edited, removed or moved")
    FORKED = ("forked", "the log's history is not the one that was seen before")
    NO_SIGN = ("no-sign", "no statement says who signed this package")
    MISSING_STEP = ("missing-step", "a step that the policy asks for is not in the chain")
    STEP_ORDER = ("step-order", "a step uses what was only made later")
    STEP_SIGNER = ("step-signer", "a step is signed by a key that the policy does not allow for it")
    DIGEST_JOIN = ("digest-join", "a digest in the manifest is not the one in the statements")
    GATE_VERDICT = ("gate-verdict", "the gate's statement and the manifest do not agree on a passed gate")

    @property
    def code(self) -> str:
        """The stable code."""
        return self.value[0]

    @property
    def text(self) -> str:
        """One line for people."""
        return self.value[1]


class BrokenCustodyError(CustodyError):
    """A log, a statement or a chain does not prove what it should.

    Attributes:
        fault: the closed, stable fault.
        detail: what exactly was found.
    """

    def __init__(self, fault: CustodyFault, detail: str) -> None:
        self.fault = fault
        self.detail = detail
        super().__init__(f"{fault.code}: {fault.text} ({detail})")
