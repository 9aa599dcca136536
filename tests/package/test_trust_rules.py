"""What the rules promise beyond single refusals: their order, and that nothing goes around them."""

import dataclasses
from dataclasses import replace

import pytest

from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import RejectedError
from firmware_bridge.package import container, trust
from firmware_bridge.package.manifest import Evidence
from firmware_bridge.package.reasons import RejectReason as R
from firmware_bridge.package.trust import AcceptedPackage, BoardContext, VerifiedPackage


def reason(package, store, context) -> R:
    with pytest.raises(RejectedError) as refused:
        trust.verify_package(package, store, context)
    return refused.value.reason


def test_a_good_package_is_verified_and_its_payload_is_the_object_that_was_hashed(shop, package, store, context):
    head = container.head_length(package)
    accepted = trust.verify_head(package[:head], store, context)
    payload = package[head:]
    verified = trust.verify_payload(accepted, payload)
    assert verified.payload is payload
    assert verified.key_id == shop.good.key_id
    assert verified.graph.op_types == ("ADD:INT8",)


def test_a_verified_package_cannot_be_made_or_changed_outside_the_rules(package, store, context):
    verified = trust.verify_package(package, store, context)
    accepted = trust.verify_head(package[: container.head_length(package)], store, context)
    with pytest.raises(TypeError, match="only"):
        VerifiedPackage(verified.manifest, verified.key_id, b"evil", verified.graph, object())
    with pytest.raises(TypeError, match="only"):
        AcceptedPackage(accepted.manifest, accepted.key_id, (), None)
    with pytest.raises((TypeError, ValueError)):
        replace(verified, payload=b"evil")
    with pytest.raises((TypeError, ValueError)):
        replace(accepted, chunk_digests=())
    with pytest.raises(dataclasses.FrozenInstanceError):
        verified.payload = b"evil"
    assert not hasattr(verified, "seal")


def test_a_payload_that_its_owner_could_change_after_hashing_is_not_taken(package, store, context):
    head = container.head_length(package)
    accepted = trust.verify_head(package[:head], store, context)
    with pytest.raises(TypeError, match="bytes"):
        trust.verify_payload(accepted, bytearray(package[head:]))


def test_a_chunk_passes_only_at_its_own_place(shop, store, context):
    payload = bytes(range(256)) * 200
    package = container.PackageFile.of(container.build(shop.manifest, payload, shop.good))
    accepted = trust.verify_head(package.head, store, context)
    assert package.chunk_count == len(accepted.chunk_digests) == 4
    for index in range(4):
        accepted.check_chunk(index, package.chunk(index))
    for index, data in ((3, package.chunk(0)), (0, package.chunk(0) + b"\0"), (4, b""), (-1, package.chunk(3))):
        with pytest.raises(RejectedError) as refused:
            accepted.check_chunk(index, data)
        assert refused.value.reason is R.CHUNK


def test_faults_are_reported_in_the_order_of_the_rules(shop, store, context):
    """Repair a package that breaks every rule of policy one by one; each repair uncovers the next reason."""
    full = replace(context, capacity_bytes=1)
    faults = {
        R.BOARD: {"boards": ("ks200",)},
        R.RUNTIME: {"runtimes": (("onnx", "1.0"),)},
        R.ROLLBACK: {"security_version": 1},
        R.VALIDITY: {"not_after_s": 1},
        R.EVIDENCE: {"evidence": Evidence()},
    }
    order = list(faults)
    assert reason(shop.package(shop.other, **_merged(faults, order)), store, full) is R.PROGRAM
    for position, expected in enumerate(order):
        assert reason(shop.package(**_merged(faults, order[position:])), store, full) is expected
    assert reason(shop.package(ops=("RELU:INT8",)), store, replace(full, runtime=None)) is R.CAPACITY


def _merged(faults, names):
    return {key: value for name in names for key, value in faults[name].items()}


def test_nothing_of_a_manifest_is_read_before_its_signature(shop, store, context):
    broken = shop.raw(manifest=b"\xff", signature=lambda s: s[:-1] + bytes([s[-1] ^ 1]))
    assert reason(broken, store, context) is R.SIGNATURE


def test_the_graph_is_not_parsed_before_its_digest(shop, store, context, monkeypatch):
    def parse(data):
        raise AssertionError("parsed before it was hashed")

    monkeypatch.setattr(trust.Graph, "parse", parse)
    package = shop.package()
    assert reason(package[:-1] + bytes([package[-1] ^ 1]), store, context) is R.CHUNK


