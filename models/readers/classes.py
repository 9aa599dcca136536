"""Mapping of datasets' class names to those of the capture set: the six, or a list of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.captures import CLASSES, ObjectClass

__all__ = ["DEFAULT_CLASSES", "ClassMap", "MappedClass"]


@dataclass(frozen=True, slots=True)
class MappedClass:
    """Target of a class name: a class by its index, or ``ignore`` with the most similar class."""

    object_class: int
    ignore: bool = False


_P, _B, _M, _C, _T, _U = (MappedClass(c) for c in ObjectClass)
_IGNORE_PERSON = MappedClass(ObjectClass.PERSON, ignore=True)
_IGNORE_BIKE = MappedClass(ObjectClass.BICYCLE, ignore=True)
_IGNORE_CAR = MappedClass(ObjectClass.CAR, ignore=True)
_IGNORE_TRUCK = MappedClass(ObjectClass.TRUCK, ignore=True)

DEFAULT_CLASSES: Mapping[str, MappedClass] = {
    "person": _P, "pedestrian": _P, "people": _P, "person?": _IGNORE_PERSON, "rider": _P,
    "bicycle": _B, "bike": _B, "cyclist": _B,
    "motorcycle": _M, "motor": _M, "motorbike": _M, "scooter": _IGNORE_BIKE,
    "car": _C, "van": _C,
    "truck": _T, "truvk": _T, "lamp": _IGNORE_CAR, "freight car": _T, "feright car": _T, "feright": _T,
    "bus": _U,
    # HIT-UAV's OtherVehicle covers trucks and buses; its DontCare marks objects that annotators could not identify.
    "othervehicle": _IGNORE_TRUCK, "other vehicle": _IGNORE_TRUCK, "dontcare": _IGNORE_PERSON, "*": _IGNORE_CAR,
    "dont care": _IGNORE_PERSON, "don't care": _IGNORE_PERSON, "ignore": _IGNORE_PERSON, "ignored": _IGNORE_PERSON,
    "ignored regions": _IGNORE_PERSON, "ignored region": _IGNORE_PERSON, "others": _IGNORE_PERSON,
    "train": _IGNORE_TRUCK, "skateboard": _IGNORE_BIKE, "stroller": _IGNORE_BIKE, "deer": _IGNORE_PERSON,
    "dog": _IGNORE_PERSON, "light": _IGNORE_CAR, "hydrant": _IGNORE_PERSON, "sign": _IGNORE_CAR,
}  # fmt: skip
"""Class names of the supported datasets, in lower case."""


@dataclass(frozen=True)
class ClassMap:
    """Maps class names, regardless of case, spaces, hyphens and underscores.

    Attributes:
        names: the target of each name.
        classes: the class names of the set, by index.
    """

    names: Mapping[str, MappedClass] = field(default_factory=lambda: DEFAULT_CLASSES)
    classes: tuple[str, ...] = CLASSES

    @classmethod
    def of(cls, classes: Sequence[str]) -> ClassMap:
        """Return the map to these classes: by their own names, and by the synonyms of those among the six."""
        if tuple(classes) == CLASSES:
            return cls()
        place = {name: index for index, name in enumerate(classes)}
        known = {name: _moved(target, place) for name, target in DEFAULT_CLASSES.items()}
        own = {_plain(name): MappedClass(index) for name, index in place.items()}
        return cls({**{name: target for name, target in known.items() if target is not None}, **own}, tuple(classes))

    def get(self, name: str) -> MappedClass | None:
        """Return the target of ``name``, or None."""
        return self.names.get(_plain(name))

    def with_names(self, more: Mapping[str, MappedClass]) -> ClassMap:
        """Return this map with added or replaced names."""
        return ClassMap({**self.names, **{_plain(name): target for name, target in more.items()}}, self.classes)


def _moved(target: MappedClass, place: Mapping[str, int]) -> MappedClass | None:
    """Translate a target among the six to other classes; None if they do not contain it."""
    index = place.get(CLASSES[target.object_class])
    if target.ignore:
        return MappedClass(index or 0, ignore=True)
    return None if index is None else MappedClass(index)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").lower().split())
