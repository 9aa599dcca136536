"""Building the QEMU board's system: kernel, initramfs and a read-only disk, cached by the digest of their recipe.

python -m hil.virtual.qemu.image     builds it, if it is not there, and prints where it is
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import BridgeError
from hil.virtual.qemu.drivers import build_drivers
from hil.virtual.qemu.initramfs import build_initramfs
from hil.virtual.qemu.packages import GUEST, WHEELS, Debian, fetch_wheels, pipe, require_tools, run

__all__ = ["SITE", "Image", "build_image", "cache_folder"]

SITE = "usr/lib/ks100/site"
"""Where the wheels are in the guest."""

_GUEST_FILES = Path(__file__).parent / "guest"
_UNPACKING = "--keep-directory-symlink --no-same-owner --exclude './usr/share/*'"
_MADE_BY = ("packages", "drivers", "initramfs", "image")
_DISK = "800M"  # sparse
# What only packages' own scripts need, which do not run here, or a board without a screen never does.
_LEFT_OUT = (
    "adduser", "coreutils", "cpio", "debconf", "dpkg", "initramfs-tools", "klibc", "libklibc", "libperl", "linux-base",
    "lsb-base", "media-types", "openssh-client", "passwd", "perl", "procps", "runit", "sensible", "sysvinit", "ucf",
    "udev", "usrmerge",
)  # fmt: skip
_NO_MODULES = ("sound", "drivers/gpu", "drivers/media", "drivers/staging", "drivers/infiniband", "drivers/net/wireless")
_ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n",
    "shadow": "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
}


@dataclass(frozen=True, slots=True)
class Image:
    """A built system.

    Attributes:
        folder: where it is.
    """

    folder: Path

    @property
    def kernel(self) -> Path:
        """The kernel."""
        return self.folder / "kernel"

    @property
    def initramfs(self) -> Path:
        """The initramfs."""
        return self.folder / "initramfs"

    @property
    def disk(self) -> Path:
        """The system's disk (ext4, raw), mounted read-only."""
        return self.folder / "system.ext4"


def cache_folder() -> Path:
    """Return the cache of built systems: ``$XDG_CACHE_HOME/ks100/qemu``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ks100/qemu"


def build_image(progress: Callable[[str], None] = lambda _: None) -> Image:
    """Return the system, built now if it is not in the cache. One build at a time; an interrupted one leaves nothing.

    Args:
        progress: called with the current step.

    Raises:
        BenchError: a tool is missing or failed; with what to do.
        OSError: the cache cannot be written.
    """
    require_tools()
    cache = cache_folder()
    image = Image(cache / _recipe_digest())
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        if not image.folder.exists():
            with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as work:
                _build(Path(work), progress).folder.rename(image.folder)
    return image


def _recipe_digest() -> str:
    """Digest of everything that is written down; Debian's security updates are not: remove the cache to have them."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in (*(here / f"{name}.py" for name in _MADE_BY), *sorted(_GUEST_FILES.glob("*init.sh"))):
        digest.update(path.read_bytes())
    digest.update("".join(f"{name}{importlib.metadata.version(name)}" for name in WHEELS).encode())
    return digest.hexdigest()[:16]


def _build(work: Path, progress: Callable[[str], None]) -> Image:
    built = Image(work / "image")
    built.folder.mkdir()
    progress("fetching Debian's packages for arm64")
    guest = Debian(work / "arm64", "arm64")
    root = work / "root"
    _unpack(guest.with_dependencies(GUEST), root)
    progress("fetching the runtimes' wheels for aarch64")
    fetch_wheels(root / SITE)
    progress("building the drivers of the power sensors")
    modules = next((root / "lib/modules").iterdir())
    (work / "drivers").mkdir()
    host = Debian(work / "host", run(["dpkg", "--print-architecture"]).strip())
    for driver in build_drivers(modules.name, work / "drivers", guest, host):
        shutil.copy(driver, modules)
    progress("writing kernel, initramfs and disk")
    shutil.copy(root / f"boot/vmlinuz-{modules.name}", built.kernel)
    _trim(root, modules)
    run(["depmod", "-b", str(root), modules.name])
    early = _GUEST_FILES / "early-init.sh"
    build_initramfs(modules, root / "bin/busybox", early, work / "initramfs", built.initramfs)
    _furnish(root)
    # As root or under fakeroot: the files on the board's disk belong to its root.
    script = 'chown -R 0:0 "$0"; mke2fs -q -t ext4 -d "$0" -L system "$1" "$2"'
    run(["fakeroot", "sh", "-ec", script, str(root), str(built.disk), _DISK])
    return built


def _unpack(packages: list[Path], root: Path) -> None:
    """Unpack packages onto a root folder with a merged ``/usr``; their scripts do not run."""
    for name in ("bin", "sbin", "lib"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        if not package.name.startswith(_LEFT_OUT):
            pipe(f'dpkg-deb --fsys-tarfile "$0" | tar x -C "$1" {_UNPACKING}', package, root)


def _trim(root: Path, modules: Path) -> None:
    shutil.rmtree(root / "boot")
    for name in _NO_MODULES:
        shutil.rmtree(modules / "kernel" / name, ignore_errors=True)


def _furnish(root: Path) -> None:
    """Add what no package brings: init, accounts, mount points."""
    for name in ("dev", "proc", "sys", "run", "tmp", "root", "data"):
        (root / name).mkdir(exist_ok=True)
    for name, text in _ACCOUNTS.items():
        (root / "etc" / name).write_text(text)
    shutil.copy(_GUEST_FILES / "init.sh", root / "sbin/init")
    (root / "sbin/init").chmod(0o755)
    (root / "bin/sh").unlink(missing_ok=True)
    (root / "bin/sh").symlink_to("busybox")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Build and say where; one line a step."""

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    try:
        image = build_image(say)
    except (BridgeError, OSError) as error:
        say(str(error))
        return 3
    sys.stdout.write(f"{image.folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
