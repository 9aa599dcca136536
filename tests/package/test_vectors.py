"""The published vectors: any verifier of docs/package-format.md must say what index.json says."""

import json
import sys
from pathlib import Path

import pytest

from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import RejectedError
from firmware_bridge.package import trust
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.trust import BoardContext, TrustStore

VECTORS = Path(__file__).parent.parent / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text())


def judge(entry: dict) -> str:
    runtime = entry["runtime"]
    context = BoardContext(
        board=entry["board"],
        program=entry["program"],
        runtime=RuntimeInfo(runtime["name"], runtime["version"], tuple(runtime["ops"])),
        floor=entry["floor"],
        capacity_bytes=entry["capacity_bytes"],
        time_s=entry["time_s"],
    )
    store = TrustStore.decode((VECTORS / entry["store"]).read_bytes()) if entry["store"] else None
    try:
        trust.verify_package((VECTORS / entry["file"]).read_bytes(), store, context)
    except RejectedError as error:
        return error.reason.code
    return "accepted"


@pytest.mark.parametrize("entry", INDEX, ids=lambda entry: entry["file"])
def test_a_vector_is_judged_as_published(entry):
    assert judge(entry) == entry["expect"]


def test_the_vectors_show_every_reason_that_a_package_can_be_refused_for():
    shown = {entry["expect"] for entry in INDEX}
    elsewhere = {RejectReason.TRIAL, RejectReason.SLOT, RejectReason.TRUST_SIGNATURES, RejectReason.TRUST_VERSION}
    assert shown == {reason.code for reason in set(RejectReason) - elsewhere} | {"accepted"}


def test_no_private_key_lies_among_the_vectors():
    assert not [path for path in VECTORS.iterdir() if b"PRIVATE" in path.read_bytes() and path.suffix != ".py"]


def test_a_fresh_set_is_judged_as_the_published_one(shop, tmp_path, monkeypatch):
    generator = sys.modules[type(shop).__module__]
    monkeypatch.setattr(generator, "FOLDER", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "VECTORS", tmp_path)
    generator.main()
    fresh = json.loads((tmp_path / "index.json").read_text())
    assert [(entry["file"], entry["expect"]) for entry in fresh] == [(e["file"], e["expect"]) for e in INDEX]
    assert [entry["file"] for entry in fresh if judge(entry) != entry["expect"]] == []
