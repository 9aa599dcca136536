"""The token signer on a real SoftHSM2 token; `test_pkcs11_signer` runs this file in a process of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from firmware_bridge.errors import InputError
from firmware_bridge.package import container, trust
from firmware_bridge.package.ecdsa import Algorithm
from firmware_bridge.package.pkcs11 import Pkcs11Signer
from firmware_bridge.package.trust_store import ProgramKey

LIBRARIES = [Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib64/pkcs11/libsofthsm2.so")]
LIBRARY = next((path for path in LIBRARIES if path.exists()), None)
PIN = "1234"


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    pytest.importorskip("pkcs11", reason="needs python-pkcs11: pip install 'ks100[hsm]'")
    if LIBRARY is None or shutil.which("softhsm2-util") is None:
        pytest.skip("needs a token: apt-get install softhsm2")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    command = ["softhsm2-util", "--init-token", "--free", "--label", "bench", "--pin", PIN, "--so-pin", "5678"]
    subprocess.run(command, check=True, capture_output=True)
    return LIBRARY


@pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda a: a.name)
def test_a_package_signed_in_a_token_is_verified(library, shop, context, algorithm):
    with Pkcs11Signer.generate(library, "bench", PIN, "program", algorithm.name.encode(), algorithm) as signer:
        assert signer.algorithm is algorithm
        store = shop.store(keys=[ProgramKey(signer.public_key_spki, "falcon")])
        package = container.build(shop.manifest, shop.graph, signer)
        assert trust.verify_package(package, store, context).key_id == signer.key_id
        key_id = signer.key_id
    with Pkcs11Signer.open(library, "bench", PIN, "program", algorithm.name.encode()) as again:
        assert again.key_id == key_id


def test_signatures_keep_their_leading_zeros(library):
    with Pkcs11Signer.generate(library, "bench", PIN, "zeros", b"z") as signer:
        signatures = [signer.sign(bytes([count])) for count in range(256)] * 3
        assert {len(signature) for signature in signatures} == {64}


def test_only_a_digest_of_the_right_length_is_signed(library):
    with (
        Pkcs11Signer.generate(library, "bench", PIN, "digest", b"d") as signer,
        pytest.raises(InputError, match="signs 32 bytes"),
    ):
        signer._sign_digest(b"not a digest")


def test_a_key_is_chosen_by_label_and_id_together(library):
    for key_id in (b"1", b"2"):
        Pkcs11Signer.generate(library, "bench", PIN, "twin", key_id).close()
    with Pkcs11Signer.open(library, "bench", PIN, "twin", b"2") as signer:
        assert signer.algorithm is Algorithm.ES256
    with pytest.raises(InputError, match="0 objects"):
        Pkcs11Signer.open(library, "bench", PIN, "twin", b"3")
    with pytest.raises(InputError, match="choose another id"):
        Pkcs11Signer.generate(library, "bench", PIN, "twin", b"1")


def test_a_key_that_could_be_exported_is_refused(library):
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    token = pkcs11.lib(str(library)).get_token(token_label="bench")
    with token.open(rw=True, user_pin=PIN) as session:
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
        template = {pkcs11.Attribute.EXTRACTABLE: True, pkcs11.Attribute.SENSITIVE: False}
        parameters.generate_keypair(store=True, label="loose", id=b"l", private_template=template)
    with pytest.raises(InputError, match="can be exported"):
        Pkcs11Signer.open(library, "bench", PIN, "loose", b"l")


def test_a_wrong_token_or_pin_is_one_line(library):
    with pytest.raises(InputError, match="cannot open the token 'nosuch'"):
        Pkcs11Signer.open(library, "nosuch", PIN, "program", b"1")
    with pytest.raises(InputError, match="cannot open the token 'bench'"):
        Pkcs11Signer.open(library, "bench", "9999", "program", b"1")
    with pytest.raises(InputError, match="cannot open the token"):
        Pkcs11Signer.open(Path("/nosuch/module.so"), "bench", PIN, "program", b"1")
