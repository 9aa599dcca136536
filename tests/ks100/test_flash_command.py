"""``ks100 flash`` with many boards: what each end says, what is tried again, and what an interruption leaves behind."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from firmware_bridge.errors import BenchError
from firmware_bridge.host.fleet import FlashEvent, FlashStep
from firmware_bridge.host.transfer import TransferProgress
from ks100.cli.flash_table import FlashTable
from ks100.custody.log import CustodyLog
from ks100.custody.statement import Act

VECTORS = Path(__file__).parents[1] / "vectors"
PACKAGE, TRUST = VECTORS / "accepted-es256.ksm", VECTORS / "trust.store"
GRAPH = "a332448dbad95e23"
COMMAND = [sys.executable, "-c", "import sys; from ks100.cli.main import main; sys.exit(main())"]

pytestmark = pytest.mark.skipif(
    shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None,
    reason="no sshd: apt-get install openssh-server",
)


class Bench:
    """A folder for boards and for what `flash` remembers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}

    def start(self, *arguments: str | Path, package: Path = PACKAGE) -> subprocess.Popen[str]:
        command = [*COMMAND, "flash", str(package), "--trust", str(TRUST), *map(str, arguments)]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
        )

    def flash(self, *arguments: str | Path, package: Path = PACKAGE) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, package=package)
        out, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, errors)

    def inventory(self, **urls: str) -> Path:
        path = self.folder / "lab.yaml"
        path.write_text(
            json.dumps({"targets": {n: {"resources": {"KS100Board": {"url": u}}} for n, u in urls.items()}})
        )
        return path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def events(done: subprocess.CompletedProcess[str], kind: str) -> list[dict]:
    return [record for line in done.stdout.splitlines() if (record := json.loads(line))["event"] == kind]


def test_a_failed_board_stops_no_other_and_only_it_is_retried(bench):
    lab = bench.inventory(good=f"emu:{bench.folder}/good", bad="serial:///dev/no-such-port")
    first = bench.flash("--inventory", lab, "--create", "--events")
    assert first.returncode == 3, first.stderr
    ends = {end["board"]: end for end in events(first, "end")}
    assert ends["good"]["passed"]
    assert ends["good"]["exit_code"] == 0
    assert ends["good"]["serial"].startswith("EMU-")
    assert ends["good"]["digest"].startswith(GRAPH)
    assert ends["bad"]["exit_code"] == 3
    assert "no serial port" in ends["bad"]["error"]
    assert events(first, "summary") == [{"event": "summary", "boards": 2, "passed": 1, "failed": 1}]

    bench.inventory(good=f"emu:{bench.folder}/good", bad=f"emu:{bench.folder}/repaired")
    second = bench.flash("--inventory", lab, "--retry-failed", "--create", "--events")
    assert second.returncode == 0, second.stderr
    assert [end["board"] for end in events(second, "end")] == ["bad"]

    third = bench.flash("--retry-failed")
    assert third.returncode == 0
    assert "nothing to retry" in third.stderr


def test_plain_lines_and_a_summary_when_it_is_no_terminal(bench):
    done = bench.flash("--create", "--board", f"emu:{bench.folder}/a", "--board", "serial:///dev/no-such-port")
    assert done.returncode == 3
    assert f"emu:{bench.folder}/a  push" in done.stderr
    assert "serial:///dev/no-such-port  failed: there is no serial port" in done.stderr
    assert "2 boards: 1 confirmed, 1 failed" in done.stdout
    assert "\x1b[" not in done.stdout + done.stderr


def test_a_refused_package_is_the_gravest_end(bench):
    forged = bench.folder / "forged.ksm"
    data = bytearray(PACKAGE.read_bytes())
    data[-1] ^= 1
    forged.write_bytes(data)
    boards = ("--board", "emu:", "--board", "serial:///dev/no-such-port")
    done = bench.flash("--unchecked", *boards, package=forged)
    assert done.returncode == 4, done.stderr
    assert "chunk" in done.stderr


