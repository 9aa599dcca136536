"""COSE_Sign1 and COSE_Sign (RFC 9052) in a strict profile.

Owns: the envelope's bytes: what is signed, and which envelopes exist at all. Knows no trust: which key is good is the
business of `firmware_bridge.package.trust`.

The profile: tagged; protected header exactly {1: alg, 3: content type, 4: kid} (COSE_Sign: {3} in the body, {1, 4} in
each signature); unprotected maps empty; payload embedded; strict CBOR throughout. The bytes as received are verified,
never a re-encoding. ``alg`` is a claim: it must equal the algorithm that the trust store names for the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cbor
from firmware_bridge.package.ecdsa import Algorithm, PublicKey
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.signing import Signer

__all__ = ["Sign1", "SignMany", "Signature", "protected_sign1", "sign1", "sign_many", "signed_by", "to_be_signed1"]

_TAG_SIGN1 = b"\xd2"  # tag 18, RFC 9052 section 2
_TAG_SIGN = b"\xd8\x62"  # tag 98
_ALG, _CONTENT_TYPE, _KID = 1, 3, 4  # RFC 9052 section 3.1
_KEY_ID_BYTES = 32
_SIGNATURES_LIMIT = 16  # roots before and after a rotation; keeps the work on a hostile store small


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of an envelope, not yet verified.

    Attributes:
        algorithm: what the header claims.
        key_id: SHA-256 of the signer's SPKI, as the header claims.
        message: the bytes that were signed (the Sig_structure).
        value: r || s.
    """

    algorithm: Algorithm
    key_id: bytes
    message: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Sign1:
    """A parsed COSE_Sign1: payload and its one signature, not yet verified."""

    payload: bytes
    signature: Signature

    @classmethod
    def parse(cls, data: bytes, content_type: str, domain: bytes) -> Sign1:
        """Read an envelope.

        Args:
            data: the whole envelope.
            content_type: the only content type that is accepted.
            domain: external_aad, which keeps signatures of different uses apart.

        Raises:
            RejectedError: CBOR, ENVELOPE or ALGORITHM.
        """
        body, payload, value = _envelope(data, _TAG_SIGN1, "COSE_Sign1")
        header = _header(body, {_ALG, _CONTENT_TYPE, _KID})
        _check_content_type(header, content_type)
        if not isinstance(value, bytes):
            raise _broken("the signature is not a byte string")
        message = _sig_structure1(body, payload, domain)
        return cls(payload, _signature(header, message, value))


@dataclass(frozen=True, slots=True)
class SignMany:
    """A parsed COSE_Sign: payload and its signatures by distinct keys, not yet verified."""

    payload: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes, content_type: str, domain: bytes) -> SignMany:
        """Read an envelope; arguments and errors as for `Sign1.parse`."""
        body, payload, items = _envelope(data, _TAG_SIGN, "COSE_Sign")
        _check_content_type(_header(body, {_CONTENT_TYPE}), content_type)
        if not isinstance(items, list) or not 1 <= len(items) <= _SIGNATURES_LIMIT:
            raise _broken(f"there are not 1 to {_SIGNATURES_LIMIT} signatures")
        signatures = tuple(_one_of_many(item, body, payload, domain) for item in items)
        if any(a.key_id >= b.key_id for a, b in pairwise(signatures)):
            raise _broken("the signatures are not in ascending order of distinct key ids")
        return cls(payload, signatures)


def signed_by(signature: Signature, key: PublicKey) -> bool:
    """Return whether ``key`` made ``signature``, with the algorithm that it claims."""
    return (
        signature.key_id == key.key_id
        and signature.algorithm is key.algorithm
        and key.verifies(signature.message, signature.value)
    )


def protected_sign1(algorithm: Algorithm, key_id: bytes, content_type: str) -> bytes:
    """Return the protected header of a COSE_Sign1."""
    return cbor.encode({_ALG: algorithm.cose_id, _CONTENT_TYPE: content_type, _KID: key_id})


def to_be_signed1(payload: bytes, algorithm: Algorithm, key_id: bytes, content_type: str, domain: bytes) -> bytes:
    """Return the bytes that the signer of a COSE_Sign1 signs (the Sig_structure, RFC 9052 section 4.4)."""
    return _sig_structure1(protected_sign1(algorithm, key_id, content_type), payload, domain)


