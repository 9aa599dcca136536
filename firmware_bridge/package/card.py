"""The model card as it is signed: how frames go into the graph, and what its outputs mean. Runs and decodes nothing.

A board's detections can so be read with no other list of classes. What the keys inside an input and the decoding mean
is the host's business (`models.card`); here only their form is checked, so that every display may show them.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.package import cbor
from firmware_bridge.package.fields import LABEL, NAME, Fields, schema_error

__all__ = ["CLASSES_LIMIT", "SignedCard"]

CLASSES_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class SignedCard:
    """A model card as strict CBOR: ``classes``, ``inputs``, ``decoding``, ``kinematics``, maybe ``operating_point``."""

    data: bytes

    @classmethod
    def of(cls, values: cbor.Value) -> SignedCard:
        """Return the card of plain values.

        Raises:
            RejectedError: SCHEMA, with the field's name.
        """
        read = Fields(values, "manifest.card")
        classes = read.array("classes", _label)
        if len(classes) > CLASSES_LIMIT or len(set(classes)) < len(classes):
            raise schema_error(f"manifest.card.classes has over {CLASSES_LIMIT} names, or one twice")
        inputs = read.array("inputs", _input)
        if not inputs or len(set(inputs)) < len(inputs):
            raise schema_error("manifest.card.inputs is empty, or names one twice")
        read.map("decoding").text("type", NAME)
        read.array("kinematics", _label)
        if isinstance(values, dict) and "operating_point" in values:
            point = read.map("operating_point")
            if not 0 <= point.number("score") <= 1:
                raise schema_error("manifest.card.operating_point.score is not in [0, 1]")
        read.finish()
        return cls(cbor.encode(values))

    @property
    def values(self) -> dict[int | str, cbor.Value]:
        """The card as plain values; a copy."""
        values = cbor.decode(self.data)
        assert isinstance(values, dict)
        return values

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, by index."""
        return Fields(self.values, "manifest.card").array("classes", _label)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs that it describes."""
        return Fields(self.values, "manifest.card").array("inputs", _input)

    @property
    def decoding(self) -> str:
        """The kind of decoding, e.g. ``grid``."""
        return Fields(self.values, "manifest.card").map("decoding").text("type", NAME)


def _label(value: cbor.Value) -> str:
    if not isinstance(value, str) or not LABEL.fullmatch(value):
        raise schema_error("manifest.card has a name that is not of 1 to 128 printable ASCII characters")
    return value


def _input(value: cbor.Value) -> str:
    return Fields(value, "manifest.card.inputs").text("name", LABEL)
