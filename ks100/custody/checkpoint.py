"""Checkpoints: the signed size and root of a log, as a signed note.

Owns: the text (https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note, ECDSA signature type). A checkpoint
can be archived, mailed or printed; any later change of the entries it covers is then detected.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from firmware_bridge.errors import InputError
from firmware_bridge.package.ecdsa import PublicKey, from_der, to_der
from firmware_bridge.package.signing import Signer
from ks100.custody.faults import BrokenCustodyError, CustodyFault

__all__ = ["Checkpoint"]

_NOTE = re.compile(
    r"(?P<body>(?P<origin>[!-~]{1,128})\n(?P<size>0|[1-9][0-9]{0,15})\n(?P<root>[A-Za-z0-9+/]{43}=)\n)"
    r"\n— (?P<name>[!-~]{1,128}) (?P<signature>[A-Za-z0-9+/=]{1,256})\n"
)
_KEY_HASH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log at one size.

    Attributes:
        origin: the log's name.
        size: number of entries.
        root: root of the Merkle tree over them, 32 bytes.
        text: the signed note.
    """

    origin: str
    size: int
    root: bytes
    text: str

    @classmethod
    def sign(cls, origin: str, size: int, root: bytes, signer: Signer) -> Checkpoint:
        """Sign a checkpoint."""
        body = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        blob = signer.key_id[:_KEY_HASH_BYTES] + to_der(signer.sign(body.encode()))
        return cls(origin, size, root, f"{body}\n— {origin} {base64.b64encode(blob).decode()}\n")

    @classmethod
    def verify(cls, text: str, public_key_spki: bytes) -> Checkpoint:
        """Read a checkpoint and verify its signature.

        Raises:
            BrokenCustodyError: UNREADABLE or CHECKPOINT_SIGNATURE.
        """
        match = _NOTE.fullmatch(text)
        if match is None:
            raise BrokenCustodyError(CustodyFault.UNREADABLE, "not a checkpoint; expected a signed note of a log")
        key = PublicKey(public_key_spki)
        try:
            blob = base64.b64decode(match["signature"], validate=True)
            signature = from_der(blob[_KEY_HASH_BYTES:], key.algorithm)
        except (binascii.Error, InputError) as error:
            raise BrokenCustodyError(CustodyFault.CHECKPOINT_SIGNATURE, "the signature is malformed") from error
        named = blob[:_KEY_HASH_BYTES] == key.key_id[:_KEY_HASH_BYTES] and match["name"] == match["origin"]
        if not named or not key.verifies(match["body"].encode(), signature):
            raise BrokenCustodyError(CustodyFault.CHECKPOINT_SIGNATURE, f"expected key {key.key_id.hex()[:16]}")
        return cls(match["origin"], int(match["size"]), base64.b64decode(match["root"]), text)
