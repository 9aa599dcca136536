"""Entry point: the command tree, loaded lazily, and the one error boundary that maps errors to exit codes."""

from __future__ import annotations

import difflib
import importlib
import keyword
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from firmware_bridge.errors import BridgeError, InputError, RejectedError, TransferError
from ks100.cli.commands import prepared
from ks100.cli.extras import help_to_install
from ks100.cli.output import JSON_FLAG, ForgivingFile, forgive_closed_output, make_printable, print_json
from ks100.cli.stops import StoppedError, stop_on_signals
from ks100.errors import CustodyError, ExitCode, Ks100Error

__all__ = ["cli", "code_of", "main"]


class _Entry(NamedTuple):
    section: str
    summary: str


# A command's module is imported only when it runs, so that `ks100 --help` is fast.
_COMMANDS = {
    "demo": _Entry(
        "Everything", "Run the complete pipeline on the emulated board, from captures to a measured, signed model."
    ),
    "scenes": _Entry("Data", "Generate captures; look at them."),
    "dataset": _Entry("Data", "Inspect, split and compare real datasets."),
    "hard": _Entry("Data", "Mine hard cases with earlier versions; seal a holdout, show its accesses."),
    "calibration": _Entry("Data", "Draw a calibration set that covers every condition; check one."),
    "train": _Entry("Model", "Train a float network."),
    "zoo": _Entry("Model", "List the trained networks that ship with the project; export one."),
    "quantize": _Entry(
        "Model", "Produce one mixed-precision graph of a float .tflite (PTQ) or a fine-tuned one (QAT)."
    ),
    "finetune": _Entry("Model", "Fine-tune a float graph under a precision plan (QAT), and its float twin."),
    "import": _Entry("Model", "Convert a Keras, TensorFlow, ONNX or PyTorch network to a float graph."),
    "card": _Entry("Model", "Draft the model card of a graph: inputs, classes, decoding."),
    "evaluate": _Entry("Model", "Measure a graph on captures, by condition."),
    "operating-point": _Entry("Model", "Choose the score threshold that guarantees a recall in each condition."),
    "gate": _Entry("Model", "Judge a candidate against its float parent; refuse it if hard cases suffer."),
    "sensitivity": _Entry("Model", "Map which groups of layers quantization hurts, by condition."),
    "plan": _Entry("Model", "Choose the precision plan with minimum loss within latency and power."),
    "cost": _Entry("Model", "Model a graph's latency and power on the board, op by op."),
    "npu": _Entry("Boards", "Fit a board's cost model to measurements."),
    "keys": _Entry("Trust", "Create and show signing keys."),
    "trust": _Entry("Trust", "Create, change and show the trust store of a program."),
    "sign": _Entry("Trust", "Sign a graph into a package (.ksm)."),
    "attach": _Entry("Trust", "Complete a package with a signature made elsewhere."),
    "verify": _Entry("Trust", "Check a package against a trust store, as a board would."),
    "verify-raw": _Entry("Trust", "Verify a bare signature, or a published set of them."),
    "inspect": _Entry("Trust", "Show the contents of a package or graph."),
    "custody": _Entry("Trust", "Show and verify the chain of custody of a package."),
    "emulate": _Entry("Boards", "Run an emulated board, over SSH and a serial line."),
    "boards": _Entry("Boards", "Find, check and manage boards."),
    "provision": _Entry("Boards", "Bind boards to a program by its trust store."),
    "setup": _Entry("Boards", "Set up this machine: udev rules, shell completion."),
    "agent": _Entry("Boards", "Install the agent on a real board, over SSH."),
    "flash": _Entry("Boards", "Push a package to boards, activate and confirm it."),
    "hil": _Entry("Boards", "Measure a board with the hardware-in-the-loop suite; compare two packages, or two runs."),
    "conformance": _Entry("Boards", "Attack a board in every known way, and check that it refuses what it must."),
    "report": _Entry("Boards", "Write report.html, report.json and JUnit XML of a run."),
    "version": _Entry("Everything", "Show the versions of toolkit, protocol, package and files."),
}


