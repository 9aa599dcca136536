# ruff: noqa: E501 - a row of a table is a line
"""Bad inputs: for each place where a command takes something, what people put there by mistake, and the right code.

`SLOTS` has the commands, with ``{}`` where the odd thing goes. A row is a slot with one odd thing; `rows` gives all.
The right code is 2 (usage) unless the slot says otherwise of a kind of oddness. `judge` runs one row in this process.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tests.ks100.odd_files import make_odd_files

__all__ = ["LIMIT_S", "Row", "Verdict", "judge", "prepare", "rows"]

LIMIT_S = 60  # a command that has not ended by then hangs; the machine may be busy

_UNREADABLE = {"garbage", "latin1", "utf16", "nul"}  # bytes of no kind that is known: for the rules of trust to refuse


@dataclass(frozen=True)
class Slot:
    """A place in a command.

    Attributes:
        command: the words, with ``{}`` for the odd thing; ``{package}``, ``{store}`` and ``{graph}`` are good files.
        codes: the right exit code by kind, where it is not 2.
        skip: kinds that are right in this place, or that the place does not tell apart.
        tail: further good words.
    """

    command: str
    codes: Mapping[str, int] = field(default_factory=dict)
    skip: frozenset[str] = frozenset()


def _rejected(*more: str) -> dict[str, int]:
    return dict.fromkeys(_UNREADABLE | set(more), 4)


_CONTENTS = ("empty", "text", "latin1", "garbage", "json_object", "json_list", "json_number", "json_nan", "toml",
             "yaml_bomb", "png", "zip", "utf16", "nul", "pem_rubbish")  # fmt: skip
_NOWHERE = "--board serial:///dev/no-such-port"

FILE_SLOTS = (
    Slot("verify {} --trust {store}", _rejected("empty"), frozenset({"package"})),
    Slot("verify {package} --trust {}", _rejected(), frozenset({"store"})),
    Slot("inspect {}", skip=frozenset({"package", "graph"})),
    Slot("inspect {} --json", skip=frozenset({"package", "graph"})),
    Slot(f"flash {{}} --trust {{store}} {_NOWHERE}", {**_rejected("empty"), "package": 3}),
    Slot(f"flash {{}} --unchecked --trust {{store}} {_NOWHERE}", {**_rejected("empty"), "package": 3}),
    Slot(f"flash {{package}} --trust {{}} {_NOWHERE}", {**_rejected(), "store": 3}),
    Slot("flash {package} --trust {store} --inventory {}"),
    Slot("boards info bench-1 --inventory {}"),
    Slot("trust show {}", _rejected(), frozenset({"store"})),
    Slot("trust add {} {key_pub} --root {key}", _rejected(), frozenset({"store"})),
    Slot("trust add {store} {} --root {key}"),
    Slot("trust init --keys {} --program p --out {new}/o.ksr"),
    Slot("keys show {}"),
    Slot("keys new {new}/k.pem --passphrase-file {}", skip=frozenset({"toml"})),
    Slot("custody show {}", _rejected("empty", "pipe")),
    Slot("custody verify {}", _rejected("empty", "pipe")),
    Slot("custody show {package} --log {}"),
    Slot("custody verify {package} --log {new} --key {}"),
    Slot("verify-raw --public-key {} --message {store} --signature {store}"),
    Slot("verify-raw --public-key {key_pub} --message {store} --signature {}",
         dict.fromkeys((*_CONTENTS, "package", "store", "graph", "pipe"), 4)),
    Slot("verify-raw --vectors {}"),
    Slot("attach {} --signature {store} --public-key {key_pub}", skip=frozenset({"package"})),
    Slot("sign {} --key {key} --program p --waive x --out {new}/o.ksm", skip=frozenset({"graph", "package"})),
    Slot("sign {graph} --key {} --program p --waive x --out {new}/o.ksm"),
    Slot("sign {graph} --key {key} --program p --gate {} --out {new}/o.ksm"),
    Slot("sign {graph} --key {key} --program p --waive x --card {} --out {new}/o.ksm"),
    Slot("card {} --out {new}/c.card.toml", skip=frozenset({"graph", "package"})),
    Slot("card {graph} --out {}", skip=frozenset({"folder"})),
    Slot("import {} --out {new}/imported"),
    Slot("evaluate {graph} --card {} --captures {new}"),
    Slot("sign {graph} --key {key} --program p --waive x --plan {} --out {new}/o.ksm"),
    Slot("sign {graph} --key {key} --program p --waive x --profile {} --out {new}/o.ksm"),
    Slot("provision emu:{new}/none --trust {}", {**_rejected(), "store": 3}),
    Slot("boards provision emu:{new}/none --trust {}", {**_rejected(), "store": 3}),
    Slot("provision ssh://nobody@127.0.0.1:1 --trust {store} --yes --authorize {}"),
    Slot("agent install h --wheel {} --dry-run"),
    Slot(f"hil run {{}} --trust {{store}} {_NOWHERE} --results {{new}}/hil", {**_rejected("empty"), "package": 3}),
    Slot(f"hil run {{package}} --trust {{}} {_NOWHERE} --results {{new}}/hil", {**_rejected(), "store": 3}),
    Slot(f"hil run {{package}} --trust {{store}} --captures {{}} {_NOWHERE} --results {{new}}/hil"),
    Slot("hil compare {} {}"),
    Slot("hil report {}"),
    Slot("hil history list --history {}"),
    Slot("hil history show 1 --history {}"),
    Slot("hil history trend energy_per_frame --history {}"),
    Slot("operating-point {}"),
    Slot("npu fit {}"),
    Slot("npu trace {} {} --out {new}/trace.json"),
    Slot("finetune {} --plan int8 --samples {new} --out {new}/tuned", skip=frozenset({"graph"})),
    Slot("finetune {graph} --plan {} --samples {new} --out {new}/tuned"),
    Slot("report {}"),
    Slot("conformance emu: --expected-failures {} --list", {"empty": 0, "pipe": 0}),
    Slot("cost {}", skip=frozenset({"package", "graph"})),
    Slot("cost {graph} --profile {}"),
    Slot("cost {graph} --plan {}"),
    Slot("gate {}"),
    Slot("gate {} {}"),
    Slot("gate {graph} {graph} --policy {}", skip=frozenset({"empty"})),
    Slot("gate {graph} --cells {}"),
    Slot("scenes sheet {} --out {new}/s.png"),
    Slot("dataset inspect {}"),
    Slot("dataset split {} --part a=1 --out {new}/split"),
    Slot("dataset overlap {} {}"),
    Slot("hard mine {} --previous {graph} --previous {package} --out {new}/mined"),
    Slot("hard seal {}"),
    Slot("calibration build {} --out {new}/cal"),
    Slot("calibration check {} --evaluation {}"),
    Slot("calibration samples {} --captures {new} --out {new}/samples", skip=frozenset({"graph", "package"})),
    Slot("calibration samples {graph} --captures {} --out {new}/samples"),
    Slot("train --captures {} --out {new}/net"),
    Slot("train --captures {new} --recipe {} --out {new}/net"),
    Slot("quantize {} --calibration {new} --plan int8 --out {new}/q.tflite", skip=frozenset({"graph", "package"})),
    Slot("quantize {graph} --calibration {new} --plan {} --out {new}/q.tflite"),
    Slot("evaluate {} --captures {new}", skip=frozenset({"graph", "package"})),
    Slot("evaluate {graph} --captures {}"),
    Slot("evaluate {graph} --captures {new} --cells {}"),
    Slot("sensitivity {} --captures {new}", skip=frozenset({"graph"})),
    Slot("plan {graph} --map {}"),
    Slot("demo --run {new}/demo --recipe {}"),
    Slot("demo --run {new}/demo --policy {}", skip=frozenset({"empty", "pipe"})),
    Slot("demo --run {new}/demo --profile {}"),
    Slot("setup udev --folder {}", skip=frozenset({"folder", "missing", "long", "control"})),
)  # fmt: skip

_ADDRESSES = (
    "", " ", "bench", "http://x", "ftp://x", "ssh://", "ssh://u:p@h", "ssh://h:0x1", "ssh://h:99999", "ssh://h/path",
    "ssh://h?x=1", "ssh://h#f", "ssh://%00", "ssh://h%00", "ssh://" + 64 * "a" + ".lab", "ssh://a..b",
    "ssh://-oProxyCommand=id",
    "serial:", "serial:ttyUSB0", "serial://host/dev/x", "serial:///dev/x?baud=1", "serial:///dev/x?baud=no",
    "serial:///dev/x?fastest=99999999999", "serial:///dev/%00", "emu:/a%00b", "emu:/x?link=usb", "emu:/x?board=", "emu:/x#1",
    "qemu:/x?no=1", "emu:/x?link=", "\udcff", "ssh://\udcff", "emu:/\x1b[2J", "ssh://h\n", "serial:///dev/x?baud=²",
)  # fmt: skip
ADDRESS_COMMANDS = (
    "boards info {}", "boards audit {}", "boards reboot {}", "boards confirm {}", "boards check {}",
    "flash {package} --trust {store} --board {}", "hil run {package} --trust {store} --board {} --results {new}/hil",
    "conformance {} --list", "provision {} --trust {store} --yes",
)  # fmt: skip
_ADDRESS_CODES = {"ssh://" + 64 * "a" + ".lab": 3, "ssh://a..b": 3}  # an SSH configuration may know them

WORDS = (
    ("nosuch", 2), ("boards nosuch", 2), ("flash", 2), ("flash {package}", 2), ("flash {package} --nosuch", 2),
    ("flash {package} --trust {store} --retry-failed --all", 2),
    ("flash {package} --trust {store} --no-activate --no-confirm --board emu:", 2),
    ("flash {package} --trust {store} --events --json --board emu:", 2),
    ("flash {package} --trust {store} --board emu:{new}/x --board emu:{new}/x", 2),
    ("flash {package} --trust {store} --board emu:{new}/none", 3),
    ("boards info emu:{new}/none", 3), ("boards info", 2), ("boards audit emu:{new}/none --since -1", 2),
    ("boards audit emu:{new}/none --since x", 2), ("boards list --watch --json", 2), ("boards activate emu:", 2),
    ("boards activate emu:{new}/none --slot c", 2), ("provision emu:{new}/none", 2),
    ("provision serial:///dev/no-such-port --trust {store} --authorize {key_pub}", 2),
    ("hil run {package} --frames 0", 2), ("hil run {package} --profile nosuch --board emu:", 2), ("hil compare {new}", 2),
    ("conformance emu: --only nosuch", 2), ("conformance emu: extra", 2), ("report {new}", 2), ("demo --pairs x=1", 2),
    ("demo --pairs train=0", 2), ("demo --pairs train", 2), ("demo --recipe nosuch", 2), ("demo --profile nosuch", 2),
    ("demo --seed x", 2), ("scenes generate --out {new}/g --count 0", 2), ("scenes generate --out {new}/g --size 0 0", 2),
    ("scenes generate --out {new}/g --size -5 9", 2), ("scenes generate --out {new}/g --hardness 2", 2),
    ("scenes generate --out {new}/g --hardness nan", 2), ("scenes generate", 2), ("scenes sheet {new}/none --columns 0", 2),
    ("dataset split {new}/none --part a --out {new}/p", 2), ("dataset split {new}/none --part a=2 --out {new}/p", 2),
    ("dataset split {new}/none --part a=nan --out {new}/p", 2), ("hard mine {new}/none --previous {graph} --out {new}/m", 2),
    ("calibration build {new}/none --count 0 --out {new}/c", 2), ("train --captures {new} --recipe nosuch --out {new}/n", 2),
    ("quantize {graph} --plan nosuch --calibration {new} --out {new}/q", 2), ("quantize {graph} --out {new}/q", 2),
    ("quantize {graph} --method nosuch --calibration {new} --out {new}/q", 2), ("evaluate {graph}", 2),
    ("evaluate {graph} --captures {new} --limit 0", 2), ("gate", 2), ("gate {graph} --out {new}/g", 2),
    ("sensitivity {graph} --captures {new} --on-board emu:", 2), ("sensitivity {graph} --captures {new} --batch 0", 2),
    ("sensitivity {graph} --captures {new} --on-board nowhere --key {key}", 2),
    ("plan {graph} --map {new}/none --watts -1", 2), ("plan {graph} --map {new}/none --watts nan", 2),
    ("hil schema extra", 2), ("zoo list extra", 2), ("zoo export nosuch --out {new}/n", 2), ("zoo add {new}/none --pool {new}/none --commit x --out {new}", 2),
    ("cost nosuch-network", 2), ("cost {graph} --profile nosuch", 2), ("cost {graph} --plan nosuch", 2),
    ("cost {graph} --top 0", 2), ("cost {graph} --export {graph}", 2), ("cost {graph} --html /proc/x/y.html", 2),
    ("keys new {key} --passphrase-file {passphrase}", 2), ("keys new {new}/k --algorithm ES1", 2), ("keys new", 2),
    ("keys new {new}/k.pem", 2), ("keys ring {key}", 2), ("trust init --program p", 2),
    ("trust init --keys {new} --program p --version 0", 2), ("trust init --keys {new} --program p --out {store}", 2),
    ("trust revoke {store} zz --reason x --root {key}", 2), ("trust revoke {store} b3 --reason x --root {key}", 2),
    ("trust floor {store} -1 --root {key}", 2), ("trust add {store} {key_pub} --root {key} --from yesterday", 2),
    ("trust rotate {store} --root {key} --new-root {key} --threshold 1", 2),
    ("sign {graph} --program p", 2), ("sign {graph} --key {key}", 2), ("sign {graph} --key {key} --program p", 2),
    ("sign {graph} --key {key} --program p --security-version -1 --waive x", 2),
    ("sign {graph} --key pkcs11:token=T --program p --waive x --passphrase-file {passphrase}", 2),
    ("sign {graph} --key {key} --program p --waive x --runtime nosuch", 2),
    ("sign {graph} --key {key} --program p --waive x --passphrase-file {passphrase} --out {graph}", 2),
    ("sign {graph} --key {key} --digest-out {new}/d --program p --waive x", 2),
    ("attach {package} --signature {store} --public-key {key_pub} --encoding raw", 2), ("verify", 2),
    ("verify {package} --trust {new}/none", 2), ("verify-raw", 2), ("verify-raw --vectors {store} --message {store}", 2),
    ("inspect", 2), ("custody show {package}", 2), ("custody verify {package} --log {new}/none --key {key_pub}", 2),
    ("emulate", 2), ("emulate {key}", 2), ("emulate {new}/e --profile nosuch", 2), ("emulate {new}/e --trust {new}/none", 2),
    ("agent install -- -oProxyCommand=id", 2), ("agent install h", 2), ("setup completion --shell tcsh", 2),
    ("setup udev --folder /proc/nosuch", 2), ("version extra", 2), ("--nosuch", 2), ("scenes pools", 2), ("scenes pools --seed x --out {new}/p", 2), ("scenes pools --out {key}", 2),
    ("hard check {new}/none {graph}", 2), ("hard accesses {new}/none", 2), ("boards rollback", 2), ("boards rollback emu:", 2),
    ("boards rollback emu:{new}/none", 3), ("boards list --nosuch", 2), ("boards list --inventory {new}/none", 2),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row of the table: its name, the words of the command, and the right exit code."""

    name: str
    words: tuple[str, ...]
    code: int


