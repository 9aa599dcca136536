"""Signing on another machine: an unsigned package goes out, a bare signature comes back.

Owns: the unsigned package, which is a package whose signature is all zeros: no verifier ever accepts it, and it needs
no format of its own. Holds no private key.
"""

from __future__ import annotations

from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cbor, cose
from firmware_bridge.package import manifest as manifests
from firmware_bridge.package.container import CONTENT_TYPE, PackageFile, Unsigned
from firmware_bridge.package.ecdsa import PublicKey, SignatureEncoding, from_der
from firmware_bridge.package.layout import ENVELOPE_LIMIT_BYTES, Header, chunk_table

__all__ = ["attach", "unsigned_package"]

_SIGN1_TAG = b"\xd2"


def unsigned_package(unsigned: Unsigned, key_id: bytes) -> bytes:
    """Return a package that waits for the signature of the key ``key_id``.

    Raises:
        InputError: the manifest is too large.
    """
    protected = cose.protected_sign1(unsigned.algorithm, key_id, CONTENT_TYPE)
    zeros = bytes(2 * unsigned.algorithm.size)
    envelope = _SIGN1_TAG + cbor.encode([protected, {}, manifests.encode(unsigned.manifest), zeros])
    if len(envelope) > ENVELOPE_LIMIT_BYTES:
        raise InputError(f"the manifest makes an envelope of {len(envelope)} bytes, {ENVELOPE_LIMIT_BYTES} allowed")
    table = chunk_table(unsigned.payload)
    return Header(len(envelope), len(table), len(unsigned.payload)).to_bytes() + envelope + table + unsigned.payload


def attach(package: bytes, signature: bytes, encoding: SignatureEncoding, public_key: PublicKey) -> bytes:
    """Return the signed package.

    Args:
        package: from `unsigned_package`.
        signature: as it came back.
        encoding: how it is written.
        public_key: of the key that signed.

    Raises:
        InputError: not an unsigned package, another key than it waits for, or the signature does not verify.
    """
    try:
        file = PackageFile.of(package)
        envelope, manifest = file.envelope_unverified, file.manifest_unverified
    except RejectedError as error:
        raise InputError(f"not an unsigned package: {error}; make one with: ks100 sign --digest-out") from error
    if any(envelope.signature.value):
        raise InputError("this package has a signature already; attach to the one that ks100 sign --digest-out wrote")
    if envelope.signature.key_id != public_key.key_id:
        waits, got = envelope.signature.key_id.hex()[:16], public_key.key_id.hex()[:16]
        raise InputError(f"the package waits for the key {waits}, the given one is {got}; give that key's public key")
    if encoding is SignatureEncoding.DER:
        signature = from_der(signature, public_key.algorithm)
    unsigned = Unsigned(manifest, file.body, envelope.signature.message, envelope.signature.algorithm)
    return unsigned.attach(signature, public_key.spki)
