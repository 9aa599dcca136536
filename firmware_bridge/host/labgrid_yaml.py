"""YAML as labgrid's environment files are written: ``!template``, and every scalar as its text.

A target named ``007`` or ``no`` is a name, not a number or a truth value. Knows nothing of targets.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Placed", "UnresolvedTemplate", "load_environment"]

_MAX_OPENED = 50_000  # the parser takes minutes for a megabyte of them
_TEMPLATE = "!template"
_MERGE, _NULL = "tag:yaml.org,2002:merge", "tag:yaml.org,2002:null"


class UnresolvedTemplate(str):
    """The text of a ``!template`` that names an unknown variable; an error only where its value is needed."""

    __slots__ = ()


class Placed(dict[str, Any]):
    """A mapping of the file, which knows where it stands.

    Attributes:
        line: of its first key, from 1.
        lines: of each of its keys.
    """

    def __init__(self, content: dict[str, Any], line: int, lines: dict[str, int]) -> None:
        """Take over ``content``."""
        super().__init__(content)
        self.line, self.lines = line, lines


class _Loader(yaml.SafeLoader):
    """A safe loader in which plain scalars are text."""

    # Merging and null keep their meaning, null in values alone: a target may be called so.
    yaml_implicit_resolvers = {  # noqa: RUF012
        "<": yaml.SafeLoader.yaml_implicit_resolvers["<"],
        **{first: [(_NULL, re.compile(r"^(?:~|null|Null|NULL|)$"))] for first in ("~", "n", "N", "")},
    }
    base: Path

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse a key that is there twice; labgrid does so too, plain YAML takes the last."""
        node = super().compose_mapping_node(anchor)
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.composer.ComposerError(None, None, f"{key!r} is there twice", node.start_mark)
        return node


def load_environment(data: bytes, base: Path) -> object:
    """Return the content of an environment file.

    Args:
        data: the file, in UTF-8 or UTF-16 with a mark.
        base: its folder, ``$BASE`` in templates.

    Raises:
        yaml.YAMLError: it is no YAML, or has a tag that is not labgrid's.
    """
    if max(data.count(b"["), data.count(b"{")) > _MAX_OPENED:
        raise yaml.YAMLError("it opens more brackets than a lab has boards")
    loader = _Loader(data)
    loader.base = base
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _template(loader: _Loader, node: yaml.Node) -> str:
    """Substitute what labgrid does: ``$BASE`` and the environment's ``$LG_*``."""
    text = str(loader.construct_scalar(node))  # type: ignore[arg-type]  # raises for other nodes
    known = {name: value for name, value in os.environ.items() if name.startswith("LG_")} | {"BASE": str(loader.base)}
    try:
        return string.Template(text).substitute(known)
    except (KeyError, ValueError):
        return UnresolvedTemplate(text)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Iterator[Placed]:
    """Construct a mapping with its places; a generator, so that one may hold itself by an alias."""
    placed = Placed({}, node.start_mark.line + 1, {})
    yield placed
    loader.flatten_mapping(node)
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else str(loader.construct_object(key, deep=True))
        placed[name] = loader.construct_object(value, deep=True)
        placed.lines[name] = key.start_mark.line + 1


_Loader.add_constructor(_TEMPLATE, _template)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