class _LazyGroup(click.Group):
    """A group of the commands ``ks100.cli.NAME:command``, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = cmd_name.replace("-", "_") + "_" * keyword.iskeyword(cmd_name)
        command = importlib.import_module(f"ks100.cli.{module}").command
        assert isinstance(command, click.Command)
        return prepared(command, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            close = difflib.get_close_matches(name, _COMMANDS, 1)
            raise click.UsageError(
                f"No such command {name!r}." + (f" Did you mean {close[0]!r}?" if close else ""), ctx
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, _COMMANDS))
        for section in dict.fromkeys(entry.section for entry in _COMMANDS.values()):
            with formatter.section(section):
                rows = [(n.ljust(width), e.summary) for n, e in _COMMANDS.items() if e.section == section]
                formatter.write_dl(rows)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 pass, 1 a limit failed, 2 usage, 3 board or bench fault, 4 rejected by trust, "
    "5 transfer, 6 inconclusive.",
)
@click.version_option(package_name="ks100", message="ks100 %(version)s")
def cli() -> None:
    """Deploy neural networks safely to KS-100 perception boards."""


prepared(cli, "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (see `ks100.errors.ExitCode`). ``KS100_DEBUG=1`` shows tracebacks.

    Args:
        arguments: of the command line; if None, those of this process, whose streams are then set up.
    """
    for quiet in ("TF_CPP_MIN_LOG_LEVEL", "GLOG_minloglevel"):
        os.environ.setdefault(quiet, "3")  # hides TensorFlow's start-up messages
    if arguments is not None:
        return _run(list(arguments))
    make_printable()
    files = forgive_closed_output()
    stop_on_signals()
    return _flushed(_run(sys.argv[1:]), files)


def _run(arguments: list[str]) -> int:
    as_json = JSON_FLAG in arguments
    try:
        result = cli.main(args=arguments, prog_name="ks100", standalone_mode=False)
        return int(result) if isinstance(result, int) else ExitCode.PASS
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt) as stop:
        number = stop.number if isinstance(stop, StoppedError) else signal.SIGINT
        return _say(f"interrupted{': ' if stop.args else ''}{' '.join(map(str, stop.args))}", 128 + number, as_json)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "")
        return ExitCode.PASS
    except click.ClickException as error:
        hint = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "ks100"
        return _say(f"{error.format_message()} (see {hint} --help)", ExitCode.USAGE, as_json)
    except Exception as error:
        if os.environ.get("KS100_DEBUG"):
            raise
        return _fail(error, as_json)


def _flushed(code: int, files: Sequence[ForgivingFile]) -> int:
    """Flush the output; a full disk is a fault, a closed pipe is not."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    trouble = next((file.trouble for file in files if file.trouble is not None), None)
    if trouble is None or code != ExitCode.PASS:
        return code
    return _say(f"the output could not be written: {trouble.strerror}", ExitCode.BOARD_FAULT)


def _fail(error: Exception, as_json: bool) -> int:
    missing = help_to_install(error) if isinstance(error, ModuleNotFoundError) else None
    if missing is not None:
        return _say(missing, ExitCode.USAGE, as_json)
    code = code_of(error)
    if code is not ExitCode.INTERNAL:
        return _say(str(error), code, as_json)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="ks100-bug-", suffix=".txt", delete=False) as stream:
        traceback.print_exception(error, file=stream)
    text = f"a bug in ks100: {type(error).__name__}: {error}; please report it with {Path(stream.name)}"
    return _say(text, code, as_json)


def code_of(error: Exception) -> ExitCode:
    """Return the exit code of an error."""
    match error:
        case RejectedError():
            return ExitCode.REJECTED
        case TransferError():
            return ExitCode.TRANSFER
        case InputError():
            return ExitCode.USAGE
        case BridgeError():
            return ExitCode.BOARD_FAULT
        case CustodyError():
            return ExitCode.REJECTED
        case Ks100Error():
            return ExitCode.USAGE
        case OSError() if error.filename is not None:
            return ExitCode.USAGE
        case RuntimeError() if str(error).startswith("Symlink loop"):  # pathlib's form of ELOOP
            return ExitCode.USAGE
    return _code_of_upper_floors(error)


def _code_of_upper_floors(error: Exception) -> ExitCode:
    """Map the errors of ``hil`` and ``models``, which are imported only after a failure."""
    from hil.errors import HilError, ResultsError
    from models.errors import DataError, ModelsError, RecipeError

    if isinstance(error, ResultsError):
        return ExitCode.BOARD_FAULT
    if isinstance(error, (DataError, RecipeError, HilError)):
        return ExitCode.USAGE
    return ExitCode.LIMIT_FAILED if isinstance(error, ModelsError) else ExitCode.INTERNAL


def _say(text: str, code: int, as_json: bool = False) -> int:
    # Names of files or boards may contain terminal control sequences.
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(text).split()))
    print(f"ks100: {line}", file=sys.stderr)
    if as_json:
        print_json({"error": line, "exit_code": int(code)})
    return int(code)