@dataclass(frozen=True)
class Verdict:
    """What became of a row."""

    row: Row
    code: int | str
    seconds: float
    out: str
    error: str

    @property
    def trouble(self) -> str:
        """What is wrong with it, ``""`` when nothing is."""
        if self.code == "hang":
            return f"no end within {LIMIT_S} s"
        if self.code == 70 or isinstance(self.code, str):
            return f"exit {self.code}: {self.error[-300:]}"
        if self.code != self.row.code:
            return f"exit {self.code} instead of {self.row.code}: {self.error[-300:]}"
        if self.code and (not self.error + self.out or "Traceback" in self.error):
            return f"not in words: {self.error[-300:]!r}"
        lines = [line for line in self.error.splitlines() if line.startswith("ks100: ")]
        return "" if len(lines) <= 1 else f"{len(lines)} lines: {self.error[-300:]!r}"


def prepare(folder: Path) -> dict[str, str]:
    """Make the odd and the good files in ``folder``; returns all by name."""
    from firmware_bridge.package.signing import PemSigner

    files = make_odd_files(folder / "files")
    (folder / "new").mkdir()
    (folder / "passphrase").write_text("of a test\n")
    (folder / "passphrase").chmod(0o600)
    PemSigner.generate(folder / "key.pem", "of a test")
    good = {"new": folder / "new", "key": folder / "key.pem", "key_pub": folder / "key.pem.pub",
            "passphrase": folder / "passphrase"}  # fmt: skip
    return {name: str(path) for name, path in (files | good).items()}


