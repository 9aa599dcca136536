"""The board runs the ground floor alone: what it imports, and that it needs no more than its own extra."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import firmware_bridge.agent
import firmware_bridge.device
import firmware_bridge.package
import firmware_bridge.protocol
from tests.agent.board_kit import Office

_ROOT = Path(__file__).parents[1]
_ABOVE = ("ks100", "hil", "models")
_NEVER = (*_ABOVE, "paramiko", "serial", "tensorflow", "keras", "click", "rich", "firmware_bridge.host")
_DISTRIBUTION_MODULES = {"ai-edge-litert": "ai_edge_litert", "cbor2": "cbor2", "cryptography": "cryptography",
                         "numpy": "numpy"}  # fmt: skip
# What those packages themselves need.
_INDIRECT = {"cffi", "_cffi_backend", "pycparser", "_cbor2", "backports", "tqdm", "typing_extensions", "packaging"}
# A signer that only the host uses, with its own extra.
_HOST_ONLY = {"firmware_bridge.package.pkcs11"}


def _board_modules() -> list[str]:
    names = []
    for package in (firmware_bridge.agent, firmware_bridge.package, firmware_bridge.protocol, firmware_bridge.device):
        names.append(package.__name__)
        names += [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    return [name for name in names if not name.endswith("__main__") and name not in _HOST_ONLY]


def _run(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_on_the_board_imports_the_floors_above_or_what_only_hosts_need():
    script = """
        import importlib, sys
        for name in sys.argv[1:]:
            importlib.import_module(name)
        print("\\n".join(sys.modules))
    """
    loaded = set(_run(script, *_board_modules()).split())
    assert "firmware_bridge.agent.service" in loaded
    assert not [name for name in _NEVER if name in loaded]


_ONLY = """
    import sys
    allowed = set(sys.argv[1].split(",")) | set(sys.stdlib_module_names) | {"firmware_bridge"}

    class Wall:
        def find_spec(self, name, path=None, target=None):
            top = name.partition(".")[0]
            if top not in allowed and not top.startswith(("_distutils", "__editable__", "sitecustom")):
                raise ModuleNotFoundError(f"{name} is not on a board", name=name)

    sys.meta_path.insert(0, Wall())
    import importlib
    for name in sys.argv[3:]:
        importlib.import_module(name)
    from pathlib import Path
    from firmware_bridge.agent.inference.clock import RealClock
    from firmware_bridge.agent.inference.engine import RuntimeEngine
    from firmware_bridge.agent.identity import BoardIdentity
    from firmware_bridge.agent.inference.rails import HwmonRails
    from firmware_bridge.agent.service import BoardParts, BoardService
    from firmware_bridge.agent.state.storage import LocalStorage
    from firmware_bridge.package.container import PackageFile
    from firmware_bridge.protocol import messages as m
    from firmware_bridge.device.runtime import default_runtime
    folder = Path(sys.argv[2])
    service = BoardService(BoardParts(
        BoardIdentity("ks100", "T1"), 1 << 24, LocalStorage(folder / "board"), RuntimeEngine(default_runtime()),
        RealClock(), HwmonRails(folder), lambda: 0.0))
    service.start()
    service.provision((folder / "trust").read_bytes())
    package = PackageFile.open(folder / "p.ksm")
    service.offer(package.head)
    for index in range(package.chunk_count):
        service.chunk(index, package.chunk(index))
    service.activate(service.finish().slot)
    service.confirm()
    print(service.info().active, service.measure(m.Measure(3, 1, 0.0, 0.0)).latency_ms[0] > 0)
"""


def test_the_board_extra_is_all_that_a_board_needs(tmp_path):
    extra = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["board"]
    named = {line.partition(">")[0].partition("=")[0].strip() for line in extra}
    assert named == set(_DISTRIBUTION_MODULES), "this test knows another extra than pyproject.toml"
    office = Office()
    (tmp_path / "trust").write_bytes(office.trust())
    (tmp_path / "p.ksm").write_bytes(office.package().data)
    allowed = ",".join({*_DISTRIBUTION_MODULES.values(), *_INDIRECT})
    assert _run(_ONLY, allowed, str(tmp_path), *_board_modules()).split() == ["a", "True"]


def test_attach_starts_with_the_standard_library_alone():
    script = """
        import sys
        before = set(sys.modules)
        import firmware_bridge.agent.__main__, firmware_bridge.agent.attach
        print("\\n".join(set(sys.modules) - before))
    """
    loaded = {name.partition(".")[0] for name in _run(script).split()}
    assert loaded <= set(sys.stdlib_module_names) | {"firmware_bridge"}


@pytest.mark.parametrize("command", [[], ["serve"], ["attach"], ["attach", "--socket"]])
def test_the_agents_command_line_says_how_it_is_used(command):
    done = subprocess.run(
        [sys.executable, "-I", "-m", "firmware_bridge.agent", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_the_guest_of_the_qemu_board_has_every_module_that_it_imports():
    from hil.virtual.qemu.start import VIRTUAL

    script = """
        import importlib, sys
        importlib.import_module("hil.virtual.firmware")
        print("\\n".join(sys.modules))
    """
    loaded = {name for name in _run(script).split() if name.split(".")[0] in _ABOVE}
    assert loaded <= {"hil", "hil.virtual", *(f"hil.virtual.{name}" for name in VIRTUAL)}
