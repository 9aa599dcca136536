"""Recording acts in the custody log: one statement per act, linked by digests."""

from __future__ import annotations

import getpass
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from firmware_bridge.package.signing import Signer
from ks100.custody.log import CustodyLog, Entry
from ks100.custody.statement import Act, Artifact, Statement

__all__ = ["ProvenanceRecorder"]


class ProvenanceRecorder:
    """Writes statements to a custody log."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        """Open or create the log in ``folder``; ``signer`` signs entries and checkpoints."""
        self.folder = folder
        self._log = CustodyLog.open(folder, signer)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries so far."""
        return self._log.entries

    def record(
        self,
        act: Act,
        subjects: Sequence[Artifact],
        inputs: Sequence[Artifact] = (),
        parameters: Mapping[str, str] | None = None,
        *,
        once: bool = True,
    ) -> Entry:
        """Record an act, unless the log already has its statement.

        Args:
            act: what.
            subjects: what it made or concerned.
            inputs: what it used.
            parameters: how.
            once: a log that has the same act on the same subjects from the same inputs already is left alone.

        Returns:
            The new or existing entry.
        """
        statement = Statement(
            act=act,
            subjects=tuple(subjects),
            inputs=tuple(inputs),
            parameters=tuple(sorted((parameters or {}).items())),
            actor=_actor(),
            tool=f"ks100 {version('ks100')}",
            time_s=int(time.time()),
        )
        for entry in reversed(self._log.entries) if once else ():
            known = entry.statement
            if (known.act, known.subjects, known.inputs) == (act, statement.subjects, statement.inputs):
                return entry
        return self._log.append(statement)


def _actor() -> str:
    try:
        return f"{getpass.getuser()}@{platform.node()}"
    except (OSError, KeyError):  # no name for this user id, e.g. in containers
        return f"unknown@{platform.node()}"