def test_a_host_without_a_board_checks_all_that_needs_no_board(shop, package, store):
    trust.verify_package(package, store, BoardContext.any_board())
    assert reason(shop.package(shop.other), store, BoardContext.any_board()) is R.PROGRAM
    assert reason(package, store, BoardContext.any_board(program="heron")) is R.PROGRAM


@pytest.mark.parametrize(
    ("has", "needs", "enough"),
    [
        ("2.3.0", "2.3", True),
        ("2.10", "2.9", True),
        ("2.3", "2.3.1", False),
        ("2.3.1rc2", "2.3.1", True),
        ("nightly", "0.0.1", False),
        ("", "0.0.0.1", False),
        ("2", "2.1", False),
        ("2.3", "2.3.0.1", False),
        ("2.3.1", "2.3.1.1", False),
        ("2.3.1.1", "2.3.1.2", False),
        ("2.3.1.2", "2.3.1.1", True),
        ("2.3rc1.9", "2.3.0.1", False),
        ("2.x.9", "2.1", False),
    ],
)
def test_versions_are_compared_as_numbers(shop, store, context, has, needs, enough):
    package = shop.package(runtimes=(("litert", needs),))
    board = replace(context, runtime=RuntimeInfo("litert", has, ("ADD:INT8",)))
    if enough:
        trust.verify_package(package, store, board)
    else:
        assert reason(package, store, board) is R.RUNTIME


def test_the_missing_operation_is_named(package, store, context):
    board = replace(context, runtime=RuntimeInfo("litert", "2.3.0", ("CONV_2D:INT8",)))
    with pytest.raises(RejectedError, match="ADD:INT8"):
        trust.verify_package(package, store, board)


def test_validity_ends_are_inclusive(shop, store, context):
    package = shop.package(not_before_s=100, not_after_s=200)
    for time_s, good in ((99.5, False), (100.0, True), (200.0, True), (200.5, False)):
        if good:
            trust.verify_package(package, store, replace(context, time_s=time_s))
        else:
            assert reason(package, store, replace(context, time_s=time_s)) is R.VALIDITY


def test_a_payload_of_exactly_the_capacity_fits(shop, package, store, context):
    trust.verify_package(package, store, replace(context, capacity_bytes=len(shop.graph)))


def test_a_payload_of_another_length_is_refused_before_it_is_hashed(package, store, context):
    head = container.head_length(package)
    accepted = trust.verify_head(package[:head], store, context)
    for payload, expected in ((package[head:-1], R.LENGTH), (package[head:] + b"\0", R.TRAILING), (b"", R.LENGTH)):
        with pytest.raises(RejectedError) as refused:
            trust.verify_payload(accepted, payload)
        assert refused.value.reason is expected


def test_without_a_floor_the_lowest_security_version_is_accepted(shop):
    store = shop.store(floors=[])
    trust.verify_package(shop.package(security_version=0), store, BoardContext.any_board())


def test_a_file_is_judged_as_its_bytes_are(shop, package, store, context, tmp_path):
    (tmp_path / "p.ksm").write_bytes(package)
    file = container.PackageFile.open(tmp_path / "p.ksm")
    verified = trust.verify_file(file, store, context)
    assert verified.payload is file.payload()
    assert verified.manifest == trust.verify_package(package, store, context).manifest


def test_a_key_signs_for_exactly_the_boards_of_its_scope(shop, context):
    scoped = trust.ProgramKey(shop.good.public_key_spki, "falcon", boards=("ks100", "ks200"))
    store = shop.store(keys=[scoped])
    for boards in (("ks100",), ("ks100", "ks200")):
        trust.verify_package(shop.package(boards=boards), store, context)
    assert reason(shop.package(boards=("ks100", "ks300")), store, context) is R.BOARD


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_the_chunk_that_is_wrong_is_named(shop, store, context, wrong):
    payload = bytearray(b"x" * (2 * 16384 + 5))
    package = bytearray(container.build(shop.manifest, bytes(payload), shop.good))
    package[len(package) - len(payload) + wrong * 16384] ^= 1
    with pytest.raises(RejectedError, match=f"chunk {wrong} of 3") as refused:
        trust.verify_package(bytes(package), store, context)
    assert refused.value.reason is R.CHUNK
