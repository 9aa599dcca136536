"""The trust store: root keys, program keys and rollback floors of one program's boards, signed by its roots.

Owns: the value and its bytes. That a store may replace another is a rule: `firmware_bridge.package.trust.accept_store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cbor, cose
from firmware_bridge.package.ecdsa import Algorithm, PublicKey
from firmware_bridge.package.fields import NAME, TEXT, Fields, schema_error
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.signing import Signer

__all__ = ["ProgramKey", "RootKey", "TrustStore", "build_store"]

CONTENT_TYPE = "application/vnd.ks100.trust+cbor"
DOMAIN = b"KS-100 trust store v1"
STORE_LIMIT_BYTES = 64 * 1024
"""Largest trust store that is looked at: some hundred keys."""

SCHEMA = 1
_ROOTS_MIN = 2
_SPKI_LIMIT_BYTES = 256


@dataclass(frozen=True, slots=True)
class RootKey:
    """A key that signs trust stores."""

    spki: bytes
    key: PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", PublicKey(self.spki))

    @property
    def key_id(self) -> bytes:
        """SHA-256 of the SPKI."""
        return self.key.key_id


@dataclass(frozen=True, slots=True)
class ProgramKey:
    """A key that signs packages.

    Attributes:
        spki: the public key, DER SubjectPublicKeyInfo.
        program: the only program that it signs for.
        boards: kinds of boards that it signs for, sorted; empty means every kind.
        not_before_s: begin of its validity, seconds since 1970, or None.
        not_after_s: end of its validity, or None.
        revoked: why it is revoked; ``""`` while it is good.
    """

    spki: bytes
    program: str
    boards: tuple[str, ...] = ()
    not_before_s: int | None = None
    not_after_s: int | None = None
    revoked: str = ""
    key: PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", PublicKey(self.spki))

    @property
    def key_id(self) -> bytes:
        """SHA-256 of the SPKI."""
        return self.key.key_id

    @property
    def algorithm(self) -> Algorithm:
        """The only algorithm that it signs with."""
        return self.key.algorithm


@dataclass(frozen=True, slots=True)
class TrustStore:
    """A trust store whose own roots have signed it.

    Attributes:
        program: the program of the boards that hold it.
        version: grows with each store of the program.
        threshold: how many roots must sign.
        roots: the root keys, in ascending order of key id.
        keys: the program keys, in ascending order of key id.
        floors: (program, lowest security version) of programs, sorted.
        created_s: when it was made, seconds since 1970.
        raw: the signed bytes.
        signatures: the signatures of the envelope; those of keys that are not roots count for nothing.
    """

    program: str
    version: int
    threshold: int
    roots: tuple[RootKey, ...]
    keys: tuple[ProgramKey, ...]
    floors: tuple[tuple[str, int], ...]
    created_s: int
    raw: bytes = field(repr=False)
    signatures: tuple[cose.Signature, ...] = field(repr=False, compare=False)

    @classmethod
    def decode(cls, data: bytes) -> TrustStore:
        """Read a store and check that enough of its own roots have signed it.

        This proves that it is intact, not that it is the right one: anyone can sign a store of their own. A board
        takes a new one only through `firmware_bridge.package.trust.accept_store`.

        Raises:
            RejectedError: LENGTH, CBOR, ENVELOPE, ALGORITHM, SCHEMA or TRUST_SIGNATURES.
        """
        if len(data) > STORE_LIMIT_BYTES:
            raise RejectedError(RejectReason.LENGTH, f"trust store of {len(data)} bytes, {STORE_LIMIT_BYTES} allowed")
        envelope = cose.SignMany.parse(data, CONTENT_TYPE, DOMAIN)
        store = _decode_payload(envelope.payload, data, envelope.signatures)
        store.require_roots(store, "its own")
        return store

    def key(self, key_id: bytes) -> ProgramKey | None:
        """Return the program key with this id, if there is one."""
        return next((key for key in self.keys if key.key_id == key_id), None)

    def floor(self, program: str) -> int:
        """Return the lowest security version that the store allows for a program."""
        return dict(self.floors).get(program, 0)

    def require_roots(self, authority: TrustStore, whose: str) -> None:
        """Require the signatures of enough of another store's roots on this one.

        Raises:
            RejectedError: TRUST_SIGNATURES.
        """
        # Ids are digests of canonical encodings, and both lists are free of repetition: distinct keys are counted.
        by_id = {signature.key_id: signature for signature in self.signatures}
        good = sum(root.key_id in by_id and cose.signed_by(by_id[root.key_id], root.key) for root in authority.roots)
        if good < authority.threshold:
            raise RejectedError(
                RejectReason.TRUST_SIGNATURES, f"{good} valid signatures of {whose} roots, {authority.threshold} needed"
            )


def build_store(
    *,
    program: str,
    version: int,
    roots: Sequence[bytes],
    threshold: int,
    keys: Sequence[ProgramKey],
    signers: Sequence[Signer],
    floors: Sequence[tuple[str, int]] = (),
    created_s: int = 0,
) -> TrustStore:
    """Make and sign a trust store.

    Args:
        program: the program of the boards that will hold it.
        version: at least 1, above that of the store that it replaces.
        roots: SPKI of each root key, at least two.
        threshold: how many roots must sign, at least two.
        keys: the program keys, revoked ones too.
        signers: who signs: enough of ``roots``, and in a rotation enough of the old roots as well.
        floors: (program, lowest security version).
        created_s: now, seconds since 1970.

    Raises:
        InputError: a value is impossible, or too few roots sign.
    """
    document: cbor.Value = {
        "schema": SCHEMA,
        "program": program,
        "version": version,
        "threshold": threshold,
        "roots": [root.spki for root in sorted((RootKey(spki) for spki in roots), key=lambda root: root.key_id)],
        "keys": [_key_document(key) for key in sorted(keys, key=lambda key: key.key_id)],
        "floors": [list(pair) for pair in sorted(floors)],
        "created": created_s,
    }
    data = cose.sign_many(cbor.encode(document), signers, CONTENT_TYPE, DOMAIN)
    try:
        return TrustStore.decode(data)
    except RejectedError as error:
        raise InputError(f"this trust store would be refused: {error.detail or error}") from error


def _key_document(key: ProgramKey) -> cbor.Value:
    return {
        "spki": key.spki,
        "alg": key.algorithm.cose_id,
        "program": key.program,
        "boards": list(key.boards),
        "from": key.not_before_s,
        "until": key.not_after_s,
        "revoked": key.revoked,
    }


def _decode_payload(payload: bytes, raw: bytes, signatures: tuple[cose.Signature, ...]) -> TrustStore:
    read = Fields(cbor.decode(payload), "trust store")
    read.uint("schema", maximum=SCHEMA, minimum=SCHEMA)
    store = TrustStore(
        program=read.text("program", NAME),
        version=read.uint("version", minimum=1),
        threshold=read.uint("threshold", minimum=2),
        roots=read.array("roots", _root),
        keys=read.array("keys", _program_key),
        floors=read.array("floors", _floor),
        created_s=read.uint("created"),
        raw=raw,
        signatures=signatures,
    )
    read.finish()
    _require_ascending([root.key_id for root in store.roots], "roots")
    _require_ascending([key.key_id for key in store.keys], "keys")
    _require_ascending([program.encode() for program, _ in store.floors], "floors")
    if len(store.roots) < max(_ROOTS_MIN, store.threshold):
        raise schema_error(f"trust store has {len(store.roots)} roots for a threshold of {store.threshold}")
    # A key that signs both stores and packages would let one stolen key do both.
    if {root.key_id for root in store.roots} & {key.key_id for key in store.keys}:
        raise schema_error("a root key of the trust store is also a program key")
    return store


def _require_ascending(found: Sequence[bytes], what: str) -> None:
    if any(a >= b for a, b in pairwise(found)):
        raise schema_error(f"trust store.{what} is not in ascending order, each once")


def _root(value: cbor.Value) -> RootKey:
    if not isinstance(value, bytes) or len(value) > _SPKI_LIMIT_BYTES:
        raise schema_error("a root key of the trust store is not the bytes of a public key")
    try:
        return RootKey(value)
    except InputError as error:
        raise schema_error(f"a root key: {error}") from error


def _program_key(value: cbor.Value) -> ProgramKey:
    read = Fields(value, "key")
    spki = read.nonempty_octets("spki", _SPKI_LIMIT_BYTES)
    algorithm = read.integer("alg", 32)
    try:
        key = ProgramKey(
            spki=spki,
            program=read.text("program", NAME),
            boards=read.texts("boards", NAME),
            not_before_s=read.optional_uint("from"),
            not_after_s=read.optional_uint("until"),
            revoked=read.text("revoked", TEXT),
        )
    except InputError as error:
        raise schema_error(f"a program key: {error}") from error
    read.finish()
    if algorithm != key.algorithm.cose_id:
        raise schema_error(f"key {key.key_id.hex()[:16]}: its algorithm does not go with its curve")
    return key


def _floor(value: cbor.Value) -> tuple[str, int]:
    match value:
        case [str(program), int(floor)] if type(floor) is int and 0 <= floor < 1 << 64 and NAME.fullmatch(program):
            return program, floor
    raise schema_error("trust store.floors is not of [program, security version]")
