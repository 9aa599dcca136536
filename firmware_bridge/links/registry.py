"""Links that other distributions bring: entry points of the group ``ks100.links``, by the scheme of their URLs.

    [project.entry-points."ks100.links"]
    tcp = "my_lab.tcp:open_tcp"     # def open_tcp(url: str) -> Link

What opens a link raises `InputError` when the URL is wrong, and `BenchError` (or OSError) when nothing answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from firmware_bridge.errors import BenchError, BridgeError, InputError
from firmware_bridge.links.link import Link

__all__ = ["GROUP", "open_registered", "registered_links"]

GROUP = "ks100.links"
_MEMBERS = ("name", "reliable", "read", "write", "close")


@cache
def registered_links() -> Mapping[str, EntryPoint]:
    """Return the entry point of each scheme that an installed distribution registers."""
    return MappingProxyType({entry.name: entry for entry in entry_points(group=GROUP)})


def open_registered(scheme: str, url: str) -> Link:
    """Open the link that ``url`` names, by what its scheme is registered with.

    Raises:
        InputError: the URL is wrong, or what is registered cannot be loaded or is no link.
        BenchError: nothing answers.
    """
    entry = registered_links()[scheme]
    where = f"links of {scheme}: come from {entry.dist.name if entry.dist else 'an unknown distribution'}"
    try:
        opener = entry.load()
    except Exception as error:
        raise InputError(f"{where} ({entry.value}), which cannot be loaded: {_one_line(error)}") from error
    try:
        link = opener(url)
    except BridgeError:
        raise
    except OSError as error:
        raise BenchError(f"{url} cannot be opened: {_one_line(error)}") from error
    except Exception as error:
        raise InputError(f"{where}, which fails at {url}: {type(error).__name__}: {_one_line(error)}") from error
    missing = [member for member in _MEMBERS if not hasattr(link, member)]
    if missing:
        raise InputError(f"{where}, and {entry.value} gives no link: it lacks {', '.join(missing)}")
    opened: Link = link
    return opened


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
