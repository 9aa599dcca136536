"""Options for recording a command in a custody log."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from ks100.cli.passphrases import passphrase_for
from ks100.errors import UsageError

__all__ = ["custody_options"]


def custody_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--log`` and ``--log-key`` (parameter ``recorder``, a `ProvenanceRecorder` or None).

    The key is opened before the command begins, so that long work does not fail at its end.
    """

    @functools.wraps(function)
    def command(
        *arguments: Any, log: Path | None, log_key: str | None, log_passphrase_file: Path | None, **rest: Any
    ) -> Any:
        with ExitStack() as stack:
            recorder = None
            if log is not None:
                from ks100.custody.recorder import ProvenanceRecorder
                from ks100.steps.signers import open_signer

                if log_key is None:
                    raise UsageError(f"the custody log {log} needs its own key: give --log-key")
                ask = passphrase_for(log_key, log_passphrase_file, agent=False)
                recorder = ProvenanceRecorder(log, stack.enter_context(open_signer(log_key, ask)))
            return function(*arguments, recorder=recorder, **rest)

    folder, file = click.Path(path_type=Path, file_okay=False), click.Path(path_type=Path, dir_okay=False)
    for option in (
        click.option("--log-passphrase-file", type=file, envvar="KS100_LOG_PASSPHRASE_FILE", show_envvar=True,
                     help="Its passphrase; prompted for by default."),
        click.option("--log-key", envvar="KS100_LOG_KEY", show_envvar=True, help="The log's key, see --key of sign."),
        click.option("--log", type=folder, envvar="KS100_LOG", show_envvar=True,
                     help="Custody log to record this in; created if missing."),
    ):  # fmt: skip
        command = option(command)
    return command
