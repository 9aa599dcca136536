"""The code and libraries that a function's result depends on: its direct and indirect imports.

Derived from the source: the imports in the function, then the import graph (grimp) of the four packages. Modules named
in a string (``python -m models.scenes.worker``, ``import_module("ai_edge_litert.interpreter")``) and data files beside
a module are included, type-checking imports are not. Nothing is imported or run.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import platform
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from models.reproducible import THREADS, threads

if TYPE_CHECKING:
    import grimp

__all__ = ["PACKAGES", "StepCode", "code_of"]

PACKAGES = ("ks100", "hil", "models", "firmware_bridge")
"""The packages whose modules are followed; everything else is a library, identified by its version."""

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+)*\.?")
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class StepCode:
    """The dependencies of a result.

    Attributes:
        files: SHA-256 (hex) by file, relative to the folder of the packages, and of the function's source.
        libraries: version by distribution, that of Python, and the number of TensorFlow's threads if it is used.
    """

    files: Mapping[str, str]
    libraries: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all dependencies."""
        text = repr((sorted(self.files.items()), sorted(self.libraries.items())))
        return hashlib.sha256(text.encode()).hexdigest()


def code_of(function: Callable[..., Any]) -> StepCode:
    """Return the dependencies of the result of ``function``.

    Args:
        function: a function with its source on disk.
    """
    source = textwrap.dedent(inspect.getsource(function))
    modules, libraries = _followed({*_imported(ast.parse(source)), *_owners(function)})
    files = {file: digest for module in modules for file, digest in _files(module).items()}
    files[f"{function.__module__}:{function.__qualname__}"] = _sha256(source.encode())
    versions = {name: metadata.version(name) for name in sorted(libraries)}
    if "tensorflow_cpu" in versions:
        versions[THREADS] = str(threads())
    return StepCode(dict(sorted(files.items())), {"python": platform.python_version(), **versions})


@cache
def _graph() -> grimp.ImportGraph:
    import grimp

    return grimp.build_graph(
        *PACKAGES, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _followed(names: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the modules of the four packages reachable from ``names``, and the distributions that they use."""
    graph, waiting = _graph(), [*names]
    seen: set[str] = set()
    packages: set[str] = set()
    libraries: set[str] = set()
    while waiting:
        name = waiting.pop()
        root = name.partition(".")[0]
        if root not in PACKAGES:
            libraries.update(_distributions().get(root, ()) if root not in sys.stdlib_module_names else ())
        elif name not in seen:
            seen.add(name)
            waiting += [*graph.find_modules_directly_imported_by(name), *_mentioned(name)]
            # Importing a module runs its parent packages, whose re-exports are not followed.
            packages.update(_packages_of(name))
    return seen | packages, libraries


def _packages_of(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that source code imports by absolute names."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (_module(alias.name) for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield from (_module(f"{module}.{alias.name}") for alias in node.names)


def _module(name: str) -> str:
    """Return the module that is ``name`` or contains it."""
    if name.partition(".")[0] not in PACKAGES or name in _graph().modules:
        return name
    return name.rpartition(".")[0]


def _owners(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the modules of functions and classes that ``function`` uses without importing them itself."""
    if isinstance(function, FunctionType):
        names = {name for code in _codes(function.__code__) for name in code.co_names}
        for name in names & function.__globals__.keys():
            module = getattr(function.__globals__[name], "__module__", None)
            if isinstance(module, str) and module in _graph().modules:
                yield module


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


@cache
def _mentioned(module: str) -> tuple[str, ...]:
    """Return the modules whose full dotted name is a string in ``module``."""
    constants = (node for node in ast.walk(ast.parse(_source(module).read_bytes())) if isinstance(node, ast.Constant))
    texts = {
        node.value
        for node in constants
        if isinstance(node.value, str) and "." in node.value and _DOTTED.fullmatch(node.value)
    }
    return tuple(text for text in texts if text in _graph().modules or _is_of_library(text))


def _is_of_library(name: str) -> bool:
    """Return whether ``name``, or the beginning of an f-string, is a module of an installed library."""
    root, *rest = name.strip(".").split(".")
    if root in PACKAGES or root not in _distributions():
        return False
    spec = find_spec(root)
    places = spec.submodule_search_locations if spec is not None else None
    return not rest or any(True for place in places or () for _ in Path(place).glob("/".join(rest) + "*"))


def _source(module: str) -> Path:
    path = _ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _files(module: str) -> Mapping[str, str]:
    """Return the digest of a module's file, and of the data files beside it and in folders without modules."""
    source = _source(module)
    beside = [path for path in source.parent.iterdir() if path.name != "__pycache__"]
    data = [path for path in beside if path.is_file()]
    for folder in (path for path in beside if path.is_dir()):
        inside = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        if all(path.suffix != ".py" or path.name == "__init__.py" for path in inside):
            data += inside
    found = [source, *(path for path in data if path.suffix != ".py")]
    return {path.relative_to(_ROOT).as_posix(): _sha256(path.read_bytes()) for path in found}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
