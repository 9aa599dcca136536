"""Loading captures from a stored set, or from a real dataset in place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.captures import CaptureSet

if TYPE_CHECKING:
    from models.readers import Options

__all__ = ["load_captures"]


def load_captures(
    path: Path, purpose: str = "", *, options: Options | None = None
) -> tuple[CaptureSet, tuple[str, ...]]:
    """Return the captures at ``path``, and the lines of the report on reading them.

    Args:
        path: a stored set's folder, or a dataset's annotation file, description or folder.
        purpose: for the log of a sealed set; the name of the running command if empty.
        options: options of reading a dataset; the defaults if None.

    Raises:
        DataError: it is neither.
    """
    context = click.get_current_context(silent=True)
    if not purpose and context is not None:
        purpose = context.command_path
    if (path / "captures.json").is_file():
        return CaptureSet.load(path, purpose), ()
    from models.readers import read_dataset

    captures, report = read_dataset(path, options=options, purpose=purpose)
    return captures, tuple(report.lines())
