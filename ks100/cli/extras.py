"""Finding the extra of this distribution that provides a missing module."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires

__all__ = ["help_to_install"]

# Distributions whose modules have other names.
_DISTRIBUTIONS = {"PIL": "pillow", "tensorflow": "tensorflow-cpu"}
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+).*;.*extra == ['\"](?P<extra>\w+)['\"]")


def help_to_install(error: ModuleNotFoundError) -> str | None:
    """Return a message with the module and the command that installs it; None if no extra provides it."""
    module = (error.name or "").partition(".")[0]
    wanted = _DISTRIBUTIONS.get(module, module).lower().replace("_", "-")
    try:
        found = [_REQUIREMENT.match(line) for line in requires("ks100") or ()]
    except PackageNotFoundError:
        return None
    extras = [match["extra"] for match in found if match and match["name"].lower().replace("_", "-") == wanted]
    if not extras:
        return None
    return f'this needs {wanted}, which is not installed; install it with: pip install "ks100[{extras[0]}]"'
