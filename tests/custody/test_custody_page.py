"""The page of a chain: every step, a waiver in red, and no markup but its own."""

from dataclasses import replace

from ks100.custody.chain import chain_of
from ks100.custody.page import page_of
from ks100.custody.statement import Act, Artifact, Statement
from tests.custody.test_custody_chain import MANIFEST, PACKAGE, STEPS, write


def test_the_page_shows_every_step_of_the_chain_in_order(log):
    write(log, *STEPS)
    page = page_of(chain_of(PACKAGE, log), MANIFEST)
    places = [page.index(f"<h2>{step}</h2>") for step in STEPS]
    assert places == sorted(places)
    assert PACKAGE in page
    assert "WAIVED" not in page


def test_a_waiver_stands_on_the_page_in_red(log):
    write(log, *STEPS)
    waived = replace(MANIFEST, evidence=replace(MANIFEST.evidence, verdict="FAIL", waiver="bring-up <today>"))
    page = page_of(chain_of(PACKAGE, log), waived)
    assert '<p class="waived">WAIVED: released without a passed gate: bring-up &lt;today&gt;</p>' in page
    assert ".waived { background: #c00" in page


def test_what_people_wrote_is_never_markup(log):
    hostile = Statement(Act.SIGN, (Artifact("<script>", PACKAGE),), parameters=(("<b>", "<i>"),), actor="<u>")
    write(log, hostile)
    page = page_of(chain_of(PACKAGE, log), MANIFEST)
    assert not any(mark in page for mark in ("<script>", "<b>", "<i>", "<u>"))
