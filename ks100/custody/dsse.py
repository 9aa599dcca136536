"""DSSE envelopes (https://github.com/secure-systems-lab/dsse): a statement and its signature, as one line of JSON.

Defines what is signed (the pre-authentication encoding) and the envelope's format. Signatures are ECDSA in DER, as in
the in-toto tools; a key id is the SHA-256 of the SPKI in hex.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

from firmware_bridge.errors import InputError
from firmware_bridge.package.ecdsa import PublicKey, from_der, to_der
from firmware_bridge.package.signing import Signer
from ks100.custody.faults import BrokenCustodyError, CustodyFault
from ks100.custody.statement import Statement

__all__ = ["PAYLOAD_TYPE", "Envelope", "pae", "seal"]

PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed, unverified envelope.

    Attributes:
        payload: the statement's JSON.
        key_id: the signer's key id, hex, as the envelope claims.
        signature: DER.
    """

    payload: bytes
    key_id: str
    signature: bytes

    @classmethod
    def parse(cls, line: bytes) -> Envelope:
        """Read one line.

        Raises:
            BrokenCustodyError: STATEMENT.
        """
        try:
            document = json.loads(line)
            [signature] = document["signatures"]
            envelope = cls(
                payload=base64.b64decode(document["payload"], validate=True),
                key_id=signature["keyid"],
                signature=base64.b64decode(signature["sig"], validate=True),
            )
            same = envelope.to_line() == line
        except (ValueError, TypeError, KeyError, binascii.Error, RecursionError) as error:
            raise BrokenCustodyError(CustodyFault.STATEMENT, f"not a DSSE envelope: {error!r:.100}") from error
        if not same:
            raise BrokenCustodyError(CustodyFault.STATEMENT, "not a DSSE envelope in canonical encoding")
        return envelope

    def to_line(self) -> bytes:
        """Return the envelope as JSON, keys sorted, no spaces, no line end."""
        document = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"keyid": self.key_id, "sig": base64.b64encode(self.signature).decode()}],
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    def statement(self) -> Statement:
        """Return the statement, unverified.

        Raises:
            BrokenCustodyError: STATEMENT.
        """
        return Statement.parse(self.payload)

    def verify(self, keys: Mapping[str, PublicKey]) -> Statement:
        """Verify the signature and return the statement.

        Args:
            keys: the trusted keys by key id, hex.

        Raises:
            BrokenCustodyError: ENTRY_SIGNER, ENTRY_SIGNATURE or STATEMENT.
        """
        key = keys.get(self.key_id)
        if key is None:
            raise BrokenCustodyError(CustodyFault.ENTRY_SIGNER, f"key {self.key_id[:16]!r}")
        try:
            signature = from_der(self.signature, key.algorithm)
        except InputError as error:
            raise BrokenCustodyError(CustodyFault.ENTRY_SIGNATURE, str(error)) from error
        if not key.verifies(pae(PAYLOAD_TYPE, self.payload), signature):
            raise BrokenCustodyError(CustodyFault.ENTRY_SIGNATURE, f"key {self.key_id[:16]}")
        return self.statement()


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding, DSSEv1."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def seal(statement: Statement, signer: Signer) -> Envelope:
    """Sign a statement."""
    payload = statement.to_json()
    signature = to_der(signer.sign(pae(PAYLOAD_TYPE, payload)))
    return Envelope(payload, signer.key_id.hex(), signature)
