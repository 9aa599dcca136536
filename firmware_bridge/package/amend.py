"""The next version of a trust store: keys added or revoked, floors raised, roots rotated.

Owns: that what comes out is accepted by every board that holds what went in. Knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package.signing import Signer
from firmware_bridge.package.trust import accept_store
from firmware_bridge.package.trust_store import ProgramKey, TrustStore, build_store

__all__ = ["amend"]


def amend(
    current: TrustStore,
    *,
    signers: Sequence[Signer],
    created_s: int,
    add: Sequence[ProgramKey] = (),
    revoke: Mapping[bytes, str] | None = None,
    floors: Mapping[str, int] | None = None,
    roots: Sequence[bytes] | None = None,
    threshold: int | None = None,
) -> TrustStore:
    """Return the store that follows ``current``.

    Args:
        current: the store that boards hold.
        signers: enough of the current roots, and when ``roots`` is given enough of the new ones as well.
        created_s: now, seconds since 1970.
        add: new program keys.
        revoke: key id and reason of program keys that are good no more; a revoked key is never good again.
        floors: lowest security version by program; a floor is never lowered.
        roots: SPKI of all roots from now on; those of ``current`` if None.
        threshold: how many roots must sign from now on; as before if None.

    Raises:
        InputError: no such key, a key that is there already, a lower floor, or too few of the roots sign.
    """
    keys = _revoked(current, revoke or {})
    for key in add:
        if current.key(key.key_id) is not None:
            raise InputError(f"the key {key.key_id.hex()[:16]} is in the trust store already; make a new key")
    amended = build_store(
        program=current.program,
        version=current.version + 1,
        roots=[root.spki for root in current.roots] if roots is None else roots,
        threshold=current.threshold if threshold is None else threshold,
        keys=[*keys, *add],
        signers=signers,
        floors=_raised(current, floors or {}),
        created_s=created_s,
    )
    try:
        return accept_store(current, amended.raw)
    except RejectedError as error:
        raise InputError(
            f"no board would take this trust store: {error.detail}; sign with the current roots"
        ) from error


def _revoked(current: TrustStore, revoke: Mapping[bytes, str]) -> list[ProgramKey]:
    for key_id, why in revoke.items():
        if current.key(key_id) is None:
            raise InputError(f"the trust store has no key {key_id.hex()[:16]} to revoke")
        if not why:
            raise InputError(f"say why the key {key_id.hex()[:16]} is revoked; boards show it with each refusal")
    return [
        replace(key, revoked=revoke[key.key_id]) if key.key_id in revoke and not key.revoked else key
        for key in current.keys
    ]


def _raised(current: TrustStore, floors: Mapping[str, int]) -> list[tuple[str, int]]:
    for program, floor in floors.items():
        if floor < current.floor(program):
            raise InputError(f"the floor of {program} is {current.floor(program)}; a floor is never lowered to {floor}")
    return sorted({**dict(current.floors), **floors}.items())
