"""The request to the HIL suite: the board, the package and all options, checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from firmware_bridge.errors import InputError
from firmware_bridge.host.address import BoardAddress
from firmware_bridge.package.reasons import RejectReason
from hil.errors import SuiteError

__all__ = ["TRUST_FILE", "SuiteRequest", "parse_refuse"]

_LOOP_FRAMES = {"smoke": 120, "ci": 600, "release": 3000}

TRUST_FILE = "trust.ksr"
"""The trust store's name beside a package."""


@dataclass(frozen=True)
class SuiteRequest:
    """One run of the suite.

    Attributes:
        board: the board's URL.
        package: the signed package, or None.
        trust: the signed trust store, or None.
        captures: folder of hard-case captures, or None.
        results: where results.json goes, or None.
        profile: the board's profile, a name or a TOML file; by default that of the kind that the board names.
        frames: most captures to run on the board; None lets the link's speed decide.
        tier: how much is checked, one of `hil.plugin.options.TIERS`.
        loop: counted inferences of the paced loop; the tier's if None.
        idle_s: how long the rails are sampled idle before the loop.
        refuse: packages that the board must refuse, with the reason.
        name: the board as it was given; its name in the inventory, or the URL.
        wait_s: how long to wait for a board that is in use.
    """

    board: str
    package: Path | None = None
    trust: Path | None = None
    captures: Path | None = None
    results: Path | None = None
    profile: str | None = None
    frames: int | None = None
    tier: str = "ci"
    loop: int | None = None
    idle_s: float = 1.0
    refuse: tuple[tuple[RejectReason, Path], ...] = ()
    name: str = ""
    wait_s: float = 0.0

    def checked(self) -> SuiteRequest:
        """Return the request with the trust store found beside the package when none was given.

        Raises:
            SuiteError: the address is invalid, a given file or folder is missing, or a number is out of range.
        """
        try:
            BoardAddress.parse(self.board)
        except InputError as error:
            raise SuiteError(f"--ks-board: {error}") from error
        for option, path in (("package", self.package), ("trust", self.trust), ("captures", self.captures)):
            if path is not None and not path.exists():
                raise SuiteError(f"--ks-{option} {path}: there is no such file")
        if (self.loop is not None and self.loop < 1) or (self.frames is not None and self.frames < 1):
            raise SuiteError("--ks-loop and --ks-frames must be at least 1")
        for reason, path in self.refuse:
            if not path.exists():
                raise SuiteError(f"--ks-refuse {reason.code}={path}: there is no such file")
        beside = None if self.package is None else self.package.resolve().parent / TRUST_FILE
        if self.trust is None and beside is not None and beside.is_file():
            return replace(self, trust=beside)
        return self

    @property
    def loop_frames(self) -> int:
        """Counted inferences of the paced loop."""
        return _LOOP_FRAMES[self.tier] if self.loop is None else self.loop

    @property
    def link(self) -> str:
        """What carries the session, ``ssh`` or ``serial``."""
        return "serial" if BoardAddress.parse(self.board).is_serial else "ssh"

    def described(self) -> dict[str, str]:
        """Return the options as a reader wants to see them."""
        names = {"package": self.package, "trust": self.trust, "captures": self.captures}
        files = {key: value.name for key, value in names.items() if value is not None}
        frames = "by the link's speed" if self.frames is None else str(self.frames)
        board = {"board": self.name} if self.name not in ("", self.board) else {}
        return {**board, **files, "tier": self.tier, "frames": frames, "loop": f"{self.loop_frames} frames"}


def parse_refuse(text: str) -> tuple[RejectReason, Path]:
    """Parse ``REASON=FILE``.

    Raises:
        SuiteError: it is not of this form, or the reason is not one of the closed set.
    """
    code, equals, path = text.partition("=")
    if not equals or not path:
        raise SuiteError(f"--ks-refuse {text!r} is not REASON=FILE, e.g. rollback=old.ksm")
    try:
        return RejectReason.from_code(code), Path(path)
    except ValueError as error:
        known = ", ".join(reason.code for reason in RejectReason)
        raise SuiteError(f"--ks-refuse: {code!r} is not a reason; use one of {known}") from error