def test_serials_go_into_the_custody_log(bench):
    key, secret, log = bench.folder / "log.pem", bench.folder / "passphrase", bench.folder / "custody"
    secret.write_text("of a test\n")
    secret.chmod(0o600)
    made = (*COMMAND, "keys", "new", str(key), "--passphrase-file", str(secret))
    subprocess.run(made, check=True, capture_output=True)
    stating = ("--log", log, "--log-key", key, "--log-passphrase-file", secret)
    done = bench.flash("--board", f"emu:{bench.folder}/a", "--create", "--events", *stating)
    assert done.returncode == 0, done.stderr
    [end] = events(done, "end")
    statements = [entry.statement for entry in CustodyLog.open(log).entries]
    assert [statement.act for statement in statements] == [Act.PUSH, Act.ACTIVATE]
    assert {statement.parameter("board") for statement in statements} == {end["serial"]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_the_board_as_it_was_and_the_record_says_so(bench, number):
    board = bench.folder / "board"
    process = bench.start("--board", f"emu:{board}", "--create", "--events")
    assert json.loads(process.stdout.readline())["step"] == "connect"
    process.send_signal(number)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    [end] = [record for line in rest.splitlines() if (record := json.loads(line))["event"] == "end"]
    assert "runs the same model as before" in end["error"]
    [record] = (bench.folder / "state").rglob("*.json")
    [entry] = json.loads(record.read_text())["boards"]
    assert (entry["outcome"], entry["passed"]) == ("FAILED", False)
    shown = subprocess.run(
        [*COMMAND, "boards", "info", f"emu:{board}"], capture_output=True, text=True, check=True
    ).stdout
    assert "active" not in shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "which board?"),
        (("--retry-failed",), "no run to retry"),
        (("--retry-failed", "--all"), "omit --board and --all"),
        (("--board", "emu:/tmp/x", "--board", "emu:/tmp/x"), "given twice"),
        (("--board", "emu:/tmp/x", "--board", "emu:/tmp/../tmp/x?link=serial"), "are the same board"),
        (("--no-activate", "--no-confirm", "--board", "emu:"), "no confirmation"),
        (("--events", "--json", "--board", "emu:"), "exclude each other"),
        (("--board", "http://x"), "not a board's address"),
        (("--inventory", "/no/lab.yaml"), "cannot read the inventory"),
    ],
)
def test_what_is_asked_wrongly_is_said_before_any_board_is_opened(bench, arguments, text):
    done = bench.flash(*arguments)
    assert done.returncode == 2
    assert text in done.stderr


def test_an_unknown_name_is_answered_with_the_inventorys_names(bench):
    lab = bench.inventory(left="ssh://a", right="ssh://b")
    done = bench.flash("--inventory", lab, "--board", "middle")
    assert done.returncode == 2
    assert "it has left, right" in done.stderr


def drawn(boards, events, *, width=80, height=24, encoding="utf-8"):
    """Return the lines of the live table as a terminal of this size shows them at last."""
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="")
    console = Console(file=screen, force_terminal=True, width=width, height=height, color_system=None)
    with FlashTable(boards, console) as table:
        for event in events:
            table.show(event)
    screen.flush()
    lines = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", screen.buffer.getvalue().decode(encoding)).split("\n")
    return [line.strip("\r") for line in lines if line.strip()]


PUSHING = TransferProgress(2_000_000, 500_000, 300_000, 92_000.0, 16.3, 2)


def test_the_live_table_has_one_line_a_board_and_errors_below():
    lines = drawn(
        ["bench-1", "bench-2", "bench-3"],
        [
            FlashEvent("bench-1", FlashStep.PUSH, "KS100-0001", PUSHING),
            FlashEvent("bench-2", FlashStep.FAILED, "", error=BenchError("no [board] there " + 20 * "and more ")),
        ],
    )[-5:]
    assert [line.split()[0] for line in lines[:3]] == ["bench-1", "bench-2", "bench-3"]
    assert "KS100-0001  push" in lines[0]
    assert "25%" in lines[0]
    assert lines[0].endswith("92.0 kB/s  16 s left")
    assert "failed" in lines[1]
    assert "waiting" in lines[2]
    assert lines[3].startswith("bench-2: no [board] there")
    assert lines[4] == "0 done, 1 failed of 3"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (200, 60)])
def test_the_live_table_fits_the_terminal_and_cuts_no_serial_number(width, height):
    boards = [f"emu:/var/lib/lab/boards/number-{n:03}" for n in range(40)]
    serials = [f"KS100-{n:012}" for n in range(40)]
    events = [FlashEvent(b, FlashStep.PUSH, s, PUSHING) for b, s in zip(boards, serials, strict=True)]
    lines = drawn(boards, events, width=width, height=height)
    assert max(map(len, lines)) <= width
    table = lines[-min(height, len(boards) + 1) :]
    assert len(table) <= height
    assert all(re.search(r"number-\d{3} +KS100-\d{12}(?!\d)", line) for line in table[:-1] if "KS100" in line)
    assert "not listed" in table[-1] or height > 40


def test_the_live_table_speaks_ascii_where_the_terminal_does():
    assert "####" in "".join(drawn(["a"], [FlashEvent("a", FlashStep.PUSH, "S1", PUSHING)], encoding="ascii"))
