"""A board's state on a real disk of 6 MiB that can be filled to the last byte, or become read-only."""

from __future__ import annotations

import contextlib
import copy
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from firmware_bridge.agent.service import BoardService
from firmware_bridge.device.graph import Graph
from firmware_bridge.errors import RejectedError
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.protocol import messages as m
from tests.agent.board_kit import Office, boot, graph_bytes, install, message_inputs, push, random_inputs

_SIZE = "6m"


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount it on ``folder``, which needs root; raises OSError where that is not available."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        raise OSError(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, free_bytes: int = 0) -> None:
    """Leave so many bytes free, at most a page more."""
    filler = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with contextlib.suppress(OSError):  # until there is no space
        while True:
            os.write(filler, bytes(4096))
    os.ftruncate(filler, max(0, os.fstat(filler).st_size - free_bytes))
    os.close(filler)
    assert shutil.disk_usage(disk).free <= free_bytes + 4096


def read_only(disk: Path, *, on: bool = True) -> None:
    subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", str(disk)], check=True)


class Prepared:
    """A board with a confirmed model, and another one on a trial that nobody has confirmed."""

    def __init__(self, disk: Path) -> None:
        self.disk, self.state, self.office = disk, disk / "state", Office()
        self.package = self.office.package(graph_bytes(1))
        service = boot(self.state)
        service.provision(self.office.trust())
        install(service, self.package)
        self.inputs = message_inputs(random_inputs(Graph.parse(self.package.payload())))
        self.answer = service.infer(m.Infer(self.inputs)).outputs
        self.large = self.office.package(graph_bytes(3, padding_bytes=64 << 10), version="3")
        service.activate(push(service, self.office.package(graph_bytes(2), version="2")).slot)

    def copied_to(self, disk: Path) -> Prepared:
        """Return the same board on another disk."""
        other = copy.copy(self)
        other.disk, other.state = disk, disk / "state"
        shutil.copytree(self.state, other.state)
        return other

    def boots_as_it_must(self) -> str:
        """Boot once; return what is wrong, ``""`` if nothing is."""
        service: BoardService = boot(self.state)
        if service.info().active != "a":
            return f"it runs slot {service.info().active!r}"
        outputs = service.infer(m.Infer(self.inputs)).outputs
        if outputs != self.answer:
            return "it answers otherwise"
        service.audit(0)
        service.trust()
        try:
            push(service, self.large)
        except OSError:
            return ""  # the server answers with the disk's words
        except RejectedError as error:
            return "" if error.reason is RejectReason.CAPACITY else f"a push was refused for {error}"
        return "a push was taken"


def make_trouble(prepared: Prepared, chance: random.Random) -> None:
    """Bring the disk into one of the states in which a board may have to boot."""
    if chance.random() < 0.5:
        path = prepared.state / f"state.{chance.randrange(2)}"
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 + chance.randrange(255)
        path.write_bytes(data)
    if chance.random() < 0.5:
        (prepared.state / "slots" / "left-over").write_bytes(b"x")
    fill(prepared.disk, chance.choice([0, 0, 1, 4096, 8192]))
    if chance.random() < 0.5:
        read_only(prepared.disk)
