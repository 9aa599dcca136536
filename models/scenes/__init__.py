"""Procedural captures: paired EO and LWIR frames with known truth, by seed."""

from models.scenes.generate import generate
from models.scenes.sheet import sheet
from models.scenes.spec import SceneSpec

__all__ = ["SceneSpec", "generate", "sheet"]
