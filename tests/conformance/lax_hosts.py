"""Hosts that leave one check out, for the suite to catch; each runs in processes of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from unittest import mock

from firmware_bridge.host import flashing
from firmware_bridge.host.board import Board
from firmware_bridge.protocol import codec
from firmware_bridge.protocol.ranges import OneOf, Pattern, Range
from ks100.cli.main import main
from ks100.custody.recorder import ProvenanceRecorder


def _lax(*patches: mock._patch) -> Callable[[Sequence[str]], int]:
    def run(arguments: Sequence[str]) -> int:
        for patch in patches:
            patch.start()
        return main(arguments)

    return run


def shows_what_comes(arguments: Sequence[str]) -> int:
    """Text is taken as it comes."""
    return _lax(mock.patch.object(codec, "clean_text", lambda text: text))(arguments)


def takes_any_value(arguments: Sequence[str]) -> int:
    """No range is checked."""
    kinds = (Range, OneOf, Pattern)
    return _lax(*(mock.patch.object(kind, "mismatch", return_value=None) for kind in kinds))(arguments)


def believes_digests(arguments: Sequence[str]) -> int:
    """What a board says that it has installed is believed."""
    whole = flashing.FlashOptions.__init__

    def init(self: flashing.FlashOptions, *given: object, **named: object) -> None:
        whole(self, *given, **{**named, "digest": ""})

    return _lax(mock.patch.object(flashing.FlashOptions, "__init__", init))(arguments)


def crashes(arguments: Sequence[str]) -> int:
    """What a board answers meets an error that no command expects."""
    return _lax(mock.patch.object(Board, "info", side_effect=RuntimeError("an answer that nobody expected")))(arguments)


def forgets(arguments: Sequence[str]) -> int:
    """Custody is not written."""
    return _lax(mock.patch.object(ProvenanceRecorder, "record", return_value=None))(arguments)


def hangs(_: Sequence[str]) -> int:
    """It never ends."""
    while True:
        os.read(os.pipe()[0], 1)
