"""The pytest plugin of the hardware-in-the-loop suite: what pytest calls, and the markers.

Without ``--ks-board`` it changes nothing of a test run. With it, results go to ``results.json`` in ``--ks-results``
after every test, and the figures are shown at the end. Pytest's own exit codes stay, but for two that are ks100's: 2
where the run cannot be carried out as asked, 3 where a board or the bench broke. The fixtures are in
`hil.plugin.fixtures`; they may be used by tests of one's own::

    def test_my_limit(ks_installed, ks_board, ks_record):
        ks_record.require(ks_record.figure("my_figure", 1.0, "ms", limit=Limit(high=2.0)))
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from hil.plugin.endings import hear_interrupts
from hil.plugin.options import WRONG_REQUEST, add_options, boards_of, request_of, worker_number
from hil.plugin.stash import RECORDER, REQUEST

if TYPE_CHECKING:
    from hil.checks.suite_request import SuiteRequest
    from hil.measurements.recorder import Recorder

pytest_plugins = ("hil.plugin.fixtures",)

_MARKERS = (
    "ks_needs(*what): skipped unless each of these was given: 'package', 'trust', 'captures', 'refuse'",
    "ks_figures(*names): the figures that a check promises; without a number they are MISSING",
    "ks_tier(name): runs from this tier on: smoke, ci or release; a check without it belongs to every tier",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; with a board given, check the request and start recording."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    boards = boards_of(config)
    if not boards:
        return
    from firmware_bridge.errors import InputError
    from hil.errors import SuiteError
    from hil.plugin.pool import Pool
    from hil.plugin.recording import Recording

    hear_interrupts()
    try:
        request = request_of(config, boards)
    except (InputError, SuiteError) as error:
        pytest.exit(str(error), returncode=WRONG_REQUEST)
    if worker_number(config) is None and config.getoption("numprocesses", None):
        config.pluginmanager.register(Pool(), "ks100-pool")  # the tests run in the workers
        return
    recorder = _recorder(request)
    config.stash[REQUEST] = request
    config.stash[RECORDER] = recorder
    in_pool = worker_number(config) is not None
    config.pluginmanager.register(Recording(recorder, request, in_pool=in_pool), "ks100-recording")


def _recorder(request: SuiteRequest) -> Recorder:
    from hil.boards import host_name
    from hil.measurements.recorder import Recorder, event_writer
    from hil.measurements.results import HilResults
    from hil.measurements.setup import HostFacts

    host = HostFacts.here(host_name())
    results = HilResults(request.board, request.link, time.time(), options=request.described(), host=host)
    return Recorder(results, request.results, event_writer())
