"""The initramfs: busybox, the modules that finding the disk and the network takes, and one script."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from hil.virtual.qemu.packages import pipe

__all__ = ["EARLY_MODULES", "build_initramfs", "in_load_order"]

EARLY_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "virtio_net", "virtio_rng")


def in_load_order(dependencies: str, wanted: Sequence[str]) -> list[str]:
    """Return the paths of modules and of all their dependencies, each after its dependencies.

    Args:
        dependencies: the text of depmod's ``modules.dep``: a module's path, then what it needs, nearest first.
        wanted: names of modules; dashes and underscores are equivalent.
    """
    needs = {}
    for line in dependencies.splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {Path(path).name.split(".")[0].replace("-", "_"): path for path in needs}
    order: dict[str, None] = {}
    for name in wanted:
        path = by_name[name.replace("-", "_")]
        for each in (*reversed(needs[path]), path):
            order[each] = None
    return list(order)


def build_initramfs(modules: Path, busybox: Path, script: Path, work: Path, out: Path) -> None:
    """Write the initramfs (a gzipped cpio archive) to ``out``.

    Args:
        modules: the kernel's folder of modules, with ``modules.dep``.
        busybox: the guest's static busybox.
        script: the first program.
        work: an empty folder.
        out: where it goes.

    Raises:
        BenchError: a tool failed.
    """
    for name in ("bin", "dev", "proc", "root", "lib/modules"):
        (work / name).mkdir(parents=True)
    shutil.copy2(busybox, work / "bin/busybox")
    names = []
    for path in in_load_order((modules / "modules.dep").read_text(), EARLY_MODULES):
        shutil.copy(modules / path, work / "lib/modules")
        names.append(Path(path).name)
    (work / "modules").write_text("".join(f"{name}\n" for name in names))
    shutil.copy(script, work / "init")
    (work / "init").chmod(0o755)
    pipe('find . | sort | cpio -o -H newc -R 0:0 --quiet | gzip -1n > "$0"', out, cwd=work)
