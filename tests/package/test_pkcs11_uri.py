"""PKCS#11 URIs (RFC 7512): what they name, and what is refused before a token sees a PIN."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge.errors import InputError
from firmware_bridge.package.ecdsa import Algorithm
from firmware_bridge.package.pkcs11 import public_key_of
from firmware_bridge.package.pkcs11_token import find_module
from firmware_bridge.package.pkcs11_uri import KeyUri


def test_a_uri_names_token_key_module_and_pin():
    uri = KeyUri.parse(
        "pkcs11:token=My%20token;serial=0a%3B1;model=M;manufacturer=A%26B;slot-id=7;object=sp%20ace%2F%C3%BC;id=%01a;"
        "type=private?module-path=/usr/lib/x%20y.so&pin-source=file:/run/pin%20x&x-unknown=1"
    )
    assert uri.token == {"token": "My token", "serial": "0a;1", "model": "M", "manufacturer": "A&B", "slot-id": "7"}
    assert (uri.label, uri.key_id) == ("sp ace/ü", b"\x01a")
    assert (uri.module, uri.pin_file) == (Path("/usr/lib/x y.so"), Path("/run/pin x"))


@pytest.mark.parametrize("source", ["file:/run/pin", "file:///run/pin", "file://localhost/run/pin", "/run/pin"])
def test_a_pin_source_is_a_file(source):
    assert KeyUri.parse(f"PKCS11:token=T;object=L?module-name=m&pin-source={source}").pin_file == Path("/run/pin")


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("object=L", "module-path=/m", "lacks a token"),
        ("token=T", "module-path=/m", "lacks a key"),
        ("token=T;id=%01", "", "lacks a module"),
        ("token=T;token=U;object=L", "module-path=/m", "'token' twice"),
        ("token=T;serail=1;object=L", "module-path=/m", "unknown attribute 'serail'"),
        ("token=T;object=L;type=cert", "module-path=/m", "type=private"),
        ("token=T;object=L;slot-id=first", "module-path=/m", "slot-id must be a number"),
        ("token=%ff;object=L", "module-path=/m", "token is not UTF-8"),
        ("token;object=L", "module-path=/m", "NAME=VALUE"),
        ("token=T;object=L", "module-path=/m&pin-value=1234", "must not contain a PIN"),
        ("token=T;object=L", "module-path=/m&pin-source=|cat%20/pin", "not supported"),
    ],
)
def test_what_names_no_key_is_refused_without_showing_a_pin(path, query, said):
    with pytest.raises(InputError, match=said) as caught:
        KeyUri.parse(f"pkcs11:{path}?{query}")
    assert "1234" not in str(caught.value)


@pytest.mark.parametrize("name", ["no-such-module-here", "../../tmp/x", "*"])
def test_a_module_that_is_not_there_is_named(name):
    with pytest.raises(InputError, match="module"):
        find_module(name)


@pytest.mark.parametrize("point", ["", "04", "0441" + "04" * 65, "05" * 33, "0421" + "05" * 33, "04" + "11" * 64])
def test_what_is_no_point_is_an_error_in_one_line(point):
    with pytest.raises(InputError, match="with label 'x'"):
        public_key_of(Algorithm.ES256, bytes.fromhex(point), "label 'x'")
