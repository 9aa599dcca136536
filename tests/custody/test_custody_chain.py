"""The chain of a package: a good one is accepted, and each way to break it has a message of its own."""

import hashlib
from dataclasses import replace

import pytest

from firmware_bridge.package.manifest import Evidence, Manifest, TensorSpec
from ks100.custody.chain import StepPolicy, chain_of, verify_chain
from ks100.custody.faults import BrokenCustodyError
from ks100.custody.faults import CustodyFault as F
from ks100.custody.log import verify_log
from ks100.custody.statement import Act, Artifact, Statement


def thing(name: str) -> Artifact:
    return Artifact.of(name, name.encode())


def digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


TENSOR = TensorSpec("x", "int8", (1,))
MANIFEST = Manifest(
    package_id=bytes(16), program="falcon", model="m", version="1", boards=("ks100",), runtimes=(("litert", "2"),),
    ops=("ADD:INT8",), security_version=1, inputs=(TENSOR,), outputs=(TENSOR,), npu_ops=1, created_s=0,
    evidence=Evidence(digest("plan"), digest("calibration"), digest("float"), digest("gate"), "PASS"),
    payload_bytes=1, payload_sha256=digest("graph"),
)  # fmt: skip
STEPS = {
    "train": Statement(Act.TRAIN, (thing("float"),), (thing("captures"), thing("recipe"))),
    "quantize": Statement(Act.QUANTIZE, (thing("graph"),), (thing("float"), thing("plan"), thing("calibration"))),
    "gate": Statement(Act.GATE, (thing("gate"),), (thing("graph"),), parameters=(("verdict", "PASS"),)),
    "sign": Statement(Act.SIGN, (thing("package"),), (thing("graph"), thing("gate"))),
    "push": Statement(Act.PUSH, (thing("package"),), parameters=(("board", "KS-1"), ("slot", "a"))),
}
PACKAGE = thing("package").sha256


def write(log, *steps) -> None:
    for step in steps:
        log.append(STEPS[step] if isinstance(step, str) else step)


def fault(log, manifest=MANIFEST, policy=None) -> F:
    with pytest.raises(BrokenCustodyError) as broken:
        verify_chain(chain_of(PACKAGE, log), manifest, policy)
    assert "\n" not in str(broken.value)
    return broken.value.fault


def test_a_whole_chain_is_found_among_others_and_proves_the_manifest(log, signer, statement):
    write(log, statement("noise"), *STEPS, statement("more noise"))
    entries = verify_log(log.folder, log.checkpoint(), signer.public_key_spki)
    chain = chain_of(PACKAGE, entries)
    assert [entry.statement.act.value for entry in chain.entries] == list(STEPS)
    verify_chain(chain, MANIFEST)
    verify_chain(chain, MANIFEST, StepPolicy(signers={Act.SIGN: frozenset({signer.key_id.hex()})}))


def test_a_package_that_nobody_signed_has_no_chain(log):
    write(log, "train", "quantize", "gate", "push")
    assert fault(log) is F.NO_SIGN


@pytest.mark.parametrize("missing", ["train", "quantize", "gate"])
def test_a_missing_step_is_named(log, missing):
    write(log, *(step for step in STEPS if step != missing))
    with pytest.raises(BrokenCustodyError, match=f"no {missing} in the chain") as broken:
        verify_chain(chain_of(PACKAGE, log), MANIFEST)
    assert broken.value.fault is F.MISSING_STEP


def test_a_gate_of_other_bytes_does_not_count(log):
    other = replace(STEPS["gate"], inputs=(thing("another graph"),))
    write(log, "train", "quantize", other, "sign")
    assert fault(log) is F.DIGEST_JOIN


@pytest.mark.parametrize("field", ["plan", "calibration", "float_parent", "gate"])
def test_evidence_that_the_statements_do_not_name_is_found(log, field):
    write(log, *STEPS)
    evidence = replace(MANIFEST.evidence, **{field: digest("other")})
    assert fault(log, replace(MANIFEST, evidence=evidence)) is F.DIGEST_JOIN


def test_a_payload_that_the_statements_do_not_name_is_found(log):
    write(log, *STEPS)
    assert fault(log, replace(MANIFEST, payload_sha256=digest("other"))) is F.DIGEST_JOIN


def test_a_step_that_uses_what_is_made_later_is_found(log):
    write(log, "quantize", "train", "gate", "sign")
    assert fault(log) is F.STEP_ORDER


def test_a_step_by_a_key_that_may_not_do_it_is_found(log, other, signer):
    write(log, *STEPS)
    assert fault(log, policy=StepPolicy(signers={Act.GATE: frozenset({other.key_id.hex()})})) is F.STEP_SIGNER


def test_a_manifest_that_claims_a_pass_which_the_gate_did_not_state_is_found(log):
    failed = replace(STEPS["gate"], parameters=(("verdict", "FAIL"),))
    write(log, "train", "quantize", failed, "sign")
    assert fault(log) is F.GATE_VERDICT


def test_a_step_done_again_later_does_no_harm(log):
    write(log, *STEPS, "train", "quantize")
    verify_chain(chain_of(PACKAGE, log), MANIFEST)


def test_each_fault_has_a_code_and_a_line_of_its_own():
    assert len({fault.code for fault in F}) == len({fault.text for fault in F}) == len(F)
