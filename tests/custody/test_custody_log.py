"""The custody log: what was done to it behind its back is found, and nothing that was acknowledged is lost."""

import json
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.errors import InputError
from ks100.custody import merkle
from ks100.custody.checkpoint import Checkpoint
from ks100.custody.dsse import Envelope, seal
from ks100.custody.faults import BrokenCustodyError
from ks100.custody.faults import CustodyFault as F
from ks100.custody.log import CustodyLog, verify_log
from ks100.custody.statement import Act, Artifact, Statement

ARTEFACTS = st.builds(Artifact.of, st.text(min_size=1, max_size=20), st.binary(max_size=4))
STATEMENTS = st.builds(
    Statement,
    act=st.sampled_from(Act),
    subjects=st.lists(ARTEFACTS, min_size=1, max_size=3).map(tuple),
    inputs=st.lists(ARTEFACTS, max_size=3).map(tuple),
    parameters=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3).map(
        lambda d: tuple(sorted(d.items()))
    ),
    actor=st.text(max_size=8),
    time_s=st.integers(0, 1 << 40),
)


def fault(log, seen, signer, signers=None) -> F:
    with pytest.raises(BrokenCustodyError) as broken:
        verify_log(log.folder, seen, signer.public_key_spki, signers)
    assert "\n" not in str(broken.value)
    return broken.value.fault


def lines(log) -> list[bytes]:
    return (log.folder / "entries.jsonl").read_bytes().splitlines(keepends=True)


def rewrite(log, kept, signer=None) -> None:
    """Write other entries; with the log's key also a matching checkpoint, as a dishonest log would."""
    (log.folder / "entries.jsonl").write_bytes(b"".join(kept))
    if signer is not None:
        root = merkle.root_of([merkle.leaf_hash(line[:-1]) for line in kept])
        origin = log.checkpoint().origin
        (log.folder / "checkpoint").write_text(Checkpoint.sign(origin, len(kept), root, signer).text)


@pytest.fixture
def five(log, statement):
    for name in "abcde":
        log.append(statement(name))
    return log


@given(STATEMENTS)
def test_a_statement_survives_its_encoding(statement):
    assert Statement.parse(statement.to_json()) == statement


def test_a_statement_is_an_in_toto_statement(statement):
    document = json.loads(statement("a").to_json())
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["subject"] == [{"name": "a", "digest": {"sha256": Artifact.of("a", b"a").sha256}}]
    assert set(document) == {"_type", "subject", "predicateType", "predicate"}


@given(st.binary(max_size=80) | st.text(max_size=40).map(str.encode))
def test_bytes_from_anywhere_are_no_statement_and_no_envelope(data):
    for parse in (Statement.parse, Envelope.parse):
        with pytest.raises(BrokenCustodyError) as broken:
            parse(data)
        assert broken.value.fault is F.STATEMENT


