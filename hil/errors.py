"""The third floor's errors.

HilError
├── SuiteError      the suite cannot run as asked (options, package, captures)
├── ResultsError    the results cannot be kept (disk full, not writable)
└── EvidenceError   figures that must not be compared or trusted (mixed sources, dropped samples)
"""

from __future__ import annotations

__all__ = ["EvidenceError", "HilError", "ResultsError", "SuiteError"]


class HilError(Exception):
    """Base of every error that this floor raises; its text is one line that names what, where and what to do."""


class SuiteError(HilError):
    """The suite cannot run as it was asked to."""


class ResultsError(HilError):
    """The results of a run cannot be kept."""


class EvidenceError(HilError):
    """Figures that must not be compared or trusted."""
