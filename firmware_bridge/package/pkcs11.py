"""A signer whose private key never leaves a PKCS#11 token.

Owns: finding exactly one key, refusing one that could be copied, and checking every signature before it is used.
Needs the extra ``hsm``. Tokens sign digests: this hashes on the host, and checks the digest's length, because
CKM_ECDSA signs whatever it is given.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.errors import InputError
from firmware_bridge.package.ecdsa import Algorithm, PublicKey

__all__ = ["Pkcs11Signer"]

_DIGEST_BYTES = {Algorithm.ES256: 32, Algorithm.ES384: 48}
_CURVES = {Algorithm.ES256: "secp256r1", Algorithm.ES384: "secp384r1"}


class Pkcs11Signer:
    """One key pair in a token; a context manager that holds the session."""

    def __init__(self, session: Any, private_key: Any, public: PublicKey) -> None:
        """Use `open`."""
        self._session = session
        self._private_key = private_key
        self._public = public

    @classmethod
    def open(cls, library: Path, token: str, pin: str, key_label: str, key_id: bytes) -> Pkcs11Signer:
        """Find a key in a token.

        Args:
            library: the token's PKCS#11 module, e.g. ``/usr/lib/softhsm/libsofthsm2.so``.
            token: the token's label.
            pin: the user's PIN.
            key_label: CKA_LABEL of the key.
            key_id: CKA_ID of the key; labels alone are not unique.

        Raises:
            InputError: the extra or the module is missing, no such token, a wrong PIN, not exactly one such key, or
                the key could be exported.
        """
        session = _open_session(library, token, pin, writable=False)
        try:
            found = _find(session, key_label, key_id)
            return cls(session, *found)
        except BaseException:
            session.close()
            raise

    @classmethod
    def generate(
        cls, library: Path, token: str, pin: str, key_label: str, key_id: bytes, algorithm: Algorithm = Algorithm.ES256
    ) -> Pkcs11Signer:
        """Create a key pair in a token; arguments and errors as for `open`.

        Raises:
            InputError: also when the token has a key with this label and id.
        """
        pkcs11 = _module()
        from pkcs11.util.ec import encode_named_curve_parameters

        session = _open_session(library, token, pin, writable=True)
        try:
            wanted = {pkcs11.Attribute.LABEL: key_label, pkcs11.Attribute.ID: key_id}
            if list(session.get_objects(wanted)):
                raise InputError(f"the token {token} has a key {key_label!r} with this id; choose another id")
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC,
                {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[algorithm])},
                local=True,
            )
            private = {pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.SENSITIVE: True}
            parameters.generate_keypair(store=True, label=key_label, id=key_id, private_template=private)
            return cls(session, *_find(session, key_label, key_id))
        except pkcs11.PKCS11Error as error:
            session.close()
            raise InputError(f"the token {token} cannot create the key: {_why(error)}") from error
        except BaseException:
            session.close()
            raise

    @property
    def key_id(self) -> bytes:
        """SHA-256 of the public key's SPKI (not the token's CKA_ID)."""
        return self._public.key_id

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that it signs with."""
        return self._public.algorithm

    @property
    def public_key_spki(self) -> bytes:
        """The public key, DER SubjectPublicKeyInfo."""
        return self._public.spki

    def sign(self, message: bytes) -> bytes:
        """Return r || s over ``message``.

        Raises:
            InputError: the token refuses, or its signature does not verify.
        """
        signature = self._sign_digest(self.algorithm.digest(message))
        if not self._public.verifies(message, signature):
            raise InputError("the token's signature does not verify with its public key; do not use this token")
        return signature

    def close(self) -> None:
        """End the session."""
        self._session.close()

    def __enter__(self) -> Pkcs11Signer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _sign_digest(self, digest: bytes) -> bytes:
        pkcs11 = _module()
        if len(digest) != _DIGEST_BYTES[self.algorithm]:
            raise InputError(f"{self.algorithm.name} signs {_DIGEST_BYTES[self.algorithm]} bytes, got {len(digest)}")
        try:
            return bytes(self._private_key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))
        except pkcs11.PKCS11Error as error:
            raise InputError(f"the token does not sign: {_why(error)}") from error


def _module() -> Any:
    try:
        import pkcs11
    except ImportError as error:
        raise InputError("tokens need the extra hsm; install it with: pip install 'ks100[hsm]'") from error
    return pkcs11


def _open_session(library: Path, token: str, pin: str, *, writable: bool) -> Any:
    pkcs11 = _module()
    if "tensorflow" in sys.modules:
        # Both bring a libcrypto of their own; the token's library then calls into the wrong one and crashes.
        raise InputError("a token cannot be used in a process that has loaded TensorFlow; sign in a process of its own")
    try:
        return pkcs11.lib(str(library)).get_token(token_label=token).open(rw=writable, user_pin=pin)
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise InputError(f"cannot open the token {token!r} of {library}: {_why(error)}") from error


def _find(session: Any, label: str, key_id: bytes) -> tuple[Any, PublicKey]:
    """Return the private key and its public key, when exactly one pair has this label and id."""
    pkcs11 = _module()
    names = {pkcs11.Attribute.LABEL: label, pkcs11.Attribute.ID: key_id}
    found = {}
    for kind in (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.PUBLIC_KEY):
        objects = list(session.get_objects({**names, pkcs11.Attribute.CLASS: kind}))
        if len(objects) != 1:
            raise InputError(
                f"the token has {len(objects)} objects {kind.name} with label {label!r} and id {key_id.hex()}, need one"
            )
        found[kind] = objects[0]
    private = found[pkcs11.ObjectClass.PRIVATE_KEY]
    if private[pkcs11.Attribute.EXTRACTABLE] or not private[pkcs11.Attribute.SENSITIVE]:
        raise InputError(f"the key {label!r} can be exported from the token; create one that cannot")
    return private, _public_key(found[pkcs11.ObjectClass.PUBLIC_KEY], label)


def _public_key(public: Any, label: str) -> PublicKey:
    pkcs11 = _module()
    point = bytes(public[pkcs11.Attribute.EC_POINT])
    # CKA_EC_POINT is a DER OCTET STRING of the uncompressed point (PKCS#11 2.40, section 2.3.3).
    for algorithm, size in ((Algorithm.ES256, 65), (Algorithm.ES384, 97)):
        if len(point) == size + 2 and point[:2] == bytes([4, size]):
            key = ec.EllipticCurvePublicKey.from_encoded_point(algorithm.curve, point[2:])
            encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            return PublicKey(key.public_bytes(encoding, form))
    raise InputError(f"the key {label!r} is not on P-256 or P-384")


def _why(error: BaseException) -> str:
    """Return what a PKCS#11 error says; many have no text, and their name is the reason."""
    return str(error) or type(error).__name__
