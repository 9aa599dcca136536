"""The model card in the manifest: signed with the rest, optional, and strict in form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from firmware_bridge.errors import InputError, RejectedError
from firmware_bridge.package import cbor, manifest, trust
from firmware_bridge.package.card import SignedCard
from firmware_bridge.package.container import PackageFile, build


def _card(shop: Any, **changed: cbor.Value) -> dict[int | str, cbor.Value]:
    names = [spec.name for spec in shop.manifest.inputs]
    values: dict[int | str, cbor.Value] = {
        "classes": ["airplane", "bird"],
        "inputs": [{"name": name, "band": "eo", "range": [0.0, 1.0]} for name in names],
        "decoding": {"type": "yolo", "strides": [8, 16], "score": 0.05},
        "kinematics": [],
    }
    return {**values, **changed}


def test_a_card_is_signed_and_verified_with_the_rest_of_the_manifest(shop, store, context) -> None:
    card = SignedCard.of(_card(shop))
    package = PackageFile.of(build(replace(shop.manifest, card=card), shop.graph, shop.good))
    verified = trust.verify_package(package.data, store, context)
    assert verified.manifest.card == card
    assert (card.classes, card.decoding) == (("airplane", "bird"), "yolo")
    assert card.values == _card(shop)
    position = package.data.index(b"airplane")
    forged = package.data[:position] + b"aeroplan" + package.data[position + 8 :]
    with pytest.raises(RejectedError, match="signature"):
        trust.verify_package(forged, store, context)


def test_a_manifest_without_a_card_is_written_as_before(shop) -> None:
    filled = PackageFile.of(build(shop.manifest, shop.graph, shop.good)).manifest_unverified
    without = cbor.decode(manifest.encode(filled))
    assert isinstance(without, dict)
    assert (without["schema"], "card" in without) == (2, False)
    carded = replace(filled, card=SignedCard.of(_card(shop)))
    encoded = manifest.encode(carded)
    assert manifest.decode(encoded) == carded
    assert manifest.encode(manifest.decode(encoded)) == encoded


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"classes": ["a", "a"]}, "one twice"),
        ({"classes": ["übel"]}, "printable ASCII"),
        ({"classes": "a"}, "classes is not an array"),
        ({"inputs": []}, "is empty"),
        ({"inputs": [{"band": "eo"}]}, "lacks 'name'"),
        ({"inputs": [{"name": "other"}]}, "are not manifest.inputs"),
        ({"decoding": {}}, "lacks 'type'"),
        ({"extra": 1}, "unknown field 'extra'"),
    ],
)
def test_a_card_of_another_form_breaks_the_schema(shop, changed: dict[str, Any], words: str) -> None:
    filled = PackageFile.of(build(shop.manifest, shop.graph, shop.good)).manifest_unverified
    good = replace(filled, card=SignedCard.of(_card(shop)))
    document = cbor.decode(manifest.encode(good))
    assert isinstance(document, dict)
    with pytest.raises(RejectedError, match=words):
        manifest.decode(cbor.encode({**document, "card": _card(shop, **changed)}))


def test_a_card_and_its_schema_belong_together(shop) -> None:
    filled = PackageFile.of(build(shop.manifest, shop.graph, shop.good)).manifest_unverified
    document = cbor.decode(manifest.encode(filled))
    assert isinstance(document, dict)
    for wrong in ({**document, "schema": 3}, {**document, "card": _card(shop)}, {**document, "schema": 1}):
        with pytest.raises(RejectedError, match="schema"):
            manifest.decode(cbor.encode(wrong))


def test_a_card_of_other_inputs_cannot_be_written(shop) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        build(replace(shop.manifest, card=SignedCard.of(_card(shop, inputs=[{"name": "x"}]))), shop.graph, shop.good)
