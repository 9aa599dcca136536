"""The host's suite passes on this host, and a host that is lax in any one way does not pass it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hil.conformance.host.command import HostProgram
from hil.conformance.host.runner import HOST_RULES, chosen_host_rules, run_host_conformance
from hil.conformance.report import render_html, write_conformance_junit
from hil.conformance.results import ConformanceResults, Status
from hil.errors import EvidenceError
from ks100.cli.main import main
from tests.conformance import lax_hosts

_PRELOAD = ("ks100.cli.boards", "ks100.cli.flash", "ks100.custody.recorder", "hil.boards", "rich.table")


def found(main: Callable[[Sequence[str]], int], *names: str, limit_s: float = 60.0) -> ConformanceResults:
    return run_host_conformance(HostProgram(main, _PRELOAD, "0"), chosen_host_rules(names), limit_s=limit_s)


def test_this_host_conforms_in_a_case_of_each_kind(tmp_path: Path) -> None:
    results = found(
        main, "info-text/clear-screen", "terminal-text/clipboard", "slot/unknown-name", "no-message/big-integer",
        "installed/zero", "fleet/markup-serial", "line/closes-at-once",
    )  # fmt: skip
    assert [(case.name, case.broken, case.detail) for case in results.cases if case.status.is_failure] == []
    assert results.passed
    assert "The host conforms" in render_html(results)
    write_conformance_junit(results, tmp_path / "junit.xml")
    assert ET.parse(tmp_path / "junit.xml").getroot().get("tests") == "7"


def test_the_suite_is_as_wide_as_it_says() -> None:
    assert len(HOST_RULES) >= 25
    assert sum(len(rule.cases) for rule in HOST_RULES) >= 150
    assert all(len({case.label for case in rule.cases}) == len(rule.cases) for rule in HOST_RULES)


@pytest.mark.parametrize(
    ("lax", "case", "word"),
    [
        (lax_hosts.shows_what_comes, "info-text/clear-screen", "escape"),
        (lax_hosts.takes_any_value, "audit-number/time-1e300", ""),
        (lax_hosts.believes_digests, "installed/zero", ""),
        (lax_hosts.crashes, "info-text/clear-screen", ""),
        (lax_hosts.forgets, "fleet/markup-serial", "records"),
        (lax_hosts.hangs, "info-text/null", "hang"),
    ],
)
def test_a_lax_host_is_caught(lax: Callable[[Sequence[str]], int], case: str, word: str) -> None:
    results = found(lax, case, limit_s=3.0 if lax is lax_hosts.hangs else 60.0)
    assert not results.passed
    assert {Status.PASSED} & set(results.counts) == set()
    assert any(line.startswith(word) for result in results.cases for line in result.broken) or not word


def test_a_class_that_does_not_exist_is_named() -> None:
    with pytest.raises(EvidenceError, match="'nothing'"):
        chosen_host_rules(["nothing"])
