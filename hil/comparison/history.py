"""The history of runs, in one SQLite file: what was measured when, how figures went, and how much they vary.

Appending is one transaction, so several programs may write. Knows the figures of a run, not its samples: those stay in
its results folder.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hil.comparison.comparable import setup_of
from hil.comparison.spread import RunSpread, pooled_spread
from hil.errors import EvidenceError, ResultsError
from hil.measurements.measurement import Better
from hil.measurements.results import HilResults, SuiteVerdict

__all__ = ["History", "HistoryRun", "TrendPoint"]

_SCHEMA = 1
_BUSY_S = 10.0
_TABLES = """
create table runs (
    id integer primary key, digest text unique not null, setup text not null, started_s real not null,
    board text not null, serial text not null, program text not null, model text not null, version text not null,
    payload text not null, verdict text not null, folder text not null
);
create table figures (
    run integer not null references runs on delete cascade, name text not null, value real, unit text not null,
    better text not null, primary key (run, name)
) without rowid;
create index runs_by_setup on runs (setup, payload);
"""
_USABLE = (SuiteVerdict.PASS, SuiteVerdict.LIMIT_FAILED, SuiteVerdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class HistoryRun:
    """One run: its number, when it began, board, package, verdict and where its results went."""

    id: int
    started_s: float
    board: str
    serial: str
    program: str
    model: str
    version: str
    payload: str
    verdict: str
    folder: str

    @property
    def began(self) -> str:
        """When it began, local time."""
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(self.started_s))


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """A figure of one run."""

    run: HistoryRun
    value: float
    unit: str


_COLUMNS = "id, started_s, board, serial, program, model, version, payload, verdict, folder"


class History:
    """A history file; made when the first run is appended."""

    def __init__(self, path: Path) -> None:
        """Use the file ``path``, which need not exist."""
        self.path = path

    @property
    def begun(self) -> bool:
        """Whether anything was ever written: a file that is empty is one that is yet to begin."""
        return self.path.exists() and not (self.path.is_file() and self.path.stat().st_size == 0)

    def append(self, results: HilResults, folder: Path) -> int | None:
        """Keep a run's figures; return its number, or None for one that reached no board or has no package.

        A run that is there already is not counted again.

        Raises:
            ResultsError: the file cannot be written.
        """
        if results.board is None or results.package is None:
            return None
        board, package = results.board, results.package
        row = (
            _digest(results.to_json()), _digest(setup_of(results)), results.started_s, board.board, board.serial,
            package.program, package.model, package.version, package.payload_sha256, results.verdict.value,
            str(folder.resolve()),
        )  # fmt: skip
        figures = [
            (item.name, item.value if math.isfinite(item.value) else None, item.unit, item.better.value)
            for item in results.measurements
        ]
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._open(write=True) as data:
                data.execute("begin immediate")
                known = data.execute("select id from runs where digest = ?", row[:1]).fetchone()
                if known is not None:
                    return int(known[0])
                names = "digest, setup, started_s, board, serial, program, model, version, payload, verdict, folder"
                marks = ", ".join("?" * len(row))
                number = data.execute(f"insert into runs ({names}) values ({marks})", row).lastrowid  # noqa: S608
                data.executemany("insert into figures values (?, ?, ?, ?, ?)", [(number, *item) for item in figures])
                return number
        except OSError as error:
            raise ResultsError(f"the history cannot be written to {self.path}: {error.strerror}") from error

    def runs(self, last: int | None = None) -> list[HistoryRun]:
        """Return the runs, the latest first; at most ``last``."""
        limit = -1 if last is None else last
        rows = self._read(f"select {_COLUMNS} from runs order by started_s desc, id desc limit ?", limit)  # noqa: S608
        return [HistoryRun(*row) for row in rows]

    def figures(self, run: int) -> list[tuple[str, float, str]]:
        """Return name, value (NaN for none) and unit of each figure of a run, in no order but that of their names.

        Raises:
            EvidenceError: there is no such run.
        """
        if not self._read("select 1 from runs where id = ?", run):
            raise EvidenceError(f"{self.path} has no run {run}; see ks100 hil history list")
        rows = self._read("select name, value, unit from figures where run = ? order by name", run)
        return [(name, math.nan if value is None else value, unit) for name, value, unit in rows]

    def trend(self, figure: str) -> list[TrendPoint]:
        """Return a figure of all runs that have it, the earliest first."""
        columns = ", ".join(f"runs.{name}" for name in _COLUMNS.split(", "))
        rows = self._read(
            f"select {columns}, value, unit from runs join figures on run = id "  # noqa: S608
            "where name = ? and value is not null order by started_s, id",
            figure,
        )
        return [TrendPoint(HistoryRun(*row[:-2]), row[-2], row[-1]) for row in rows]

    def figure_names(self) -> list[str]:
        """Return the names of all figures that improve in some direction."""
        rows = self._read("select distinct name from figures where better != ? order by name", Better.NEITHER.value)
        return [row[0] for row in rows]

    def spreads(self, before: HilResults, after: HilResults) -> dict[str, RunSpread]:
        """Return how much each figure varies between runs like these two, by its name.

        Runs are alike that measured the same things in the same way (as `hil.comparison.comparable` has it) with the
        same package; and on the same board, if the two were on one. A variation is pooled over packages and boards.
        """
        if before.board is None or after.board is None:
            return {}
        one_board = before.board.serial == after.board.serial
        usable = [verdict.value for verdict in _USABLE]
        rows = self._read(
            f"select payload, serial, name, value from runs join figures on run = id where setup = ? "  # noqa: S608
            f"and value is not null and verdict in ({', '.join('?' * len(usable))})",
            _digest(setup_of(after)), *usable,
        )  # fmt: skip
        groups: dict[str, dict[tuple[str, str], list[float]]] = {}
        for payload, serial, name, value in rows:
            groups.setdefault(name, {}).setdefault((payload, serial if one_board else ""), []).append(value)
        found = {name: pooled_spread(by_group.values()) for name, by_group in groups.items()}
        return {name: spread for name, spread in found.items() if spread is not None}

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if not self.begun:
            return []
        with self._open(write=False) as data:
            return data.execute(query, values).fetchall()

    @contextmanager
    def _open(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Open the file; what the block wrote is there as a whole, or not at all. Reading changes nothing in it.

        Raises:
            EvidenceError: it is no history, or one of another release.
            ResultsError: it cannot be opened or written.
        """
        if self.path.exists() and not self.path.is_file():
            raise EvidenceError(f"{self.path} is not a file; give the history another place (--history)")
        data = None
        try:
            mode = "rwc" if write else "ro"
            data = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", timeout=_BUSY_S, uri=True)
            data.execute("pragma foreign_keys = on")
            version = data.execute("pragma user_version").fetchone()[0]
            if version == 0 and write:
                self._make(data)
            elif version == 0:
                raise EvidenceError(f"{self.path} is not a history of HIL runs: no run was ever written to it")
            elif version != _SCHEMA:
                raise EvidenceError(f"{self.path} is a history of schema {version}, this release reads {_SCHEMA}")
            with data:
                yield data
        except sqlite3.OperationalError as error:
            raise ResultsError(f"the history {self.path} cannot be used: {error}") from error
        except sqlite3.DatabaseError as error:
            raise EvidenceError(f"{self.path} is not a history of HIL runs: {error}") from error
        finally:
            if data is not None:
                data.close()

    def _make(self, data: sqlite3.Connection) -> None:
        data.execute("begin immediate")
        tables: Iterable[str] = (part for part in _TABLES.split(";") if part.strip())
        if data.execute("select 1 from sqlite_master").fetchone():
            if data.execute("pragma user_version").fetchone()[0] != _SCHEMA:
                raise EvidenceError(f"{self.path} is a SQLite file of something else; give another --history")
            data.rollback()
            return
        for table in tables:
            data.execute(table)
        data.execute(f"pragma user_version = {_SCHEMA}")
        data.commit()


def _digest(item: object) -> str:
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()
