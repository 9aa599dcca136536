"""Options for the passphrase of a signing key: prompt, file, or agent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ks100.errors import UsageError

__all__ = ["KEY", "ask_passphrase", "passphrase_for", "passphrase_options"]

KEY = "PEM file, or pkcs11:token=T;object=LABEL;id=%01?module-path=FILE.so"
_F = TypeVar("_F", bound=Callable[..., Any])


def passphrase_options(function: _F) -> _F:
    """Add ``--passphrase-file`` and ``--passphrase-agent``."""
    file = click.option("--passphrase-file", type=click.Path(path_type=Path, dir_okay=False),
                        help="File whose first line is the passphrase (or PIN); default: prompt.")  # fmt: skip
    agent = click.option("--passphrase-agent", is_flag=True, help="Ask gpg-agent, which caches it as ks100:FILENAME.")
    return file(agent(function))


def passphrase_for(key: str, file: Path | None, agent: bool) -> Callable[[], str]:
    """Return a function that obtains the passphrase of ``key``."""

    def ask() -> str:
        if agent:
            from ks100.steps.signers import ask_agent

            return ask_agent(key.partition("?")[0].rsplit("/", 1)[-1])
        return ask_passphrase(file, what=key.partition("?")[0])

    return ask


def ask_passphrase(file: Path | None, *, fresh: bool = False, what: str = "") -> str:
    """Return the passphrase from a file or a prompt without echo (twice for a new key)."""
    if file is not None:
        from ks100.steps.keyring import read_passphrase

        return read_passphrase(file)
    if not sys.stdin.isatty():
        raise UsageError("no terminal to prompt for the passphrase; give --passphrase-file FILE or --passphrase-agent")
    question = f"Passphrase of {what}" if what else "Passphrase"
    return str(click.prompt(question, hide_input=True, confirmation_prompt=fresh, err=True))
