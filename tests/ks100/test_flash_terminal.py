"""``ks100 flash`` of three boards as a person sees it: a terminal of 80x24, without colour, in a pipe, resized midway.

The terminal is tmux's, the boards are real agents behind real SSH servers, and a disk that takes its time.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from firmware_bridge.agent.daemon import run_daemon
from firmware_bridge.agent.state.storage import LocalStorage
from tests.links.own_sshd import SSHD, OwnSshd
from tests.powercut.board import boot
from tests.powercut.signing_kit import SigningKit

# A screen is looked at while boards are flashed: on a busy machine the moment can be missed.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        shutil.which("tmux") is None or not os.access(SSHD, os.X_OK),
        reason="no tmux or no sshd: apt-get install tmux openssh-server",
    ),
]

_SERIALS = ("KS100-0001", "KS100-0002", "KS100-0003")
_CHUNK_S = 0.06
_LIMIT_S = 60.0


class SlowDisk(LocalStorage):
    def write(self, name, data):
        time.sleep(_CHUNK_S if name.startswith("chunks/") else 0)
        super().write(name, data)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Three boards that are provisioned, their inventory, and a package of 37 chunks: about two seconds a push."""
    folder, kit, stop = tmp_path_factory.mktemp("bench"), SigningKit(), threading.Event()
    (folder / "trust.ksr").write_bytes(kit.trust())
    (folder / "package.ksm").write_bytes(kit.package(1, noise_bytes=600_000).data)
    targets, servers, agents = {}, [], []
    for number, serial in enumerate(_SERIALS, start=1):
        place = folder / f"b{number}"
        place.mkdir()
        service = boot(SlowDisk(place / "state"), serial=serial)
        service.provision(kit.trust())
        agent = threading.Thread(target=run_daemon, args=(service, str(place / "s")), kwargs={"stop": stop})
        agent.start()
        agents.append(agent)
        attach = f"{sys.executable} -I -m firmware_bridge.agent attach --socket {place}/s"
        servers.append(OwnSshd(place, attach))
        files = f"identity={place}/id&known_hosts={place}/known_hosts&config=/dev/null"
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{servers[-1].port}?{files}"
        targets[f"bench-{number}"] = {"resources": {"KS100Board": {"url": url}}}
    (folder / "lab.yaml").write_text(json.dumps({"targets": targets}))
    yield folder
    for server in servers:
        server.stop()
    stop.set()
    for agent in agents:
        agent.join(5)


class Terminal:
    """A window of tmux, 80x24, in which one command runs; its server is this test's own."""

    def __init__(self, folder: Path, command: str, **environment: str) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        env = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        # readline, which pytest loads, exports the size of its own terminal.
        run = f"env -u COLUMNS -u LINES XDG_STATE_HOME={folder} {env} sh -c {shlex.quote(command)}"
        script = f"{run}; echo exit $?; sleep {_LIMIT_S}"
        self._do("new-session", "-d", "-x", "80", "-y", "24", script)

    def _do(self, *arguments: str) -> str:
        done = subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    def resize(self, columns: int, lines: int) -> None:
        self._do("resize-window", "-x", str(columns), "-y", str(lines))

    def screen(self, *, colours: bool = False) -> str:
        return self._do("capture-pane", "-p", *(["-e"] if colours else []))

    def wait_for(self, pattern: str) -> str:
        end_s = time.monotonic() + _LIMIT_S
        while not re.search(pattern, shown := self.screen()):
            assert time.monotonic() < end_s, shown
            time.sleep(0.05)
        return shown

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


def flash(folder: Path, more: str = "") -> str:
    tool = Path(sys.executable).with_name("ks100")
    return (
        f"{tool} flash {folder}/package.ksm --trust {folder}/trust.ksr --inventory {folder}/lab.yaml --reinstall {more}"
    )


def assert_ends(screen: str) -> None:
    for number, serial in enumerate(_SERIALS, start=1):
        assert len(re.findall(rf"bench-{number} +{serial} +confirmed +[ab] +\d+\.\d +0", screen)) == 1, screen
    assert "3 boards: 3 confirmed" in screen, screen
    assert "exit 0" in screen, screen


def test_a_live_line_for_each_board_then_the_table_of_ends(bench, tmp_path):
    with Terminal(tmp_path, flash(bench)) as terminal:
        live = terminal.wait_for(r"bench-3 .* \d+% +[\d.]+ kB/s")
        for number in (1, 2, 3):
            assert len(re.findall(rf"^bench-{number} ", live, re.MULTILINE)) == 1, live
        assert "0 failed of 3" in live, live
        assert_ends(terminal.wait_for("exit 0"))


def test_a_terminal_that_is_made_narrow_in_the_middle_still_shows_each_board_whole(bench, tmp_path):
    with Terminal(tmp_path, flash(bench)) as terminal:
        terminal.wait_for(r"bench-3 .* \d+% ")
        terminal.resize(60, 20)
        terminal.wait_for(
            rf"(?m)^bench-3 +{_SERIALS[2]} +(?:push|activate|confirm|done) +\d+% +[\d.]+ kB/s"
        )  # without its bar: 60 columns
        assert_ends(terminal.wait_for("exit 0"))


def test_without_colour_nothing_is_coloured(bench, tmp_path):
    with Terminal(tmp_path, flash(bench), NO_COLOR="1") as terminal:
        terminal.wait_for(r"bench-3 .* \d+% ")
        assert not re.search(r"\x1b\[[\d;]*3\dm", terminal.screen(colours=True))
        assert_ends(terminal.wait_for("exit 0"))


def test_in_a_pipe_there_are_lines_and_no_control_characters(bench, tmp_path):
    kept = tmp_path / "kept.txt"
    with Terminal(tmp_path, f"{flash(bench)} 2>&1 | tee {kept}") as terminal:
        terminal.wait_for("exit 0")
    text = kept.read_text()
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text), text
    steps = re.findall(r"^bench-2  (connect|push|activate|confirm|done)$", text, re.MULTILINE)
    assert steps == ["connect", "push", "activate", "confirm", "done"], text
    assert_ends(f"{text}\nexit 0")
