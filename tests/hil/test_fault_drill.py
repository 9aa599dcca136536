"""The table of the fault drill is that of the faults that the drill tries; `make fault-drill` tries them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.measurements.results import SuiteVerdict
from ks100.errors import verdict_code
from tests.hil.fault_drill import FAULTS, PAGE, Ending, Fault, page, try_fault, wrong
from tests.hil.hil_bench import Bench

_INTERRUPTED = 130


def test_the_documented_table_has_every_fault_with_the_verdict_and_exit_code_that_are_right() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")][1:]
    found = [(row[0].removeprefix("| "), row[1], row[-1].removesuffix(" |")) for row in rows]
    assert found == [(fault.what, fault.verdict, str(fault.code)) for fault in FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_each_fault_ends_with_the_exit_code_of_its_verdict(fault: Fault) -> None:
    if fault.verdict == "none":
        assert fault.code in (2, 3)
    else:
        assert fault.code in (verdict_code(SuiteVerdict(fault.verdict)), _INTERRUPTED)


def test_an_ending_that_is_not_right_is_said_and_the_page_shows_no_folder_of_this_machine() -> None:
    fault = FAULTS[2]
    assert wrong(fault, Ending(0, "pass", ""))
    assert not wrong(fault, Ending(3, "none", "there is no serial port x"))
    assert "/tmp" not in page([(fault, Ending(3, "none", "results cannot be written to /tmp/a/b: no"))])


def test_the_drill_runs_the_real_command(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "p.ksm", tmp_path / "t", tmp_path / "o", tmp_path)
    named = next(fault for fault in FAULTS if fault.what.startswith("a name"))
    assert not wrong(named, try_fault(named, bench, tmp_path))
