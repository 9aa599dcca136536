"""What the QEMU board is made of: Debian's arm64 packages and wheels for aarch64.

Owns the lists and the fetching, which needs no foreign architecture on the host. What becomes of the files is the
business of `hil.virtual.qemu.image`.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from firmware_bridge.errors import BenchError

__all__ = ["GUEST", "SOURCE", "WHEELS", "Debian", "fetch_wheels", "pipe", "require_tools", "run"]

GUEST = (
    "python3.11-minimal", "libpython3.11-stdlib", "busybox-static", "openssh-server", "libstdc++6", "libgomp1",
    "linux-image-arm64",
)  # fmt: skip
SOURCE = "linux-source-6.1"
"""Debian's kernel has neither the driver of the INA226 nor the stub of its bus: both are built from its source."""

WHEELS = (
    "ai-edge-litert", "tflite-runtime", "numpy", "cbor2", "cryptography", "cffi", "pycparser", "flatbuffers",
    "backports.strenum", "typing-extensions",
)  # fmt: skip
_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64", "manylinux_2_34_aarch64")

_TOOLS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "aarch64-linux-gnu-gcc-12": "gcc-12-aarch64-linux-gnu",
    "mke2fs": "e2fsprogs",
    "depmod": "kmod",
    "cpio": "cpio",
    "fakeroot": "fakeroot",
    "make": "make",
    "apt-get": "apt",
    "setpriv": "util-linux",
}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_APT = """\
Dir "{dir}";
Dir::State "{dir}";
Dir::State::status "{dir}/status";
Dir::Cache "{dir}/cache";
Dir::Etc "/etc/apt";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "";
"""


def require_tools() -> None:
    """Check that the host has what building and running the board takes.

    Raises:
        BenchError: with what to install.
    """
    missing = sorted(package for tool, package in _TOOLS.items() if shutil.which(tool, path=_PATH) is None)
    if missing:
        raise BenchError(f"the QEMU board needs Debian's {', '.join(missing)}; apt-get install {' '.join(missing)}")


class Debian:
    """Packages of one architecture, from the host's own sources, in a folder; the host's system is left alone."""

    def __init__(self, folder: Path, architecture: str) -> None:
        """Read the package lists."""
        self._folder = folder.resolve()
        for part in ("lists/partial", "cache/archives/partial"):
            (self._folder / part).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        config = self._folder / "apt.conf"
        config.write_text(_APT.format(dir=self._folder, architecture=architecture))
        self._environment = {"APT_CONFIG": str(config)}
        run(["apt-get", "-q", "update"], environment=self._environment)

    def with_dependencies(self, names: Sequence[str]) -> list[Path]:
        """Fetch packages and all that they depend on."""
        run(["apt-get", "-q", "-y", "install", "--download-only", *names], environment=self._environment)
        return sorted((self._folder / "cache/archives").glob("*.deb"))

    def alone(self, names: Sequence[str]) -> list[Path]:
        """Fetch just these packages."""
        into = self._folder / "alone"
        into.mkdir(exist_ok=True)
        run(["apt-get", "-q", "download", *names], environment=self._environment, cwd=into)
        return sorted(into.glob("*.deb"))


def fetch_wheels(into: Path) -> None:
    """Install the board's wheels for aarch64 under ``into``, at the versions that are installed here."""
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in WHEELS]
    platforms = [option for platform in _PLATFORMS for option in ("--platform", platform)]
    run([
        sys.executable, "-P", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp", *platforms,
        "--target", str(into), *pins,
    ])  # fmt: skip


def run(
    command: Sequence[str], *, environment: dict[str, str] | None = None, cwd: Path | None = None, text: str = ""
) -> str:
    """Run a tool and return what it prints.

    Raises:
        BenchError: it failed; with the last line that it said.
    """
    done = subprocess.run(
        command, cwd=cwd, env={"PATH": _PATH, "LC_ALL": "C", **_kept(), **(environment or {})}, input=text,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise BenchError(f"building the QEMU board: {Path(command[0]).name} failed: {' '.join(said)}")
    return done.stdout


def pipe(script: str, *arguments: Path | str, cwd: Path | None = None) -> None:
    """Run a line of shell in which each part of a pipe must succeed; ``$0``, ``$1``, ... are the arguments.

    Raises:
        BenchError: it failed.
    """
    run(["bash", "-euo", "pipefail", "-c", script, *map(str, arguments)], cwd=cwd)


def _kept() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "http", "HTTP", "HOME"))}