def test_a_field_that_nobody_reads_is_refused(statement):
    document = json.loads(statement("a").to_json())
    document["extra"] = 1
    with pytest.raises(BrokenCustodyError, match="unknown fields"):
        Statement.parse(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def test_an_untouched_log_is_verified_entry_by_entry(five, signer):
    entries = verify_log(five.folder, five.checkpoint(), signer.public_key_spki)
    assert [entry.statement.subjects[0].name for entry in entries] == list("abcde")
    assert entries == five.entries


def test_a_log_extends_what_was_seen_before(five, signer, statement):
    seen = five.checkpoint()
    five.append(statement("f"))
    assert len(verify_log(five.folder, seen.text, signer.public_key_spki)) == 6


def test_a_cut_log_is_found_with_its_old_checkpoint_and_with_a_new_one(five, signer):
    seen = five.checkpoint()
    rewrite(five, lines(five)[:3])
    assert fault(five, None, signer) is F.CUT
    rewrite(five, lines(five)[:3], signer)
    assert fault(five, seen, signer) is F.CUT


def test_a_reordered_log_is_found(five, signer):
    kept = lines(five)
    rewrite(five, [kept[1], kept[0], *kept[2:]])
    assert fault(five, None, signer) is F.EDITED


def test_an_edited_entry_is_found(five, signer):
    kept = lines(five)
    rewrite(five, [*kept[:2], kept[2].replace(b"payloadType", b"payloadtype"), *kept[3:]])
    assert fault(five, None, signer) is F.EDITED


def test_an_entry_removed_from_the_middle_is_found(five, signer, statement):
    kept = lines(five)
    rewrite(five, [*kept[:2], *kept[3:], kept[2]])
    assert fault(five, None, signer) is F.EDITED


def test_a_forked_log_with_a_valid_checkpoint_of_its_own_is_found(five, signer, statement, tmp_path):
    fork = CustodyLog.open(tmp_path / "fork", signer)
    shutil.copytree(five.folder, fork.folder, dirs_exist_ok=True)
    five.append(statement("f"))
    fork.append(statement("F"))
    fork.append(statement("G"))
    assert len(verify_log(fork.folder, None, signer.public_key_spki)) == 7
    assert fault(fork, five.checkpoint(), signer) is F.FORKED


def test_entries_added_without_the_logs_key_are_found(five, other, signer, statement):
    (five.folder / "entries.jsonl").write_bytes(b"".join(lines(five)) + seal(statement("x"), other).to_line() + b"\n")
    assert fault(five, None, signer) is F.UNCOVERED


def test_a_checkpoint_of_another_key_or_log_is_found(five, other, signer, tmp_path, statement):
    assert fault(five, None, other) is F.CHECKPOINT_SIGNATURE
    foreign = Checkpoint.sign("elsewhere", 5, five.checkpoint().root, signer)
    assert fault(five, foreign, signer) is F.ORIGIN
    text = five.checkpoint().text
    assert fault(five, text.replace("\n5\n", "\n4\n"), signer) is F.CHECKPOINT_SIGNATURE
    assert fault(five, "not a checkpoint", signer) is F.UNREADABLE


def test_a_statement_signed_by_somebody_unknown_is_found(five, other, signer, statement):
    five.append(statement("x"), signer=other)
    assert fault(five, None, signer) is F.ENTRY_SIGNER
    keys = [signer.public_key_spki, other.public_key_spki]
    assert len(verify_log(five.folder, None, signer.public_key_spki, keys)) == 6


def test_a_statement_under_a_forged_name_is_found(five, other, signer, statement):
    envelope = seal(statement("x"), other)
    forged = Envelope(envelope.payload, signer.key_id.hex(), envelope.signature)
    rewrite(five, [*lines(five), forged.to_line() + b"\n"], signer)
    assert fault(five, None, signer) is F.ENTRY_SIGNATURE


def test_nothing_is_appended_to_a_log_that_was_touched(five, statement):
    kept = lines(five)
    rewrite(five, kept[::-1])
    with pytest.raises(BrokenCustodyError) as broken:
        five.append(statement("f"))
    assert broken.value.fault is F.EDITED
    assert lines(five) == kept[::-1]


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_half_a_line_that_a_power_cut_left_is_overwritten(five, signer, statement, cut):
    whole = b"".join(lines(five))
    (five.folder / "entries.jsonl").write_bytes(whole + seal(statement("lost"), signer).to_line()[:cut])
    assert len(verify_log(five.folder, None, signer.public_key_spki)) == 5
    five.append(statement("f"))
    entries = verify_log(five.folder, None, signer.public_key_spki)
    assert [entry.statement.subjects[0].name for entry in entries] == list("abcdef")


def test_a_line_that_was_written_before_its_checkpoint_is_kept(five, signer, statement):
    before = five.checkpoint()
    five.append(statement("f"))
    (five.folder / "checkpoint").write_text(before.text)
    five.append(statement("g"))
    entries = verify_log(five.folder, before, signer.public_key_spki)
    assert [entry.statement.subjects[0].name for entry in entries] == list("abcdefg")


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    """The key is made here and handed over by an encrypted file, as two steps of a pipeline would share it."""
    from firmware_bridge.package.signing import PemSigner

    signer = PemSigner.generate(tmp_path / "k.pem", "pw")
    CustodyLog.open(tmp_path / "log", signer)
    code = (
        "import sys; from pathlib import Path; from ks100.custody.log import CustodyLog\n"
        "from ks100.custody.statement import *; from firmware_bridge.package.signing import PemSigner\n"
        "folder = Path(sys.argv[1]); log = CustodyLog.open(folder / 'log', PemSigner.load(folder / 'k.pem', 'pw'))\n"
        "for n in range(15): log.append(Statement(Act.PUSH, (Artifact.of(f'{sys.argv[2]}-{n}', b''),)))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), who]) for who in "ab"]
    assert [process.wait(60) for process in running] == [0, 0]
    entries = verify_log(tmp_path / "log", None, signer.public_key_spki)
    names = [entry.statement.subjects[0].name for entry in entries]
    assert sorted(names) == sorted(f"{who}-{n}" for who in "ab" for n in range(15))
    for who in "ab":
        assert [name for name in names if name[0] == who] == [f"{who}-{n}" for n in range(15)]


def test_a_folder_without_a_log_is_the_users_mistake(tmp_path, log, statement):
    with pytest.raises(InputError, match="not a custody log"):
        CustodyLog.open(tmp_path / "none")
    with pytest.raises(InputError, match="open for reading"):
        CustodyLog.open(log.folder).append(statement("a"))


def test_an_envelope_verifies_with_nothing_but_openssl(five, signer, tmp_path):
    """An outsider needs no code of ours: the DSSE bytes, the public key, and openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl: apt-get install openssl")
    import base64

    from firmware_bridge.package.ecdsa import PublicKey

    document = json.loads(lines(five)[0])
    payload, kind = base64.b64decode(document["payload"]), document["payloadType"].encode()
    (tmp_path / "message").write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    (tmp_path / "signature").write_bytes(base64.b64decode(document["signatures"][0]["sig"]))
    (tmp_path / "key.pem").write_bytes(PublicKey(signer.public_key_spki).to_pem())
    command = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "signature", "message"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