def rows(files: Mapping[str, str]) -> Iterator[Row]:
    """Return the whole table for the files of `prepare`."""
    odd = [name for name in files if name not in ("new", "key", "key_pub", "passphrase")]
    for slot in FILE_SLOTS:
        for kind in odd:
            if kind not in slot.skip:
                yield Row(
                    f"{slot.command} with {kind}", _words(slot.command, files[kind], files), slot.codes.get(kind, 2)
                )
    for command in ADDRESS_COMMANDS:
        for address in _ADDRESSES:
            code = 0 if "--list" in command and address in _ADDRESS_CODES else _ADDRESS_CODES.get(address, 2)
            yield Row(f"{command} with {address!r}", _words(command, address, files), code)
    for command, code in WORDS:
        yield Row(command, _words(command, "", files), code)


def _words(command: str, odd: str, files: Mapping[str, str]) -> tuple[str, ...]:
    good = {f"{{{name}}}": path for name, path in files.items()}
    words = []
    for word in command.split():
        for name, path in good.items():
            word = word.replace(name, path)
        words.append(word.replace("{}", odd))
    return tuple(words)


class _HangError(BaseException):
    pass


def judge(row: Row) -> Verdict:
    """Run a row in this process; in the main thread, which an alarm gets out of what hangs."""
    from ks100.cli.main import main

    def alarm(_: int, __: FrameType | None) -> None:
        raise _HangError

    out, errors = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, alarm)
    began_s = time.monotonic()
    signal.alarm(LIMIT_S)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code: int | str = main(list(row.words))
    except _HangError:
        code = "hang"
    except BaseException as error:  # noqa: BLE001  # whatever comes out of main is a defect
        code = f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return Verdict(row, code, time.monotonic() - began_s, out.getvalue(), errors.getvalue())


def main_table() -> None:
    """Print what is wrong, for who changes a command: ``python -m tests.ks100.bad_inputs [TEXT]``."""
    import resource
    import sys
    import tempfile

    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    folder = Path(tempfile.mkdtemp())
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    os.chdir(folder)
    files = prepare(folder)
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    verdicts = [judge(row) for row in rows(files) if wanted in row.name]
    for verdict in verdicts:
        if verdict.trouble:
            sys.stdout.write(f"{verdict.row.name}: {verdict.trouble}\n")
    slow = sorted(verdicts, key=lambda v: -v.seconds)[:10]
    sys.stdout.write(f"{len(verdicts)} rows, {sum(bool(v.trouble) for v in verdicts)} wrong, "
                     f"{sum(v.seconds for v in verdicts):.0f} s\n")  # fmt: skip
    sys.stdout.writelines(f"{v.seconds:6.2f} s {v.row.name}\n" for v in slow)


if __name__ == "__main__":
    main_table()
