"""Signing and trust from the command line, as a release engineer does it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from firmware_bridge.package.ecdsa import Algorithm
from firmware_bridge.package.signing import PemSigner
from ks100.cli.main import main
from ks100.steps.keyring import Keyring

SECRET = "correct horse"
TRUST = ("--trust", "trust.ksr")


@pytest.fixture
def desk(tmp_path, monkeypatch, shop):
    """A folder with a keyring, its trust store, a second program key, and a graph."""
    monkeypatch.chdir(tmp_path)
    Keyring.create(tmp_path / "keys")
    Path("graph.tflite").write_bytes(shop.graph)
    Path("secret").write_text(SECRET + "\n")
    Path("secret").chmod(0o600)
    PemSigner.generate(Path("second.pem"), Keyring(tmp_path / "keys").passphrase(), Algorithm.ES384)
    assert main(["trust", "init", "--keys", "keys", "--program", "falcon"]) == 0
    return tmp_path


ROOTS = ["--root", "keys/root-1.pem", "--root", "keys/root-2.pem", "--passphrase-file", "keys/passphrase"]
SIGN = ["sign", "graph.tflite", "--program", "falcon", "--waive", "bring-up of the bench"]


def sign(key="keys/program.pem", *more) -> int:
    return main([*SIGN, "--key", key, "--passphrase-file", "keys/passphrase", *more])


def test_a_waived_package_verifies_and_says_so_in_red_wherever_it_is_shown(desk, capsys):
    assert sign() == 0
    assert main(["verify", "graph.ksm", *TRUST]) == 0
    assert main(["inspect", "graph.ksm"]) == 0
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count("WAIVED: ") == 3


def test_a_graph_without_a_passed_gate_is_not_signed(desk, capsys):
    command = ["sign", "graph.tflite", "--program", "falcon", "--key", "keys/program.pem"]
    assert main([*command, "--passphrase-file", "keys/passphrase"]) == 2
    assert "not signed" in capsys.readouterr().err
    assert not Path("graph.ksm").exists()


@pytest.mark.parametrize("encoding", ["der", "p1363"])
def test_a_digest_signed_elsewhere_is_attached(desk, encoding):
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    Path("far.pub").write_bytes(key.public_key().public_bytes(*form))
    assert main([*SIGN, "--digest-out", "digest", "--public-key", "far.pub"]) == 0
    assert main(["trust", "add", "trust.ksr", "far.pub", *ROOTS]) == 0
    assert main(["verify", "graph.unsigned", *TRUST]) == 4
    from cryptography.hazmat.primitives import hashes

    from firmware_bridge.package.ecdsa import from_der

    der = key.sign(Path("digest").read_bytes(), ec.ECDSA(Prehashed(hashes.SHA256())))
    Path("sig").write_bytes(der if encoding == "der" else from_der(der, Algorithm.ES256))
    attach = ["attach", "graph.unsigned", "--public-key", "far.pub", "--encoding", encoding]
    assert main([*attach, "--signature", "sig"]) == 0
    assert main(["verify", "graph.ksm", *TRUST]) == 0


def test_a_signature_of_other_bytes_or_by_another_key_is_not_attached(desk, capsys):
    assert main([*SIGN, "--digest-out", "digest", "--public-key", "keys/program.pem.pub"]) == 0
    Path("sig").write_bytes(Keyring(desk / "keys").signer("program").sign(b"other bytes"))
    command = ["attach", "graph.unsigned", "--encoding", "p1363", "--signature", "sig", "--public-key"]
    assert main([*command, "keys/program.pem.pub"]) == 2
    assert "does not verify" in capsys.readouterr().err
    assert main([*command, "keys/log.pem.pub"]) == 2
    assert "waits for the key" in capsys.readouterr().err
    assert not Path("graph.ksm").exists()
    assert sign() == 0
    assert main(["attach", "graph.ksm", *command[2:], "keys/program.pem.pub"]) == 2
    assert "has a signature already" in capsys.readouterr().err


def test_an_added_key_signs_and_a_revoked_one_is_refused_by_its_reason(desk, capsys):
    assert sign("second.pem") == 0
    assert main(["verify", "graph.ksm", *TRUST]) == 4
    assert main(["trust", "add", "trust.ksr", "second.pem.pub", *ROOTS]) == 0
    assert main(["verify", "graph.ksm", *TRUST]) == 0
    key_id = PemSigner.load(Path("second.pem"), Keyring(desk / "keys").passphrase()).key_id.hex()
    assert main(["trust", "revoke", "trust.ksr", key_id[:12], "--reason", "laptop lost", *ROOTS]) == 0
    assert main(["verify", "graph.ksm", *TRUST]) == 4
    assert "laptop lost" in capsys.readouterr().err
    assert main(["trust", "show", "trust.ksr"]) == 0
    assert "revoked: laptop lost" in capsys.readouterr().out


def test_one_root_alone_changes_nothing(desk, capsys):
    before = Path("trust.ksr").read_bytes()
    assert main(["trust", "add", "trust.ksr", "second.pem.pub", *ROOTS[2:]]) == 2
    assert "needed" in capsys.readouterr().err
    assert Path("trust.ksr").read_bytes() == before


def test_rotated_roots_change_the_next_store_and_the_old_ones_no_more(desk):
    for name in ("new-1.pem", "new-2.pem"):
        PemSigner.generate(Path(name), Keyring(desk / "keys").passphrase())
    fresh = ["--new-root", "new-1.pem", "--new-root", "new-2.pem"]
    assert main(["trust", "rotate", "trust.ksr", *ROOTS, *fresh]) == 0
    assert main(["trust", "floor", "trust.ksr", "7", *ROOTS]) == 2
    new_roots = ["--root", "new-1.pem", "--root", "new-2.pem", "--passphrase-file", "keys/passphrase"]
    assert main(["trust", "floor", "trust.ksr", "7", *new_roots]) == 0
    assert sign() == 0
    assert main(["verify", "graph.ksm", *TRUST]) == 4


def test_the_bill_of_materials_names_signer_graph_and_gate(desk, capsys):
    assert sign() == 0
    capsys.readouterr()
    assert main(["inspect", "--json", "graph.ksm"]) == 0
    bill = json.loads(capsys.readouterr().out)
    assert bill["program"] == "falcon"
    assert bill["signer"]["key_id"] == Keyring(desk / "keys").signer("program").key_id.hex()
    assert bill["gate"] == {"verdict": "NONE", "waiver": "bring-up of the bench"}
    assert bill["graph"]["ops"]


def test_a_bare_signature_is_judged_in_its_own_encoding_only(desk, capsys):
    from firmware_bridge.package.ecdsa import to_der

    signature = Keyring(desk / "keys").signer("program").sign(b"message")
    Path("message").write_bytes(b"message")
    Path("p1363").write_bytes(signature)
    Path("der").write_bytes(to_der(signature))
    command = ["verify-raw", "--public-key", "keys/program.pem.pub", "--message", "message"]
    for encoding, file, code in (("der", "der", 0), ("p1363", "p1363", 0), ("der", "p1363", 4), ("p1363", "der", 4)):
        assert main([*command, "--signature", file, "--encoding", encoding]) == code


def test_a_published_set_of_vectors_is_judged_and_a_wrong_verdict_named(desk, capsys):
    signer = Keyring(desk / "keys").signer("program")
    signature = signer.sign(b"m")
    tests = [
        {"tcId": 1, "comment": "good", "msg": b"m".hex(), "sig": signature.hex(), "result": "valid"},
        {"tcId": 2, "comment": "r = s = 0", "msg": b"m".hex(), "sig": bytes(64).hex(), "result": "invalid"},
        {"tcId": 3, "comment": "wrongly published", "msg": b"n".hex(), "sig": signature.hex(), "result": "valid"},
    ]
    group = {"type": "EcdsaP1363Verify", "sha": "SHA-256", "publicKey": {"curve": "secp256r1"},
             "publicKeyDer": signer.public_key_spki.hex(), "tests": tests}  # fmt: skip
    Path("set.json").write_text(json.dumps({"testGroups": [group]}))
    assert main(["verify-raw", "--vectors", "set.json"]) == 1
    shown = capsys.readouterr().out
    assert "vector 3: expected valid, found not valid (wrongly published)" in shown
    assert "3 vectors, 2 as published" in shown
    group["tests"] = tests[:2]
    Path("set.json").write_text(json.dumps({"testGroups": [group]}))
    assert main(["verify-raw", "--vectors", "set.json"]) == 0
    Path("set.json").write_text("{}")
    assert main(["verify-raw", "--vectors", "set.json"]) == 2


PRESET = "PRESET_PASSPHRASE ks100:second.pem -1 {}\n"


def test_gpg_agent_gives_the_passphrase(desk, monkeypatch, tmp_path_factory):
    if shutil.which("gpg-agent") is None or shutil.which("gpg-connect-agent") is None:
        pytest.skip("needs gpg-agent: apt-get install gpg-agent")
    home = tmp_path_factory.mktemp("g")
    home.chmod(0o700)
    (home / "gpg-agent.conf").write_text("allow-preset-passphrase\n")
    monkeypatch.setenv("GNUPGHOME", str(home))
    secret = Keyring(desk / "keys").passphrase().encode().hex()
    try:
        told = subprocess.run(
            ["gpg-connect-agent"], input=PRESET.format(secret), text=True, capture_output=True, check=False
        )
        if "OK" not in told.stdout:
            pytest.skip(f"gpg-agent does not start here: {told.stdout + told.stderr}")
        assert main([*SIGN, "--key", "second.pem", "--passphrase-agent"]) == 0
    finally:
        subprocess.run(["gpg-connect-agent", "killagent", "/bye"], capture_output=True, check=False)


def test_a_trust_store_that_came_with_the_package_proves_nothing(desk, capsys):
    assert sign() == 0
    capsys.readouterr()
    assert main(["verify", "graph.ksm"]) == 2
    assert "by whose trust store?" in capsys.readouterr().err
    assert main(["verify", "graph.ksm", *TRUST]) == 0
    shown = capsys.readouterr().out
    assert "by trust.ksr: version 1 of program falcon, roots " in shown
    assert "WAIVED: released without a passed gate: bring-up of the bench" in shown
