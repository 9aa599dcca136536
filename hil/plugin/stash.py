"""Where the plugin keeps the request and the growing results in pytest's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hil.checks.suite_request import SuiteRequest
    from hil.measurements.recorder import Recorder

__all__ = ["RECORDER", "REQUEST"]

REQUEST: pytest.StashKey[SuiteRequest] = pytest.StashKey()
RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()