def sign1(payload: bytes, key: PublicKey, signature: bytes, content_type: str, domain: bytes) -> bytes:
    """Return the COSE_Sign1 that carries a signature made over `to_be_signed1`.

    Raises:
        InputError: the signature is not the key's; nothing that does not verify ever leaves this function.
    """
    protected = protected_sign1(key.algorithm, key.key_id, content_type)
    if not key.verifies(_sig_structure1(protected, payload, domain), signature):
        raise InputError(f"the signature does not verify with the key {key.key_id.hex()[:16]}; sign these bytes again")
    return _TAG_SIGN1 + cbor.encode([protected, {}, payload, signature])


def sign_many(payload: bytes, signers: Sequence[Signer], content_type: str, domain: bytes) -> bytes:
    """Return a COSE_Sign of ``payload`` by all ``signers``.

    Raises:
        InputError: a signer twice, too many, or a signature that does not verify.
    """
    body = cbor.encode({_CONTENT_TYPE: content_type})
    ordered = sorted(signers, key=lambda signer: signer.key_id)
    if not 1 <= len({s.key_id for s in ordered}) == len(ordered) <= _SIGNATURES_LIMIT:
        raise InputError(f"a trust store is signed by 1 to {_SIGNATURES_LIMIT} distinct keys, got {len(ordered)}")
    signatures: list[cbor.Value] = []
    for signer in ordered:
        protected = cbor.encode({_ALG: signer.algorithm.cose_id, _KID: signer.key_id})
        message = cbor.encode(["Signature", body, protected, domain, payload])
        value = signer.sign(message)
        if not PublicKey(signer.public_key_spki).verifies(message, value):
            raise InputError(f"the signature of the key {signer.key_id.hex()[:16]} does not verify; check its signer")
        signatures.append([protected, {}, value])
    return _TAG_SIGN + cbor.encode([body, {}, payload, signatures])


def _sig_structure1(protected: bytes, payload: bytes, domain: bytes) -> bytes:
    return cbor.encode(["Signature1", protected, domain, payload])


def _broken(what: str) -> RejectedError:
    return RejectedError(RejectReason.ENVELOPE, what)


def _envelope(data: bytes, tag: bytes, name: str) -> tuple[bytes, bytes, cbor.Value]:
    """Return protected header, payload and the fourth item of an envelope."""
    if not data.startswith(tag):
        raise _broken(f"it does not begin with the tag of {name}")
    items = cbor.decode(data[len(tag) :])
    if not isinstance(items, list) or len(items) != 4:
        raise _broken(f"{name} is not an array of four")
    protected, unprotected, payload, last = items
    if not isinstance(protected, bytes) or not isinstance(payload, bytes):
        raise _broken("protected header and payload are not byte strings")
    if unprotected != {}:
        raise _broken("the unprotected header is not empty")
    return protected, payload, last


def _header(protected: bytes, labels: set[int]) -> dict[int | str, cbor.Value]:
    header = cbor.decode(protected)
    if not isinstance(header, dict) or set(header) != labels:
        raise _broken(f"the protected header does not have exactly the labels {sorted(labels)}")
    return header


def _check_content_type(header: dict[int | str, cbor.Value], expected: str) -> None:
    if header[_CONTENT_TYPE] != expected:
        raise _broken(f"the content type is not {expected}")


def _signature(header: dict[int | str, cbor.Value], message: bytes, value: bytes) -> Signature:
    key_id = header[_KID]
    if not isinstance(key_id, bytes) or len(key_id) != _KEY_ID_BYTES:
        raise _broken(f"the key id is not {_KEY_ID_BYTES} bytes")
    # Compared by type too: in Python the float -7.0 equals the integer -7.
    claimed = header[_ALG]
    algorithm = next((a for a in Algorithm if type(claimed) is int and a.cose_id == claimed), None)
    if algorithm is None:
        raise RejectedError(RejectReason.ALGORITHM, "the header names neither ES256 nor ES384")
    return Signature(algorithm, key_id, message, value)


def _one_of_many(item: cbor.Value, body: bytes, payload: bytes, domain: bytes) -> Signature:
    if not isinstance(item, list) or len(item) != 3:
        raise _broken("a signature is not an array of three")
    protected, unprotected, value = item
    if not isinstance(protected, bytes) or not isinstance(value, bytes) or unprotected != {}:
        raise _broken("a signature is not [protected bytes, empty map, bytes]")
    message = cbor.encode(["Signature", body, protected, domain, payload])
    return _signature(_header(protected, {_ALG, _KID}), message, value)
