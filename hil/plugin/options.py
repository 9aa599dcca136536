"""The plugin's options and ini values, and the request that they make; for one process, or for one of a pool."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.checks.suite_request import SuiteRequest

__all__ = ["TIERS", "WRONG_REQUEST", "add_options", "boards_of", "parse_duration", "request_of", "worker_number"]

TIERS = ("smoke", "ci", "release")
"""How much is checked: each tier has the checks of those before it."""

WRONG_REQUEST = 2
"""Exit code where the run cannot be carried out as it was asked for, as ks100's own."""

_PATHS = {
    "package": "the signed package (.ksm) to install and measure",
    "trust": "the signed trust store; trust.ksr beside the package if not given",
    "captures": "folder of hard-case captures; without it accuracy and parity on real frames are skipped",
    "results": "folder for results.json, junit.xml, report.html, summary.md; for several boards a folder each",
    "inventory": "labgrid environment file whose targets can be given as --ks-board; also in KS100_INVENTORY",
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def add_options(parser: pytest.Parser) -> None:
    """Add the ``--ks-*`` options and the ini values of the same names."""
    group = parser.getgroup("ks100", "KS-100 boards")
    group.addoption(
        "--ks-board", action="append", metavar="URL|NAME",
        help="the board: emu:, ssh://user@host, serial:///dev/..?baud=921600, or its name in the inventory; "
        "repeat it with -n N for a pool",
    )  # fmt: skip
    for name, text in _PATHS.items():
        group.addoption(f"--ks-{name}", metavar="PATH", help=text)
    group.addoption(
        "--ks-profile", metavar="NAME|FILE.toml", help="the board's profile; by default that of the kind it names"
    )
    group.addoption(
        "--ks-frames", type=int, metavar="N", help="most captures to run on the board; by the link's speed if not given"
    )
    group.addoption(
        "--ks-tier", choices=TIERS, help="how much is checked: smoke (half a minute), ci (the default), release"
    )
    group.addoption("--ks-loop", type=int, metavar="N", help="counted frames of the paced loop; by the tier otherwise")
    group.addoption(
        "--ks-wait", metavar="DURATION", help="how long to wait for a board that is in use, e.g. 90s or 10m; not at all"
    )
    group.addoption(
        "--ks-refuse", action="append", default=[], metavar="REASON=FILE",
        help="a package that the board must refuse for this reason, e.g. rollback=old.ksm; repeatable",
    )  # fmt: skip
    for name in ("board", "profile", "tier", "wait", *_PATHS):
        parser.addini(f"ks_{name}", f"default of --ks-{name}")


def parse_duration(text: str) -> float:
    """Return seconds.

    Raises:
        SuiteError: it is not a number with s, m or h.
    """
    from hil.errors import SuiteError

    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise SuiteError(f"--ks-wait {text!r} is not a duration; give e.g. 90s, 10m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def boards_of(config: pytest.Config) -> tuple[str, ...]:
    """Return the boards as they were given; empty if this run is about none."""
    given: list[str] = config.getoption("--ks-board") or str(config.getini("ks_board")).split()
    return tuple(given)


def worker_number(config: pytest.Config) -> int | None:
    """Return which worker of pytest-xdist this process is, from 0; None if it is none."""
    worker = getattr(config, "workerinput", None)
    return None if worker is None else int(str(worker["workerid"]).removeprefix("gw"))


@dataclass(frozen=True, slots=True)
class _Chosen:
    """This process's board, and the folder of its results within that of the run."""

    url: str
    name: str
    folder: str


def request_of(config: pytest.Config, boards: tuple[str, ...]) -> SuiteRequest:
    """Return what this process is asked to do.

    Raises:
        SuiteError, InputError: it cannot be carried out.
    """
    from hil.checks.suite_request import SuiteRequest, parse_refuse

    paths = {name: None if (text := _option(config, name)) is None else Path(text) for name in _PATHS}
    refuse = tuple(parse_refuse(text) for text in config.getoption("--ks-refuse"))
    chosen = _choose(config, boards, paths["inventory"])
    tier = _option(config, "tier") or "ci"
    return SuiteRequest(
        board=chosen.url,
        package=paths["package"],
        trust=paths["trust"],
        captures=paths["captures"],
        results=None if paths["results"] is None else paths["results"] / chosen.folder,
        profile=_option(config, "profile"),
        frames=config.getoption("--ks-frames"),
        tier=tier,
        loop=config.getoption("--ks-loop"),
        refuse=refuse,
        name=chosen.name,
        wait_s=parse_duration(_option(config, "wait") or "0s"),
    ).checked()


def _choose(config: pytest.Config, boards: tuple[str, ...], inventory: Path | None) -> _Chosen:
    """Return the one board that this process may write to; a pool has a process for each board."""
    from firmware_bridge.host.inventory import read_inventory, resolve_board
    from hil.errors import SuiteError

    named = {} if inventory is None else read_inventory(inventory)
    urls = [resolve_board(board, named, inventory).url for board in boards]
    for number, url in enumerate(urls):
        if url in urls[:number] and url not in ("emu:", "qemu:"):
            raise SuiteError(f"--ks-board {boards[number]} is given twice; a board has one writer")
    workers = config.getoption("numprocesses", None) or 0
    worker = worker_number(config)
    if worker is not None:
        workers = config.workerinput["workercount"]  # type: ignore[attr-defined]
    if workers > len(boards):
        raise SuiteError(
            f"-n {workers} on {len(boards)} board{'s' if len(boards) > 1 else ''}: a board has one writer; repeat "
            "--ks-board for a pool, or leave out -n"
        )
    if len(boards) > max(workers, 1):
        raise SuiteError(f"{len(boards)} boards need a process each: add -n {len(boards)}")
    place = worker or 0
    folder = "" if len(boards) == 1 else f"{place + 1}-{re.sub(r'[^A-Za-z0-9._-]+', '-', boards[place]).strip('-')}"
    return _Chosen(urls[place], boards[place], folder)


def _option(config: pytest.Config, name: str) -> str | None:
    value = config.getoption(f"--ks-{name}")
    if value:
        return str(value)
    default = str(config.getini(f"ks_{name}"))
    if not default:
        return os.environ.get("KS100_INVENTORY") or None if name == "inventory" else None
    # A path in an ini file is meant from that file, not from where pytest was started.
    is_path = name in _PATHS or (name == "profile" and default.endswith(".toml"))
    return str((config.inipath or config.rootpath).parent / default) if is_path else default
