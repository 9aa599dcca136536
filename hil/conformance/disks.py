"""Attacks on what the board has stored: files that change after they were verified. Needs the board's disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from firmware_bridge.errors import RejectedError
from firmware_bridge.package.reasons import RejectReason as R
from hil.conformance.rules import ACCEPTED, ON_DISK, Act, Case, Group, Rule, Target, reasons
from hil.conformance.signing_kit import RawPackage, SigningKit

__all__ = ["FELL_BACK", "RULES"]

FELL_BACK = "fell back"
"""The board noticed at its next boot, and runs the model from before."""

Files = Callable[[Path, str], None]
"""Does something to the files of a slot, given the folder of the slots and the slot's name."""


def _flip(name: str, share: float) -> Files:
    def change(folder: Path, slot: str) -> None:
        path = folder / f"{slot}.{name}"
        data = bytearray(path.read_bytes())
        data[int((len(data) - 1) * share)] ^= 1
        path.write_bytes(data)

    return change


def _cut(name: str, keep: float) -> Files:
    def change(folder: Path, slot: str) -> None:
        path = folder / f"{slot}.{name}"
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])

    return change


def _append(name: str) -> Files:
    def change(folder: Path, slot: str) -> None:
        with (folder / f"{slot}.{name}").open("ab") as file:
            file.write(b"\0")

    return change


def _remove(name: str) -> Files:
    return lambda folder, slot: (folder / f"{slot}.{name}").unlink()


def _folder_instead(name: str) -> Files:
    def change(folder: Path, slot: str) -> None:
        (folder / f"{slot}.{name}").unlink()
        (folder / f"{slot}.{name}").mkdir()

    return change


def _links(name: str, source: str) -> Files:
    def change(folder: Path, slot: str) -> None:
        path = folder / f"{slot}.{name}"
        if source == "itself":
            kept = folder.parent / f"kept-{slot}.{name}"
            path.rename(kept)
            path.symlink_to(kept)
        else:
            path.unlink()
            path.symlink_to(source)

    return change


def _other_slot(*names: str) -> Files:
    """Put the other slot's files, which verify, in place of this one's."""

    def change(folder: Path, slot: str) -> None:
        other = "b" if slot == "a" else "a"
        for name in names:
            (folder / f"{slot}.{name}").write_bytes((folder / f"{other}.{name}").read_bytes())

    return change


def _activated(package: RawPackage, change: Files) -> Act:
    """Install, change the files, activate: the board must notice when it loads."""

    def act(target: Target) -> str:
        slot = target.board.push(package).slot
        assert target.disk is not None
        folder = target.disk / "slots"
        try:
            change(folder, slot)
            target.board.activate(slot)
            return ACCEPTED
        finally:
            _heal(folder, slot)

    return act


def _booted(package: RawPackage, change: Files) -> Act:
    """Install, activate and confirm, change the files, restart: the board must fall back to the slot before."""

    def act(target: Target) -> str:
        slot = target.board.push(package).slot
        target.board.activate(slot)
        target.board.confirm()
        assert target.disk is not None
        folder = target.disk / "slots"
        try:
            change(folder, slot)
            target.board.reboot()
            board = target.reopen()
            return FELL_BACK if board.info().active == target.baseline else ACCEPTED
        finally:
            _heal(folder, slot)

    return act


def _heal(folder: Path, slot: str) -> None:
    """Make the slot's files writable again for the next package: no links, no folders."""
    for name in ("head", "payload"):
        path = folder / f"{slot}.{name}"
        if path.is_symlink():
            path.unlink()
        elif path.is_dir():
            path.rmdir()


_CHANGES: dict[str, Files] = {
    **{f"payload-bit-at-{share}": _flip("payload", share) for share in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)},
    **{f"head-bit-at-{share}": _flip("head", share) for share in (0.0, 0.02, 0.3, 0.6, 0.9, 1.0)},
    "payload-cut": _cut("payload", 0.5),
    "payload-empty": _cut("payload", 0.0),
    "payload-longer": _append("payload"),
    "head-cut": _cut("head", 0.5),
    "head-empty": _cut("head", 0.0),
    "head-longer": _append("head"),
}
_MISSING: dict[str, Files] = {
    "payload": _remove("payload"),
    "head": _remove("head"),
    "payload-a-folder": _folder_instead("payload"),
    "head-a-folder": _folder_instead("head"),
}
_LINKS: dict[str, Files] = {
    "payload-to-itself-elsewhere": _links("payload", "itself"),
    "head-to-itself-elsewhere": _links("head", "itself"),
    "payload-to-nothing": _links("payload", "/nonexistent"),
    "payload-to-zeros": _links("payload", "/dev/zero"),
    "head-to-zeros": _links("head", "/dev/zero"),
    "payload-to-passwd": _links("payload", "/etc/passwd"),
}
_SWAPS: dict[str, Files] = {
    "both-files-of-the-other-slot": _other_slot("head", "payload"),
    "head-of-the-other-slot": _other_slot("head"),
    "payload-of-the-other-slot": _other_slot("payload"),
}
_AT_BOOT = {label: _CHANGES[label] for label in ("payload-bit-at-0.5", "head-bit-at-0.3", "payload-cut", "head-empty")}
_AT_BOOT["payload-gone"] = _MISSING["payload"]
_LOADING = reasons(R.SLOT, R.CHUNK, R.LENGTH, R.TRAILING, R.DIGEST)


