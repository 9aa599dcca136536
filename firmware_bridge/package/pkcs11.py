"""A signer whose private key never leaves a PKCS#11 token.

Owns: finding exactly one key, refusing one that could be copied, and checking every signature before it is used.
Needs the extra ``hsm``. Tokens sign digests: this hashes on the host, and checks the digest's length, because
CKM_ECDSA signs whatever it is given.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.errors import InputError
from firmware_bridge.package.ecdsa import Algorithm, PublicKey
from firmware_bridge.package.pkcs11_token import find_token

__all__ = ["Pkcs11Signer", "public_key_of"]

_DIGEST_BYTES = {Algorithm.ES256: 32, Algorithm.ES384: 48}
_CURVES = {Algorithm.ES256: "secp256r1", Algorithm.ES384: "secp384r1"}


class Pkcs11Signer:
    """One key pair in a token; a context manager with an open session."""

    def __init__(self, session: Any, private_key: Any, public: PublicKey) -> None:
        """Use `open`."""
        self._session = session
        self._private_key = private_key
        self._public = public

    @classmethod
    def open(
        cls, library: Path, token: str | Mapping[str, str], pin: str, key_label: str | None, key_id: bytes | None
    ) -> Pkcs11Signer:
        """Find a key in a token.

        Args:
            library: the token's PKCS#11 module, e.g. ``/usr/lib/softhsm/libsofthsm2.so``.
            token: the token's label, or attributes (`pkcs11_uri.TOKEN_ATTRIBUTES`) that all have to match.
            pin: the user's PIN.
            key_label: CKA_LABEL of the key, None for any.
            key_id: CKA_ID of the key, None for any; labels alone are not unique.

        Raises:
            InputError: the extra or the module is missing, not exactly one such token, a wrong PIN, not exactly one
                such key, or the key could be exported.
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


def _open_session(library: Path, token: str | Mapping[str, str], pin: str, *, writable: bool) -> Any:
    pkcs11 = _module()
    if "tensorflow" in sys.modules:
        # Both bring a libcrypto of their own; the token's library then calls into the wrong one and crashes.
        raise InputError("a token cannot be used in a process that has loaded TensorFlow; sign in a separate process")
    wanted = {"token": token} if isinstance(token, str) else dict(token)
    try:
        return find_token(pkcs11.lib(str(library)), wanted).open(rw=writable, user_pin=pin)
    except InputError as error:
        raise InputError(f"cannot open the token {_named(wanted)} of {library}: {error}") from error
    except (pkcs11.PKCS11Error, RuntimeError) as error:
        raise InputError(f"cannot open the token {_named(wanted)} of {library}: {_why(error)}") from error


def _named(wanted: Mapping[str, str]) -> str:
    return repr(wanted["token"]) if wanted.keys() == {"token"} else ", ".join(f"{k}={v!r}" for k, v in wanted.items())


def _find(session: Any, label: str | None, key_id: bytes | None) -> tuple[Any, PublicKey]:
    """Return the private key and its public key, when exactly one pair has this label and id."""
    pkcs11 = _module()
    asked = {pkcs11.Attribute.LABEL: label, pkcs11.Attribute.ID: key_id}
    names = {attribute: value for attribute, value in asked.items() if value is not None}
    named = " and ".join(
        ([] if label is None else [f"label {label!r}"]) + ([] if key_id is None else [f"id {key_id.hex()}"])
    )
    found = {}
    for kind in (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.PUBLIC_KEY):
        objects = list(session.get_objects({**names, pkcs11.Attribute.CLASS: kind}))
        if len(objects) != 1:
            raise InputError(
                f"the token has {len(objects)} objects {kind.name} with {named}, need one"
                + ("; name label and id" if len(names) < len(asked) and objects else "")
            )
        found[kind] = objects[0]
    private = found[pkcs11.ObjectClass.PRIVATE_KEY]
    if private[pkcs11.Attribute.EXTRACTABLE] or not private[pkcs11.Attribute.SENSITIVE]:
        raise InputError(f"the key with {named} can be exported from the token; create one that cannot")
    return private, _public_key(found[pkcs11.ObjectClass.PUBLIC_KEY], named)


def _public_key(public: Any, named: str) -> PublicKey:
    from pkcs11.util.ec import encode_named_curve_parameters

    pkcs11 = _module()
    curve = bytes(public[pkcs11.Attribute.EC_PARAMS])
    for algorithm, name in _CURVES.items():
        if curve == encode_named_curve_parameters(name):
            return public_key_of(algorithm, bytes(public[pkcs11.Attribute.EC_POINT]), named)
    raise InputError(f"the key with {named} is not on P-256 or P-384")


def public_key_of(algorithm: Algorithm, value: bytes, named: str) -> PublicKey:
    """Return the public key of a CKA_EC_POINT.

    By PKCS#11 2.40, section 2.3.3, it is a DER OCTET STRING of the point; older versions and some tokens give the bare
    point. Either may be compressed (SEC 1, section 2.3.3).

    Args:
        algorithm: whose curve it is on.
        value: the attribute.
        named: the key, for people.

    Raises:
        InputError: not a point on the curve.
    """
    size = _DIGEST_BYTES[algorithm]  # of a coordinate
    bare = {1 + size: b"\x02\x03", 1 + 2 * size: b"\x04"}
    wrapped = value[2:] if len(value) > 2 and value[0] == 4 and value[1] == len(value) - 2 else b""
    for point in (value, wrapped):
        if point[:1] and point[0] in bare.get(len(point), b""):
            try:
                key = ec.EllipticCurvePublicKey.from_encoded_point(algorithm.curve, point)
            except ValueError as error:
                raise InputError(f"the public key with {named} is not a point on its curve: {error}") from error
            encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            return PublicKey(key.public_bytes(encoding, form))
    raise InputError(
        f"the public key with {named} has a CKA_EC_POINT of {len(value)} bytes that begins with {value[:2].hex()}; "
        f"expected is a point of {algorithm.name}, bare or in an OCTET STRING"
    )


def _why(error: BaseException) -> str:
    """Return the text of a PKCS#11 error; many have none, and their name is the reason."""
    return str(error) or type(error).__name__
