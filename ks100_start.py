"""Where the command ``ks100`` and its pytest plugin begin: is each of our packages the one that Python finds?

A folder ``models`` of one's own, say, in the current directory or on PYTHONPATH, hides ours, and everything fails far
from the cause. So this module stands beside the packages, under a name that nobody else has, and needs only the
standard library until it knows.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["main", "shadowed"]

_PACKAGES = ("firmware_bridge", "models", "hil", "ks100")
_HERE = Path(__file__).resolve().parent
_USAGE = 2


def shadowed() -> str:
    """Return in one line which of the packages is hidden, by what and how to help it; ``""`` if none is."""
    for name in _PACKAGES:
        found = _place(name)
        if found is not None and found != _HERE / name:
            return f"the name {name!r} is taken by {found}, which Python finds before this toolkit's; {_help(found)}"
    return ""


def _place(name: str) -> Path | None:
    """Return the folder or file that ``name`` is imported from."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    place = folders[0] if folders else spec.origin
    return Path(place).resolve() if place else None


def _help(found: Path) -> str:
    if found.parent == Path.cwd():
        return "start from another folder, rename it, or start Python with -P"
    return f"rename it, or take {found.parent} out of Python's path (PYTHONPATH, sys.path)"


def main() -> int:
    """Run the command line; return its exit code."""
    line = shadowed()
    if line:
        sys.stderr.write(f"ks100: {line}\n")
        return _USAGE
    from ks100.cli.main import main as run

    return run()


# --- as pytest's plugin -------------------------------------------------------------------------------------

_line = shadowed()
# A test run that is none of ours goes on without the plugin.
pytest_plugins = () if _line else ("hil.plugin.hooks",)


def pytest_report_header() -> list[str]:
    """Say why the plugin is off."""
    return [f"ks100: the plugin is off: {_line}"] if _line else []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the plugin's options where it is off, to refuse them with the reason."""
    if _line:
        for name in dict.fromkeys(part.partition("=")[0] for part in sys.argv if part.startswith("--ks-")):
            parser.addoption(name, action="append")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a run that asks for the plugin where it is off."""
    if _line and any(part.startswith("--ks-") for part in config.invocation_params.args):
        import pytest

        raise pytest.UsageError(f"ks100: {_line}")


if __name__ == "__main__":
    sys.exit(main())