def _cases(
    changes: dict[str, Files], act: Callable[[RawPackage, Files], Act]
) -> Callable[[SigningKit], Iterator[Case]]:
    def cases(shop: SigningKit) -> Iterator[Case]:
        for label, change in changes.items():
            yield Case(label, act(shop.fresh_package(), change))

    return cases


def _unverified_pointer(shop: SigningKit) -> Iterator[Case]:
    """Files of a package that was never received, with a record of its confirmation."""
    bad = {
        "by-a-stranger": shop.package(shop.stranger, payload=shop.fresh_payload()),
        "below-the-floor": shop.package(payload=shop.fresh_payload(), security_version=0),
        "of-another-program": shop.package(shop.other, payload=shop.fresh_payload()),
    }
    for label, package in bad.items():

        def plant(folder: Path, slot: str, package: RawPackage = package) -> None:
            (folder / f"{slot}.head").write_bytes(package.head)
            (folder / f"{slot}.payload").write_bytes(package.payload)

        yield Case(label, _booted(shop.fresh_package(), plant))


def _partial(shop: SigningKit) -> Iterator[Case]:
    """A chunk that has arrived changes on the disk before the last one comes."""
    package = shop.fresh_package()

    def act(target: Target) -> str:
        assert target.disk is not None
        chunks = target.disk / "chunks"
        half = RawPackage(package.head, package.payload, {3: b"\0" * len(package.chunk(3))})
        with contextlib.suppress(RejectedError):
            target.board.push(half)
        for path in sorted(p for p in chunks.rglob("*") if p.is_file()):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        target.board.push(package)  # what does not match is requested again
        return ACCEPTED

    yield Case("received-chunk-flipped", act)


_S = Group.STORAGE
RULES = (
    Rule(
        "slot-changed",
        _S,
        "every load verifies what it runs, as it stands on the disk",
        "flash decay, or somebody with a soldering iron, changes a model after its gate",
        _LOADING,
        _cases(_CHANGES, _activated),
        needs=ON_DISK,
        loads=True,
    ),
    Rule(
        "slot-missing",
        _S,
        "a slot whose files are not there is refused by name",
        "a load that waits, or runs the last one",
        _LOADING,
        _cases(_MISSING, _activated),
        needs=ON_DISK,
        loads=True,
    ),
    Rule(
        "slot-linked",
        _S,
        "a slot contains files, not links",
        "a load is led to other bytes, or into a device that never ends",
        reasons(R.SLOT),
        _cases(_LINKS, _activated),
        "CVE-2021-30465 (runc: symlinks between check and use)",
        needs=ON_DISK,
        loads=True,
    ),
    Rule(
        "slot-swapped",
        _S,
        "a slot runs the package that was installed in it",
        "a judged package in another one's place",
        _LOADING,
        _cases(_SWAPS, _activated),
        needs=ON_DISK,
        loads=True,
    ),
    Rule(
        "boot-changed",
        _S,
        "a boot verifies, and falls back to the model from before",
        "a board that is dead, or runs what it cannot verify, after a power cut",
        (FELL_BACK,),
        _cases(_AT_BOOT, _booted),
        needs=ON_DISK,
        loads=True,
        silent=True,
    ),
    Rule(
        "pointer-to-unverified",
        _S,
        "a record that names a slot does not prove its content",
        "files and record are forged together",
        (FELL_BACK,),
        _unverified_pointer,
        needs=ON_DISK,
        loads=True,
        silent=True,
    ),
    Rule(
        "partial-changed",
        _S,
        "what has arrived is verified again before it is used",
        "a resume that trusts the disk",
        (ACCEPTED,),
        _partial,
        needs=ON_DISK,
    ),
)
