"""Output in terminals and CIs that are not UTF-8: replaced characters, and the same exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GRAPH = Path(__file__).parents[2] / "hil/conformance/tiny.tflite"
LOCALES = {
    "ASCII": ({"PYTHONIOENCODING": "ascii"}, "ascii"),
    "the C locale": ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii"),
    "Latin-1": ({"PYTHONIOENCODING": "latin-1"}, "latin-1"),
}


def run(name: str, *arguments: str, before: str = "") -> tuple[int, str, str]:
    changes, encoding = LOCALES[name]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    command = [sys.executable, "-c", f"{before}\nimport sys\nfrom ks100.cli.main import main\nsys.exit(main())"]
    done = subprocess.run([*command, *arguments], env=environment | changes, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


@pytest.mark.parametrize("name", LOCALES)
def test_a_table_is_printed_in_what_the_output_can_hold(name: str) -> None:
    code, out, err = run(name, "cost", str(GRAPH))
    assert (code, err) == (0, "")
    assert ("µs" if name == "Latin-1" else "us") in out


ECHO = """
import click, ks100.cli.main
@click.command()
def echo():
    click.echo("5 \\N{MICRO SIGN}s \\N{CHECK MARK}")
    click.secho("5 \\N{MICRO SIGN}s \\N{CHECK MARK}", fg="red", err=True)
    raise click.UsageError("5 \\N{MICRO SIGN}s \\N{CHECK MARK}")
ks100.cli.main.cli = echo
"""


@pytest.mark.parametrize("name", LOCALES)
def test_lines_and_errors_by_click_are_replaced_alike(name: str) -> None:
    code, out, err = run(name, before=ECHO)
    shown = "5 µs ?" if name == "Latin-1" else "5 us ?"
    assert (code, out) == (2, f"{shown}\n")
    assert err.splitlines()[0] == shown
    assert shown in err.splitlines()[1]
