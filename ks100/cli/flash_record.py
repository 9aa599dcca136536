"""What became of each board in the last ``flash`` of a package, kept so that only the failed are tried again.

One small JSON file a package, in ``$XDG_STATE_HOME/ks100/flash``, named by the package's digest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["FlashEntry", "FlashRecord", "record_path"]

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class FlashEntry:
    """One board's end.

    Attributes:
        name: what the user called it.
        url: its address.
        serial: its serial number, ``""`` when it was never reached.
        passed: whether it has the package.
        exit_code: what its end means, see ``ks100 --help``.
        error: why it failed, ``""`` otherwise.
        finished_s: when, seconds since 1970.
    """

    name: str
    url: str
    serial: str
    passed: bool
    exit_code: int
    error: str
    finished_s: float


@dataclass(frozen=True, slots=True)
class FlashRecord:
    """All boards of the last run, with later retries in their place."""

    boards: tuple[FlashEntry, ...] = ()

    @classmethod
    def load(cls, path: Path) -> FlashRecord:
        """Return the record at ``path``; an empty one when there is none, or none that this version can read."""
        try:
            content = json.loads(path.read_text("utf-8"))
            if content["format"] != _FORMAT:
                return cls()
            return cls(tuple(FlashEntry(**entry) for entry in content["boards"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def save(self, path: Path) -> None:
        """Write the record in one piece."""
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}")
        content = {"format": _FORMAT, "boards": [asdict(entry) for entry in self.boards]}
        new.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
        new.replace(path)

    def with_retried(self, retried: Sequence[FlashEntry]) -> FlashRecord:
        """Return the record with the entries of the boards that were tried again replaced."""
        by_name = {entry.name: entry for entry in retried}
        return FlashRecord(tuple(by_name.get(entry.name, entry) for entry in self.boards))


def record_path(package_digest: str) -> Path:
    """Return where the record of a package is kept, given the package's digest in hex."""
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state) / "ks100" / "flash" / f"{package_digest[:32]}.json"
