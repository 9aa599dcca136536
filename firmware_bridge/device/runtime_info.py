"""The inference runtime of a board as it is described to a host."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RuntimeInfo"]


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """The inference runtime that a board has.

    Attributes:
        name: ``litert`` or ``tflite-runtime``.
        version: the runtime's own version.
        ops: the operations it runs with their types, each as ``CONV_2D:INT8``, sorted.
    """

    name: str
    version: str
    ops: tuple[str, ...]
