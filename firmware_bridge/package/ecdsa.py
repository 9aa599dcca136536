"""ECDSA keys and signatures: the two allowed algorithms, key ids, and one strict verification.

Owns: what a public key and a signature may look like. Knows no envelope and no trust.

A signature is r || s, each as wide as the curve's order (RFC 9053 section 2.1). Its length is checked and no zero is
ever stripped; 0 < r, s < n is checked here as well as in the library (CVE-2022-21449). Both (r, s) and (r, n - s)
verify: nothing may be named or cached by its signature.
"""

from __future__ import annotations

import hashlib
from enum import Enum

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from firmware_bridge.errors import InputError

__all__ = ["Algorithm", "PublicKey", "SignatureEncoding", "from_der", "key_id_of", "to_der", "verify_raw"]


class Algorithm(Enum):
    """An allowed signature algorithm; each goes with exactly one curve and one hash.

    Attributes:
        cose_id: its number in the COSE registry (RFC 9053).
        size: bytes of one of r and s.
        order: order of the curve's group (SEC 2).
    """

    ES256 = (-7, 32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)
    ES384 = (
        -35,
        48,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    )

    def __init__(self, cose_id: int, size: int, order: int) -> None:
        self.cose_id = cose_id
        self.size = size
        self.order = order

    @property
    def curve(self) -> ec.EllipticCurve:
        """The curve of its keys."""
        return ec.SECP256R1() if self is Algorithm.ES256 else ec.SECP384R1()

    @property
    def hash(self) -> hashes.HashAlgorithm:
        """The hash of the message."""
        return hashes.SHA256() if self is Algorithm.ES256 else hashes.SHA384()

    def digest(self, message: bytes) -> bytes:
        """Return the message's digest, which a token without hashing of its own signs."""
        return hashlib.new("sha256" if self is Algorithm.ES256 else "sha384", message).digest()

    @classmethod
    def of_curve(cls, curve: ec.EllipticCurve) -> Algorithm | None:
        """Return the algorithm of a curve, if one is allowed."""
        return next((a for a in cls if a.curve.name == curve.name), None)


class SignatureEncoding(Enum):
    """How a bare signature is written: DER (ASN.1), or P1363 (r || s at fixed width)."""

    DER = "der"
    P1363 = "p1363"


def key_id_of(spki: bytes) -> bytes:
    """Return a key's id: SHA-256 of its SubjectPublicKeyInfo, 32 bytes."""
    return hashlib.sha256(spki).digest()


class PublicKey:
    """A public key in its one encoding: DER SubjectPublicKeyInfo, named curve, uncompressed point (RFC 5480).

    Attributes:
        spki: the encoding.
        algorithm: the one algorithm that it verifies.
        key_id: SHA-256 of ``spki``.
    """

    __slots__ = ("_key", "algorithm", "key_id", "spki")

    def __init__(self, spki: bytes) -> None:
        """Load a key.

        Raises:
            InputError: the bytes are not such a key: another encoding of the same key is refused too, so that two
                different ids are always two different keys.
        """
        try:
            key = serialization.load_der_public_key(spki)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError("the public key is not a DER SubjectPublicKeyInfo on a known curve") from error
        algorithm = Algorithm.of_curve(key.curve) if isinstance(key, ec.EllipticCurvePublicKey) else None
        if algorithm is None or not isinstance(key, ec.EllipticCurvePublicKey):
            raise InputError("the public key is not on P-256 or P-384; only ES256 and ES384 are allowed")
        if _spki_of(key) != spki:
            raise InputError("the public key is not in its canonical encoding (named curve, uncompressed point)")
        self._key = key
        self.spki = spki
        self.algorithm = algorithm
        self.key_id = key_id_of(spki)

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Load a key from PEM.

        Raises:
            InputError: not the PEM of an allowed public key.
        """
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError("not a PEM public key; expected one that begins -----BEGIN PUBLIC KEY-----") from error
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise InputError("the public key is not on P-256 or P-384; only ES256 and ES384 are allowed")
        return cls(_spki_of(key))

    def to_pem(self) -> bytes:
        """Return the key as PEM."""
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` (r || s) is this key's over ``message``."""
        size = self.algorithm.size
        if len(signature) != 2 * size:
            return False
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        if not (0 < r < self.algorithm.order and 0 < s < self.algorithm.order):
            return False
        try:
            self._key.verify(encode_dss_signature(r, s), message, ec.ECDSA(self.algorithm.hash))
        except InvalidSignature:
            return False
        return True


def _spki_of(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def from_der(der: bytes, algorithm: Algorithm) -> bytes:
    """Return r || s of a DER signature.

    Raises:
        InputError: not the DER of two integers in range, or not its one encoding.
    """
    try:
        r, s = decode_dss_signature(der)
    except ValueError as error:
        raise InputError("the signature is not DER") from error
    if not (0 < r < algorithm.order and 0 < s < algorithm.order):
        raise InputError("the signature's integers are out of range")
    if encode_dss_signature(r, s) != der:
        raise InputError("the signature is not in its one DER encoding")
    return r.to_bytes(algorithm.size, "big") + s.to_bytes(algorithm.size, "big")


def to_der(signature: bytes) -> bytes:
    """Return the DER form of r || s."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def verify_raw(spki: bytes, message: bytes, signature: bytes, encoding: SignatureEncoding) -> bool:
    """Verify a bare signature on the code path of packages, e.g. to run published vectors.

    Raises:
        InputError: the public key is not an allowed one. A malformed signature is just not valid.
    """
    key = PublicKey(spki)
    if encoding is SignatureEncoding.DER:
        try:
            signature = from_der(signature, key.algorithm)
        except InputError:
            return False
    return key.verifies(message, signature)
