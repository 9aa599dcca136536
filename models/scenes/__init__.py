"""Procedural captures: paired EO and LWIR frames with known truth, by seed."""

from models.scenes.contact_sheet import contact_sheet
from models.scenes.generate import generate
from models.scenes.spec import SceneSpec

__all__ = ["SceneSpec", "contact_sheet", "generate"]
