"""The input of a start of the QEMU board besides its disks: the project's code, keys and settings, as one tar."""

from __future__ import annotations

import importlib.metadata
import io
import tarfile
import time
from collections.abc import Mapping
from pathlib import Path

import firmware_bridge
import hil
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.errors import InputError
from hil.virtual.ina226 import ADDRESSES, SHUNT_UOHM

__all__ = ["AGENT_TTY", "VIRTUAL", "write_start"]

AGENT_TTY = "/dev/ttyS0"
_GUEST_FILES = Path(__file__).parent / "guest"
VIRTUAL = ("__init__", "clock", "engine", "firmware", "ina226", "noise", "power")
"""The modules of `hil.virtual` that the guest runs."""
_BLOCK_BYTES = 512


def write_start(out: Path, profile: Path, agent: Mapping[str, str], keys: Path) -> None:
    """Write the tar, padded to whole blocks of a disk.

    Args:
        out: where it goes.
        profile: of the kind of board, a TOML file.
        agent: further options of its agent, by name.
        keys: folder with the server's host key and the keys that may log in.
    """
    options = {"state": "/data", "socket": "/run/ks100/agent.sock", "i2c": "/dev/i2c-0", "tty": AGENT_TTY}
    options |= {"profile": f"/run/board/{profile.name}", **agent}
    rails = len(BoardProfile.load(str(profile)).rails)
    if rails > len(ADDRESSES):
        raise InputError(f"the QEMU board has sensors for {len(ADDRESSES)} rails, and the profile has {rails}")
    settings = {
        "NOW_S": str(int(time.time())),
        "RAIL_ADDRESSES": ",".join(f"0x{a:x}" for a in ADDRESSES[:rails]),
        "SHUNT_UOHM": str(SHUNT_UOHM),
        "AGENT_OPTIONS": " ".join(f"--{name} {value}" for name, value in options.items()),
    }
    version = importlib.metadata.version("ks100")
    with tarfile.open(out, "w") as tar:
        _add_text(tar, "settings", "".join(f"{name}='{value}'\n" for name, value in settings.items()))
        metadata = f"Metadata-Version: 2.1\nName: ks100\nVersion: {version}\n"
        _add_text(tar, f"project/ks100-{version}.dist-info/METADATA", metadata)
        tar.add(profile, profile.name)
        tar.add(_GUEST_FILES / "sshd_config", "sshd_config")
        tar.add(_GUEST_FILES / "attach.sh", "attach")
        for name in ("host_ed25519", "authorized_keys"):
            tar.add(keys / name, f"ssh/{name}")
        _add_source(tar, Path(firmware_bridge.__file__).parent, "project/firmware_bridge")
        floor = Path(hil.__file__).parent
        tar.add(floor / "__init__.py", "project/hil/__init__.py")
        for name in VIRTUAL:
            tar.add(floor / f"virtual/{name}.py", f"project/hil/virtual/{name}.py")
    with out.open("ab") as disk:
        disk.truncate(-(-disk.tell() // _BLOCK_BYTES) * _BLOCK_BYTES)


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    item = tarfile.TarInfo(name)
    item.size = len(data)
    tar.addfile(item, io.BytesIO(data))


def _add_source(tar: tarfile.TarFile, folder: Path, name: str) -> None:
    def kept(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if "__pycache__" in item.name else item

    tar.add(folder, name, filter=kept)
