"""Stating in the custody log what was done: one statement for each act, joined by digests."""

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
    """A custody log that is written to as things are done."""

    def __init__(self, folder: Path, signer: Signer) -> None:
        """Open the log in ``folder``, or make it; ``signer`` signs entries and checkpoints."""
        self.folder = folder
        self._log = CustodyLog.open(folder, signer)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the log says so far."""
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
        """State that something was done.

        Args:
            act: what.
            subjects: what it made or concerned.
            inputs: what it used.
            parameters: how.
            once: a log that has the same act on the same subjects from the same inputs already is left alone.

        Returns:
            The entry, new or found.
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
    except (OSError, KeyError):  # a user without a name, as in some containers
        return f"unknown@{platform.node()}"
