"""One run of ``ks100 flash``, with its records written before anything is displayed.

The retry record is on disk before the first board is touched. After each board its custody statements and then its
entry are written, and only then is its outcome shown.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.flash_display import open_display, result_record, show_ends
from ks100.cli.flash_record import FlashEntry, RecordWriter
from ks100.cli.output import print_json
from ks100.cli.stops import Stops
from ks100.cli.wrapping import waived
from ks100.errors import ExitCode, worst_code

if TYPE_CHECKING:
    from firmware_bridge.host.address import BoardAddress
    from firmware_bridge.host.fleet import FlashOptions, FlashResult, FlashTarget
    from firmware_bridge.package.container import PackageFile
    from ks100.custody.recorder import ProvenanceRecorder

__all__ = ["FlashRequest", "FlashRun"]


@dataclass(frozen=True, slots=True)
class FlashRequest:
    """What to do with each board.

    Attributes:
        activate: activate the package.
        confirm: confirm it after its trial.
        reinstall: also on boards that already run it.
        create: create emulated boards that do not exist.
        again: this is a retry of failed boards; the others remain in the record.
    """

    activate: bool = True
    confirm: bool = True
    reinstall: bool = False
    create: bool = False
    again: bool = False


class FlashRun:
    """A package, its boards, and their state."""

    def __init__(
        self,
        path: Path,
        package: PackageFile,
        trust: bytes,
        boards: Mapping[str, BoardAddress],
        places: Sequence[Path],
        wish: FlashRequest,
        recorder: ProvenanceRecorder | None,
    ) -> None:
        """Prepare a run; `go` does it."""
        self._path, self._package, self._trust, self._boards, self._wish = path, package, trust, boards, wish
        self._keeper = RecordWriter(places)
        self._custody = None if recorder is None else _Custody(recorder, path.name, package.digest)
        self._codes: dict[str, int] = {}

    def go(self, *, events: bool, as_json: bool) -> int:
        """Flash all boards, write the records, show the outcomes; return the exit code."""
        from firmware_bridge.host.fleet import flash

        entries = [FlashEntry(name, address.url) for name, address in self._boards.items()]
        self._keeper.begin(entries, again=self._wish.again)
        with Stops() as stops, open_display(self._boards, events=events) as display:
            targets = [self._target(name, address) for name, address in self._boards.items()]
            results = flash(
                targets, self._package, self._options(), events=display.show, ended=self._ended,
                cancel=lambda: stops.pressed is not None,
            )  # fmt: skip
        code = self._code(results)
        self._show(results, code, events=events, as_json=as_json)
        if stops.pressed is not None:
            return 128 + stops.pressed
        return code

    def _options(self) -> FlashOptions:
        from firmware_bridge.host.fleet import FlashOptions, ModelIdentity

        known = ModelIdentity.of(self._package.manifest_unverified)
        active = self._wish.activate and not self._wish.reinstall
        return FlashOptions(
            self._wish.activate, self._wish.confirm, unless_active=known if active else None, digest=known.digest
        )

    def _target(self, name: str, address: BoardAddress) -> FlashTarget:
        from firmware_bridge.host.address import SerialAddress
        from firmware_bridge.host.discovery import place_of, stable_name
        from firmware_bridge.host.fleet import FlashTarget
        from hil.boards import open_board

        port = None
        if isinstance(address, SerialAddress):
            port = stable_name(address.path)
            address = SerialAddress(port, address.baud, address.fastest)
        return FlashTarget(
            name,
            lambda: open_board(address, trust=self._trust, create=self._wish.create),
            port if port is not None and port.exists() else None,
            place_of(address),
        )

    def _ended(self, result: FlashResult) -> None:
        from ks100.cli.main import code_of

        code = int(ExitCode.PASS if result.error is None else code_of(result.error))
        self._codes[result.board] = code
        # The log first: a board that the record calls done is not tried again, and would never be stated.
        if self._custody is not None:
            self._custody.end(result, self._boards[result.board])
        self._keeper.end(
            FlashEntry(
                result.board, self._boards[result.board].url, result.serial, result.outcome.name, result.passed, code,
                "" if result.error is None else " ".join(str(result.error).split()),
            )
        )  # fmt: skip

    def _code(self, results: Sequence[FlashResult]) -> int:
        codes = [self._codes[result.board] for result in results if not result.passed]
        if self._custody is not None and self._custody.missing:
            codes.append(ExitCode.BOARD_FAULT)
        return int(worst_code(codes))

    def _show(self, results: Sequence[FlashResult], code: int, *, events: bool, as_json: bool) -> None:
        ends = [result_record(r, self._codes[r.board], self._boards[r.board].url) for r in results]
        counted = [result for result in results if result.counts]
        passed = sum(result.passed for result in counted)
        summary = {"boards": len(counted), "passed": passed, "failed": len(counted) - passed}
        remarks = self._remarks()
        for text in remarks:
            print(f"ks100: {text}", file=sys.stderr)
        waiver = self._package.manifest_unverified.evidence.waiver
        if as_json:
            print_json(
                {"package": self._package.digest, "waiver": waiver or None, "boards": ends, "summary": summary,
                 "exit_code": code, "record": str(self._keeper.path or ""), "remarks": remarks}
            )  # fmt: skip
        elif events:
            for end in ends:
                print(_line({"event": "end", **end}))
            print(_line({"event": "summary", **summary, **({"waiver": waiver} if waiver else {})}), flush=True)
        else:
            show_ends(results, [self._codes[result.board] for result in results])
            if waiver:
                click.secho(waived(waiver), fg="red")

    def _remarks(self) -> list[str]:
        """Return remarks on the records: their place, or what is missing in them."""
        remarks = []
        if self._keeper.path is None:
            remarks.append(
                f"the record of this run could not be written ({self._keeper.trouble}), so --retry-failed does not "
                f"know it: {' '.join(self._keeper.text().split())}"
            )
        elif self._keeper.trouble:
            remarks.append(f"the record of this run is in {self._keeper.path} ({self._keeper.trouble})")
        if self._custody is not None and self._custody.missing:
            boards = ", ".join(self._custody.missing)
            remarks.append(
                f"the custody log is missing the statements of {boards} ({self._custody.trouble}); make room, then run "
                "the same command again: boards that have the package are then only recorded"
            )
        return remarks


class _Custody:
    """Records in the custody log what was done to each board, by serial number; each fact once."""

    def __init__(self, recorder: ProvenanceRecorder, name: str, digest: str) -> None:
        from ks100.custody.statement import Artifact

        self._recorder = recorder
        self._subject = Artifact(name, digest)
        self.missing: list[str] = []
        self.trouble = ""

    def end(self, result: FlashResult, address: BoardAddress) -> None:
        """Record what was done; a failure is noted, and the other boards continue."""
        try:
            self._state(result, address)
        except Exception as error:  # noqa: BLE001  # the board is flashed: the records must still be written
            self.missing.append(result.board)
            self.trouble = " ".join(str(error).split())

    def _state(self, result: FlashResult, address: BoardAddress) -> None:
        from firmware_bridge.host.fleet import FlashOutcome
        from ks100.custody.statement import Act

        if result.reached is None or not result.counts:
            return
        acts = (Act.PUSH,) if result.reached is FlashOutcome.PUSHED else (Act.PUSH, Act.ACTIVATE)
        # A package that already runs was recorded at its push, unless the log could not be written then.
        known = self._known(result.serial) if result.reached is FlashOutcome.UNCHANGED else set()
        where = {"board": result.serial, "slot": result.slot, "link": address.url, "state": result.reached.value}
        for act in acts:
            if act not in known:
                self._recorder.record(act, [self._subject], parameters=where, once=False)

    def _known(self, serial: str) -> set[object]:
        return {
            entry.statement.act
            for entry in self._recorder.entries
            if entry.statement.parameter("board") == serial
            and self._subject.sha256 in {item.sha256 for item in entry.statement.subjects}
        }


def _line(record: Mapping[str, object]) -> str:
    import json

    return json.dumps(record)
