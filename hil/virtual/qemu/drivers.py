"""Two drivers that Debian's kernel lacks, built from its own source: the INA226's, and a bus of chips in memory."""

from __future__ import annotations

from pathlib import Path

from hil.virtual.qemu.packages import SOURCE, Debian, pipe, run

__all__ = ["DRIVERS", "build_drivers"]

DRIVERS = {"i2c-stub": "drivers/i2c/i2c-stub.c", "ina2xx": "drivers/hwmon/ina2xx.c"}
_CROSS = ("ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", "CC=aarch64-linux-gnu-gcc-12")


def build_drivers(kernel: str, work: Path, guest: Debian, host: Debian) -> list[Path]:
    """Build the modules for the guest's ``kernel`` (its release) in the empty folder ``work``; return their paths.

    Raises:
        BenchError: a tool failed.
    """
    common = kernel.rsplit("-", 1)[0] + "-common"
    headers = guest.alone([f"linux-headers-{kernel}", f"linux-headers-{common}"])
    scripts = host.alone(["linux-kbuild-6.1"])  # programs: of the host's architecture
    for package in (*headers, *scripts):
        run(["dpkg-deb", "-x", str(package), str(work / "headers")])
    sources = work / "headers/usr/src"
    makefile = sources / f"linux-headers-{kernel}/Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src", str(sources)))
    modules = work / "modules"
    modules.mkdir()
    _extract(host, modules)
    (modules / "Makefile").write_text(f"obj-m := {' '.join(f'{name}.o' for name in DRIVERS)}\n")
    run(["make", "-C", str(makefile.parent), f"M={modules}", *_CROSS, "modules"])
    return [modules / f"{name}.ko" for name in DRIVERS]


def _extract(host: Debian, into: Path) -> None:
    """Take the drivers' files out of the kernel's source."""
    package = next(path for path in host.alone([SOURCE]) if path.name.startswith(SOURCE))
    files = " ".join(f"'{SOURCE}/{path}'" for path in DRIVERS.values())
    unpack = f"dpkg-deb --fsys-tarfile \"$0\" | tar xO './usr/src/{SOURCE}.tar.xz'"
    pipe(f'{unpack} | tar xJ -C "$1" --strip-components=3 --wildcards {files}', package, into)
