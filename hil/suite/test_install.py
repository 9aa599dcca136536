# ruff: noqa: D103 - a test's name is its promise
"""The package arrives, verifies, starts and stays."""

from __future__ import annotations

from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from hil.checks.install import Installation
from hil.measurements.measurement import Better, Margin, Subject
from hil.measurements.recorder import Recorder


def test_package_is_accepted(ks_installation: Installation) -> None:
    if ks_installation.refusal is not None:
        raise ks_installation.refusal


def test_active_slot_holds_the_packages_graph(
    ks_board: Board, ks_package: PackageFile, ks_installed: Installation
) -> None:
    manifest, info = ks_package.manifest_unverified, ks_board.info()
    active = next(slot for slot in info.slots if slot.name == info.active)
    assert info.active == ks_installed.slot, f"slot {info.active} is active, the package is in {ks_installed.slot}"
    assert active.digest == manifest.payload_sha256.hex(), "the active slot holds another graph than the package"
    assert (active.model, active.version) == (manifest.model, manifest.version)


def test_active_slot_is_confirmed_and_the_floor_follows(
    ks_board: Board, ks_package: PackageFile, ks_installed: Installation
) -> None:
    info = ks_board.info()
    state = next(slot.state for slot in info.slots if slot.name == info.active)
    assert state == "confirmed", f"the active slot is {state}, not confirmed"
    version = ks_package.manifest_unverified.security_version
    assert info.floor <= version, f"the floor {info.floor} is over the active package's {version}: it could not boot"
    assert info.floor >= ks_installed.before.floor, "the rollback floor sank"


def test_push_of_the_package_has_a_rate_where_something_crosses_the_link(
    ks_installed: Installation, ks_record: Recorder
) -> None:
    transfer = ks_record.results.transfers[-1]
    if transfer.chunks_sent:  # else the board had every chunk, and nothing has a rate
        sent = f"{transfer.chunks_sent} of {transfer.chunks} chunks"
        note = f"{sent} over {transfer.link}, {transfer.wire_bytes} bytes for {transfer.payload_bytes} of payload"
        # A push over a shared link varies far more than a loop on a board.
        ks_record.figure(
            "push_rate", transfer.rate_bytes_s / 1000, "kB/s", note=note, better=Better.HIGHER, margin=Margin(0.5),
            subject=Subject.LINK,
        )  # fmt: skip
    ks_record.figure("push_retries", transfer.retries, "1", subject=Subject.LINK)
