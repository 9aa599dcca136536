"""What a network takes: the size of its frames, and of a pair of frames those that it looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.heads import INPUT_EO, INPUT_LWIR

if TYPE_CHECKING:
    import keras

__all__ = ["feed", "frame_size"]


def frame_size(model: keras.Model) -> tuple[int, int]:
    """Return height and width in pixels of the frames that ``model`` takes, in whichever bands."""
    _, height, width, _ = next(iter(model.input.values())).shape
    return int(height), int(width)


def feed(model: keras.Model, eo: Any, lwir: Any) -> dict[str, Any]:
    """Return the inputs of ``model`` for a batch of pairs; a thermal network leaves ``eo`` out.

    Args:
        model: inputs as in `models.heads`, or one of them.
        eo: float32 [B, H, W, 3] in [0, 1].
        lwir: float32 [B, H, W, 1] in [0, 1].
    """
    return {band: frames for band, frames in ((INPUT_EO, eo), (INPUT_LWIR, lwir)) if band in model.input}
