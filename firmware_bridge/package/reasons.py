"""Why a package, key or trust store is refused: a closed set, one stable code and one line for people each.

The codes cross the link and stand in audit logs and reports: a code is never reused or renamed. They are in
the order in which a board checks (see `firmware_bridge.package.trust`).
"""

from __future__ import annotations

from enum import Enum

__all__ = ["RejectReason"]


class RejectReason(Enum):
    """A named reason for a refusal; ``code`` is stable, ``text`` is for people."""

    FRAME = ("frame", "the file is not a well-formed package")
    LENGTH = ("length", "a declared length is wrong or over its cap")
    TRAILING = ("trailing-bytes", "bytes follow the end of the package")
    CBOR = ("cbor", "the encoding is not strict CBOR")
    ENVELOPE = ("envelope", "the signature's envelope breaks the profile")
    ALGORITHM = ("algorithm", "the signature algorithm is not the one the trust store names for this key")
    NO_TRUST = ("no-trust-store", "the board has no trust store yet: provision it first")
    UNKNOWN_KEY = ("unknown-key", "no key of the trust store has this key id")
    REVOKED_KEY = ("revoked-key", "the signing key is revoked")
    SIGNATURE = ("signature", "the signature does not verify")
    SCHEMA = ("schema", "a field of the manifest is missing, unknown or of the wrong type")
    PROGRAM = ("program", "the package, its key and the board are not of one program")
    BOARD = ("board", "the package is not for this kind of board")
    FORMAT = ("format", "the payload is of a format, or a version of it, that the board does not read")
    RUNTIME = ("runtime", "the board's runtime cannot run an operation that the package declares")
    ROLLBACK = ("rollback", "the security version is below the board's floor")
    VALIDITY = ("validity", "the package is outside its validity period")
    EVIDENCE = ("evidence", "the gate's evidence is missing, failed, or of other bytes")
    CAPACITY = ("capacity", "it does not fit on the board")
    CHUNK_TABLE = ("chunk-table", "the chunk table does not match the manifest")
    CHUNK = ("chunk", "a chunk does not match its digest")
    DIGEST = ("payload-digest", "the whole payload does not match its digest")
    GRAPH = ("graph", "the payload is not the graph that the manifest declares")
    TRIAL = ("trial", "the trial run on the board failed")
    SLOT = ("slot", "the slot does not hold a verified model")
    TRUST_SIGNATURES = (
        "trust-signatures",
        "the trust store lacks valid signatures of enough distinct root keys",
    )
    TRUST_VERSION = ("trust-version", "the trust store is older than the one the board has")

    @property
    def code(self) -> str:
        """The stable code, as it stands on the wire, in logs and in reports."""
        return self.value[0]

    @property
    def text(self) -> str:
        """One line for people."""
        return self.value[1]

    @classmethod
    def from_code(cls, code: str) -> RejectReason:
        """Return the reason with this code.

        Raises:
            ValueError: no reason has it.
        """
        for reason in cls:
            if reason.code == code:
                return reason
        raise ValueError(f"unknown rejection reason {code!r}")
