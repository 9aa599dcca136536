"""The files that a command of the host works with in one case, and what it leaves there: custody log and record."""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from pathlib import Path

from firmware_bridge.package import container
from firmware_bridge.package.signing import PemSigner
from hil.conformance.host.board import INFO
from hil.conformance.signing_kit import SigningKit

__all__ = ["Workspace"]

_NOISE_BYTES = 6 * 16 * 1024  # more than a board without credit takes, and it does not deflate
_PASSPHRASE = "conformance"  # noqa: S105 - of a key that lives as long as the run


class Workspace:
    """The files that all cases of a run use; `of` gives a case a folder of its own.

    Attributes:
        digest: SHA-256 in hex of the package's graph.
    """

    def __init__(self, folder: Path) -> None:
        """Make a package, its trust store and a log's key in ``folder``."""
        kit = SigningKit(INFO, int(time.time()))
        payload = kit.graph + random.Random(17).randbytes(_NOISE_BYTES)  # noqa: S311 - noise, no secret
        data = container.build(kit.manifest, payload, kit.good)
        self.digest = container.PackageFile.of(data).manifest_unverified.payload_sha256.hex()
        self._files = {name: folder / file for name, file in _FILES.items()}
        self._files["package"].write_bytes(data)
        self._files["trust"].write_bytes(kit.installed.raw)
        self._files["passphrase"].write_text(_PASSPHRASE)
        self._files["passphrase"].chmod(0o600)
        PemSigner.generate(self._files["key"], _PASSPHRASE)
        self._folder = folder

    def of(self, number: int) -> Path:
        """Return an empty folder for case ``number``."""
        folder = self._folder / f"case-{number}"
        folder.mkdir()
        return folder

    def arguments(self, command: tuple[str, ...], folder: Path, boards: dict[str, str]) -> list[str]:
        """Return a command with its places filled in."""
        places = {name: str(path) for name, path in self._files.items()} | {"log": str(folder / "log")} | boards
        filled = []
        for word in command:
            for name, value in places.items():
                word = word.replace("{" + name + "}", value)
            filled.append(word)
        return filled

    @staticmethod
    def environment(folder: Path) -> dict[str, str]:
        """Return what differs in the environment of a case's command."""
        return {"XDG_STATE_HOME": str(folder / "state"), "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}

    @staticmethod
    def custody_entries(folder: Path) -> int:
        """Return how many entries the case's custody log has."""
        with suppress(OSError):
            return (folder / "log" / "entries.jsonl").read_bytes().count(b"\n")
        return 0

    @staticmethod
    def recorded_boards(folder: Path) -> int:
        """Return how many boards the record of the case's run has."""
        with suppress(OSError, ValueError, KeyError, StopIteration):
            return len(json.loads(next((folder / "state").rglob("flash/*.json")).read_text())["boards"])
        return 0


_FILES = {"package": "model.ksm", "trust": "trust.ksr", "key": "log.pem", "passphrase": "passphrase"}
