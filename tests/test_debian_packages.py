"""What a tier needs of Debian is installed where that is allowed, waited for, and named at the end where it is not."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci/debian"
TOOLS = ("grep", "date", "sleep", "mktemp", "tail", "rm", "cat", "ln")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A PATH with a few tools, an apt-get that logs, and nobody's rights but root's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = next(Path(place) / tool for place in ("/usr/bin", "/bin") if (Path(place) / tool).exists())
        (folder / tool).symlink_to(found)
    script(folder / "id", "echo 0")
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def ran(machine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(machine), "KS100_APT_WAIT_S": "20", "TMPDIR": str(machine.parent)}
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def test_another_apt_that_holds_the_lists_is_waited_for(machine: Path) -> None:
    script(
        machine / "apt-get",
        f'echo "$@" >> {machine}/log; [ -e {machine}/second ] || {{ : > {machine}/second; '
        'echo "E: Could not get lock /var/lib/apt/lists/lock" >&2; exit 100; }; '
        f'case "$*" in *install*) ln -s /bin/true {machine}/ks100-tool;; esac',
    )
    end = ran(machine, "ks100-package:ks100-tool", "--", "cat", os.devnull)
    assert (end.returncode, end.stderr) == (0, "")
    log = (machine / "log").read_text().splitlines()
    assert [line.split()[3] for line in log] == ["update", "update", "install"]
    assert all("-o DPkg::Lock::Timeout=20" in line for line in log)


def test_a_tier_whose_packages_could_not_be_installed_says_so_at_its_end_and_ends_as_it_does(machine: Path) -> None:
    script(machine / "apt-get", 'echo "E: Unable to locate package" >&2; exit 100')
    script(machine / "tier", "echo 3 tests passed; exit 3")
    end = ran(machine, "one:ks100-one", "two:ks100-two", "--", "tier")
    assert end.returncode == 3
    assert end.stdout.splitlines()[-1] == "3 tests passed"
    assert end.stderr.splitlines()[-1] == (
        "not tried or not complete, for want of Debian packages: sudo apt-get install one two"
    )


def test_nothing_is_said_or_done_where_all_is_there(machine: Path) -> None:
    end = ran(machine, "coreutils:cat", "--", "cat", os.devnull)
    assert (end.returncode, end.stdout, end.stderr) == (0, "", "")
