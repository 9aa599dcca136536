"""A COSE library by other people verifies our envelopes, and we verify its.

It wants an older cbor2 than ours, so it lives in an environment of its own, which `make test` makes.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_bridge.package.container import CONTENT_TYPE, DOMAIN, HEADER_BYTES
from firmware_bridge.package.cose import Sign1, signed_by
from firmware_bridge.package.ecdsa import PublicKey

PYTHON = os.environ.get("KS100_INTEROP_PYTHON", str(Path(sys.prefix) / "interop" / "bin" / "python"))
SCRIPT = """
import json, sys
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import serialization as s
from cwt import COSE, COSEKey
ours = json.load(sys.stdin)
aad, kid = bytes.fromhex(ours["domain"]), bytes.fromhex(ours["kid"])
public = COSEKey.from_pem(ours["pem"], kid=kid)
payload = COSE.new().decode(bytes.fromhex(ours["envelope"]), public, external_aad=aad)
refused = False
try:
    COSE.new().decode(bytes.fromhex(ours["envelope"]), public, external_aad=b"other")
except Exception:
    refused = True
key = ec.generate_private_key(ec.SECP256R1())
pem = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
spki = key.public_key().public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
import hashlib
theirs_kid = hashlib.sha256(spki).digest()
theirs = COSE.new().encode(b"hello", COSEKey.from_pem(pem, kid=theirs_kid, alg="ES256"),
    protected={1: -7, 3: ours["type"], 4: theirs_kid}, unprotected={}, external_aad=aad)
print(json.dumps({"payload": payload.hex(), "refused": refused, "spki": spki.hex(), "theirs": theirs.hex()}))
"""


@pytest.fixture(scope="module")
def answer(shop, package):
    if not Path(PYTHON).exists():
        pytest.skip("needs a COSE library in an environment of its own: make .venv/interop/.installed")
    size = int.from_bytes(package[12:16], "big")
    question = {
        "envelope": package[HEADER_BYTES : HEADER_BYTES + size].hex(),
        "domain": DOMAIN.hex(),
        "kid": shop.good.key_id.hex(),
        "pem": PublicKey(shop.good.public_key_spki).to_pem().decode(),
        "type": CONTENT_TYPE,
    }
    command = [PYTHON, "-c", SCRIPT]
    run = subprocess.run(command, input=json.dumps(question), capture_output=True, check=True, text=True, timeout=60)
    return json.loads(run.stdout)


def test_another_cose_library_verifies_our_package(shop, answer):
    assert bytes.fromhex(answer["payload"]) == shop.manifest_bytes()


def test_another_cose_library_refuses_another_domain(answer):
    assert answer["refused"]


def test_we_verify_what_another_cose_library_signed(answer):
    envelope = Sign1.parse(bytes.fromhex(answer["theirs"]), CONTENT_TYPE, DOMAIN)
    assert envelope.payload == b"hello"
    assert signed_by(envelope.signature, PublicKey(bytes.fromhex(answer["spki"])))
