"""KS-100: safe deployment of neural networks to embedded perception boards.

The names below are the Python API (`ks100.api`), loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ks100.api import (
        compare,
        evaluate,
        flash,
        judge,
        load_captures,
        open_board,
        quantize,
        read_package,
        run_suite,
        verify,
    )

__all__ = [
    "compare", "evaluate", "flash", "judge", "load_captures", "open_board", "quantize", "read_package", "run_suite",
    "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ks100' has no attribute {name!r}")
    from ks100_start import shadowed

    if line := shadowed():
        raise ImportError(line)
    from ks100 import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
