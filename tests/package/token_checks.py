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
from firmware_bridge.package.pkcs11_token import find_token
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


@pytest.fixture(scope="module")
def twins(library):
    """The serial numbers of two tokens of one label, each with a key of its own."""
    import pkcs11

    for _ in range(2):
        command = ["softhsm2-util", "--init-token", "--free", "--label", "twin", "--pin", PIN, "--so-pin", "5678"]
        subprocess.run(command, check=True, capture_output=True)
    module = pkcs11.lib(str(library))
    module.reinitialize()
    serials = [token.serial.decode() for token in module.get_tokens() if token.label == "twin"]
    for number, serial in enumerate(serials):
        # find_token, on purpose: the label alone names two.
        with find_token(module, {"serial": serial}).open(rw=True, user_pin=PIN) as session:
            _generate(session, "program", bytes([number]))
    return serials


def _generate(session, label, key_id, curve="secp256r1"):
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    parameters = session.create_domain_parameters(
        pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
    )
    private = {pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.SENSITIVE: True}
    return parameters.generate_keypair(store=True, label=label, id=key_id, private_template=private)


def test_of_two_tokens_with_one_label_the_serial_number_chooses(library, twins):
    with pytest.raises(InputError, match=f"2 tokens match, add serial=.*{twins[1]}"):
        Pkcs11Signer.open(library, "twin", PIN, "program", None)
    for number, serial in enumerate(twins):
        attributes = {"token": "twin", "serial": serial, "model": "SoftHSM v2", "manufacturer": "SoftHSM project"}
        Pkcs11Signer.open(library, attributes, PIN, "program", bytes([number])).close()
        with pytest.raises(InputError, match="0 objects"):
            Pkcs11Signer.open(library, attributes, PIN, "program", bytes([1 - number]))


@pytest.mark.parametrize(
    "attribute",
    ["serial", "model", "manufacturer", "slot-id", "slot-description", "slot-manufacturer", "library-manufacturer",
     "library-description", "library-version"],
)  # fmt: skip
def test_a_token_that_does_not_match_in_every_attribute_is_refused(library, twins, attribute):
    with pytest.raises(InputError, match=r"no token matches; there are: .*token='twin', serial="):
        Pkcs11Signer.open(library, {"token": "twin", "serial": twins[0], attribute: "9999"}, PIN, "program", None)


def test_slot_and_library_are_attributes_that_match_as_well(library, twins):
    import pkcs11

    module = pkcs11.lib(str(library))
    slot = find_token(module, {"serial": twins[1]}).slot
    attributes = {
        "slot-id": str(slot.slot_id), "slot-description": slot.slot_description.rstrip(),
        "slot-manufacturer": "SoftHSM project", "library-manufacturer": "SoftHSM",
        "library-description": "Implementation of PKCS11",
    }  # fmt: skip
    assert find_token(module, attributes).serial.decode() == twins[1]


def _stored_as(session, public, point):
    import pkcs11

    a = pkcs11.Attribute
    copied = {name: public[name] for name in (a.LABEL, a.ID, a.EC_PARAMS)}
    public.destroy()
    kind = {a.CLASS: pkcs11.ObjectClass.PUBLIC_KEY, a.KEY_TYPE: pkcs11.KeyType.EC, a.TOKEN: True, a.VERIFY: True}
    session.create_object({**kind, **copied, a.EC_POINT: point})


@pytest.mark.parametrize("wrapped", [True, False], ids=["in an octet string", "bare"])
@pytest.mark.parametrize("compressed", [True, False], ids=["compressed", "uncompressed"])
@pytest.mark.parametrize(("algorithm", "curve"), [(Algorithm.ES256, "secp256r1"), (Algorithm.ES384, "secp384r1")])
def test_a_public_key_is_read_in_each_form_that_tokens_have(library, algorithm, curve, compressed, wrapped):
    import pkcs11

    key_id = bytes([1 + compressed + 2 * wrapped]) + curve.encode()
    with pkcs11.lib(str(library)).get_token(token_label="bench").open(rw=True, user_pin=PIN) as session:
        public, _ = _generate(session, "form", key_id, curve)
        point = bytes(public[pkcs11.Attribute.EC_POINT])[2:]
        size = len(point) // 2
        if compressed:
            point = bytes([2 + (point[-1] & 1)]) + point[1 : 1 + size]
        _stored_as(session, public, bytes([4, len(point)]) + point if wrapped else point)
    with Pkcs11Signer.open(library, "bench", PIN, "form", key_id) as signer:
        assert signer.algorithm is algorithm
        assert signer.sign(b"message")  # checked with that public key


def test_a_key_on_another_curve_is_refused_by_its_parameters(library):
    import pkcs11

    with pkcs11.lib(str(library)).get_token(token_label="bench").open(rw=True, user_pin=PIN) as session:
        _generate(session, "bitcoin", b"k", "secp256k1")
    with pytest.raises(InputError, match="'bitcoin' and id 6b is not on P-256 or P-384"):
        Pkcs11Signer.open(library, "bench", PIN, "bitcoin", b"k")


def test_a_key_is_opened_by_its_uri_with_a_pin_file_that_an_editor_has_marked(library, twins, tmp_path):
    from ks100.steps.signers import open_signer

    pin = tmp_path / "pin"
    pin.write_bytes("\N{BYTE ORDER MARK}1234\r\n".encode())
    pin.chmod(0o600)
    path = f"serial={twins[0]};manufacturer=SoftHSM%20project;object=program;type=private"
    for module in (f"module-path={library}", "module-name=softhsm2"):
        with open_signer(f"pkcs11:{path}?{module}&pin-source=file:{pin}", lambda: "not used") as signer:
            assert signer.sign(b"message")
    with (
        pytest.raises(InputError, match="no token matches"),
        open_signer(f"pkcs11:token=twin;serial=0000;object=program?module-path={library}", lambda: PIN),
    ):
        pass


def test_a_wrong_token_or_pin_is_one_line(library):
    with pytest.raises(InputError, match="cannot open the token 'nosuch'"):
        Pkcs11Signer.open(library, "nosuch", PIN, "program", b"1")
    with pytest.raises(InputError, match="cannot open the token 'bench'"):
        Pkcs11Signer.open(library, "bench", "9999", "program", b"1")
    with pytest.raises(InputError, match="cannot open the token"):
        Pkcs11Signer.open(Path("/nosuch/module.so"), "bench", PIN, "program", b"1")
