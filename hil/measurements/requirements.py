"""What a kind of board has to satisfy, and what its maker published: the part of a profile that results keep."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from firmware_bridge.device.profile import BoardProfile, Published

__all__ = ["Requirements"]


@dataclass(frozen=True, slots=True)
class Requirements:
    """The figures of one board profile that a run is judged by and shown beside.

    Attributes:
        board: the profile's name, e.g. ``ks100``.
        description: one line for people.
        window_ms: time from frame to answer.
        budget_mw: total power that it may draw.
        frame_rate_hz: frames a second that it has to keep up with.
        rails: labels of its power rails.
        published: what its maker published, or None.
        profile_sha256: digest of the profile's numbers, rails and operations, hex; ``""`` if unknown.
    """

    board: str
    description: str
    window_ms: float
    budget_mw: float
    frame_rate_hz: float
    rails: tuple[str, ...]
    published: Published | None = None
    profile_sha256: str = ""

    @classmethod
    def of(cls, profile: BoardProfile) -> Requirements:
        """Return what ``profile`` asks of a board."""
        return cls(
            board=profile.name,
            description=profile.description,
            window_ms=profile.window_ms,
            budget_mw=profile.budget_mw,
            frame_rate_hz=profile.frame_rate_hz,
            rails=tuple(rail.label for rail in profile.rails),
            published=profile.published,
            profile_sha256=_digest(profile),
        )

    @property
    def period_ms(self) -> float:
        """Time from one frame to the next."""
        return 1e3 / self.frame_rate_hz

    def published_value(self, measurement: str) -> float | None:
        """Return the value that was published for a measurement, in its unit, or None."""
        figures = () if self.published is None else self.published.figures
        return next((item.value for item in figures if item.measurement == measurement), None)


def _digest(profile: BoardProfile) -> str:
    """Return the digest of everything that figures on this kind of board depend on."""
    constants = sorted((item.key, item.value) for item in profile.constants)
    rails = [asdict(rail) for rail in profile.rails]
    facts = [profile.name, profile.runtime, constants, rails, sorted(profile.npu_ops)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
