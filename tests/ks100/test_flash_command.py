"""``ks100 flash`` with many boards: what each end says, what is tried again, and what an interruption leaves behind."""

from __future__ import annotations

import io
import json
import os
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
    first = bench.flash("--inventory", lab, "--json")
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
    second = bench.flash("--inventory", lab, "--retry-failed", "--json")
    assert second.returncode == 0, second.stderr
    assert [end["board"] for end in events(second, "end")] == ["bad"]

    third = bench.flash("--retry-failed")
    assert third.returncode == 0
    assert "nothing to retry" in third.stderr


def test_plain_lines_and_a_summary_when_it_is_no_terminal(bench):
    done = bench.flash("--board", f"emu:{bench.folder}/a", "--board", "serial:///dev/no-such-port")
    assert done.returncode == 3
    assert f"emu:{bench.folder}/a  push" in done.stderr
    assert "serial:///dev/no-such-port  failed: there is no serial port" in done.stderr
    assert "1 of 2 boards have it, 1 failed" in done.stdout
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
    done = bench.flash("--board", f"emu:{bench.folder}/a", "--json", *stating)
    assert done.returncode == 0, done.stderr
    [end] = events(done, "end")
    statements = [entry.statement for entry in CustodyLog.open(log).entries]
    assert [statement.act for statement in statements] == [Act.PUSH, Act.ACTIVATE]
    assert {statement.parameter("board") for statement in statements} == {end["serial"]}


def test_an_interruption_leaves_the_board_as_it_was(bench):
    board = bench.folder / "board"
    process = bench.start("--board", f"emu:{board}", "--json")
    assert json.loads(process.stdout.readline())["step"] == "connect"
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    [end] = [record for line in rest.splitlines() if (record := json.loads(line))["event"] == "end"]
    assert "runs what it ran before" in end["error"]
    shown = subprocess.run(
        [*COMMAND, "boards", "info", f"emu:{board}"], capture_output=True, text=True, check=True
    ).stdout
    assert "active" not in shown


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "which board?"),
        (("--retry-failed",), "no last run"),
        (("--retry-failed", "--all"), "leave --board and --all away"),
        (("--board", "emu:/tmp/x", "--board", "emu:/tmp/x"), "given twice"),
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


def test_the_live_table_has_one_row_a_board_with_its_latest_state():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with FlashTable(["bench-1", "bench-2", "bench-3"], console) as table:
        progress = TransferProgress(2_000_000, 500_000, 300_000, 92_000.0, 16.3, 2)
        table.show(FlashEvent("bench-1", FlashStep.PUSH, "KS100-0001", progress))
        table.show(FlashEvent("bench-2", FlashStep.FAILED, "", error=BenchError("no [board] there")))
    last = screen.getvalue().split("board")[-2] + screen.getvalue().split("board")[-1]
    rows = {name: [line for line in screen.getvalue().splitlines() if name in line][-1] for name in
            ("bench-1", "bench-2", "bench-3")}  # fmt: skip
    assert "KS100-0001" in rows["bench-1"]
    assert "488/1953" in rows["bench-1"]
    assert "92.0" in rows["bench-1"]
    assert "293 KiB" in rows["bench-1"]
    assert "16 s" in rows["bench-1"]
    assert "failed" in rows["bench-2"]
    assert "waiting" in rows["bench-3"]
    assert "0 done, 1 failed of 3" in last
