"""The report says what was found: offline, complete, with the source of every figure."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import tests.hil.hil_examples as example
from hil.measurements.measurement import Limit, Verdict
from hil.measurements.results import Check, HilResults, Outcome, SuiteVerdict
from hil.report import write_html, write_json, write_junit
from hil.report.charts.latency import latency_chart
from hil.report.html import render_html
from hil.report.model import DetectionBox, Report, StepState
from hil.report.pictures import detection_picture, disagreement, most_different
from models.captures import Capture, CaptureSet, Conditions, ObjectClass, TruthObject
from models.heads import Detections


class Page(HTMLParser):
    """Collects references, texts, and tags that were left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        if tag not in ("meta", "br", "img", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href") and tag != "a"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def captures() -> CaptureSet:
    random = np.random.default_rng(1)
    items = tuple(
        Capture(f"c{i}", f"s{i}", 32, 24, Conditions((("thermal", "day" if i % 2 else "night"),)),
                (TruthObject(ObjectClass.CAR, (2, 3, 12, 10)), TruthObject(ObjectClass.BUS, (0, 0, 1, 1), ignore=True)))
        for i in range(4)
    )  # fmt: skip
    eo = random.integers(0, 255, (4, 24, 32, 3), np.uint8)
    return CaptureSet.from_arrays("hard", items, eo, random.integers(0, 9000, (4, 24, 32), np.uint16))


FIELDS = fields(Detections)


def detections() -> Detections:
    boxes = np.array([[2, 3, 12, 10], [1, 1, 5, 5]], np.float32)
    scores = np.array([0.8, 0.1], np.float32)
    return Detections(boxes, scores, np.array([3, 0]), scores, scores)


def full_report() -> Report:
    return example.report(pictures=(detection_picture(captures(), 0, {"FP32": detections(), "board": detections()}),))


def test_page_opens_offline_and_is_well_formed() -> None:
    text = render_html(full_report())
    page = Page(text)
    assert page.open == []
    assert page.references
    assert all(reference.startswith(("data:image/png;base64,", "#p1-")) for reference in page.references)
    assert not re.search(r"@import|url\(|<script|<link", text)


def test_page_says_source_and_basis_beside_figures() -> None:
    text = " ".join(" ".join(Page(render_html(full_report())).words).split())
    for words in (
        "EMULATED · modelled · n 600",
        "EMULATED · measured",
        "Every limit holds",
        "Beside the published figures",
    ):
        assert words in text


def test_page_of_a_report_with_nothing_in_it_is_whole() -> None:
    page = Page(render_html(Report("Empty", example.STARTED_S)))
    assert page.open == []


def test_published_figures_stand_beside_what_was_measured_or_beside_nothing() -> None:
    requirements = example.results().requirements
    page = Page(render_html(Report("Empty", example.STARTED_S, board=requirements)))
    assert "not measured" in page.words
    unpublished = example.results(requirements=replace(requirements, published=None))  # type: ignore[type-var]
    text = render_html(example.report(results=unpublished))
    assert "published figures" not in text


def test_page_of_a_board_that_could_not_be_opened_says_why() -> None:
    check = Check("test_identity::test_x", "x", Outcome.ERROR, 0.1, "BenchError: no such port <ttyUSB9>")
    lost = HilResults("serial:///dev/ttyUSB9", "serial", example.STARTED_S, checks=(check,), exit_status=1)
    report = Report("Lost", example.STARTED_S, results=lost)
    assert report.verdict is SuiteVerdict.FAULT
    text = render_html(report)
    assert "no such port &lt;ttyUSB9&gt;" in text
    assert Page(text).open == []


def test_page_escapes_what_others_wrote() -> None:
    evil = replace(example.results().package, model="<script>alert(1)</script>")  # type: ignore[type-var]
    assert "<script>" not in render_html(example.report(results=example.results(package=evil)))


def test_pictures_show_truth_without_ignored_objects_and_detections_over_the_score() -> None:
    picture = detection_picture(captures(), 0, {"FP32": detections()})
    assert [item.label for item in picture.truth] == ["car"]
    assert [(box.label, round(box.score or 0, 1)) for box in picture.panels[0].boxes] == [("car", 0.8)]
    assert picture.eo_image is not None
    assert picture.eo_image.startswith(b"\x89PNG")


def test_pictures_are_those_in_which_the_two_models_differ_most() -> None:
    one, nothing = detections(), replace(detections(), **{f.name: getattr(detections(), f.name)[:0] for f in FIELDS})
    found = {0: (one, one), 1: (one, nothing), 2: (one, one), 3: (nothing, nothing)}
    assert most_different(captures(), found, 2)[0] == 1
    assert disagreement(one, one) == 0.0
    assert disagreement(one, nothing) == disagreement(nothing, one) == pytest.approx(0.8)


def test_json_holds_every_figure_with_its_source_and_no_pixels(tmp_path: Path) -> None:
    write_json(full_report(), tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["verdict"] == "pass"
    assert {m["source"] for m in data["runs"][0]["measurements"]} == {"EMULATED"}
    assert {m["basis"] for m in data["runs"][0]["measurements"]} == {"modelled", "measured"}
    assert data["pictures"][0]["panels"][0]["boxes"]
    assert "image" not in json.dumps(data["pictures"])


def check_junit(path: Path) -> ET.Element:
    """Check the common shape: names, counts that add up, at most one result a case."""
    root = ET.parse(path).getroot()
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite"
        cases = suite.findall("testcase")
        assert {child.tag for child in suite} <= {"properties", "testcase"}
        assert int(suite.attrib["tests"]) == len(cases)
        for tag, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.attrib[count]) == sum(case.find(tag) is not None for case in cases)
        for case in cases:
            assert {"classname", "name", "time"} <= case.attrib.keys()
            assert len(case) <= 1
            assert all("message" in child.attrib for child in case)
    for count in ("tests", "failures", "errors"):
        assert int(root.attrib[count]) == sum(int(suite.attrib[count]) for suite in root)
    return root


def test_junit_tells_a_failed_limit_from_a_broken_bench(tmp_path: Path) -> None:
    checks = (
        Check("test_latency::test_a", "a", Outcome.FAILED, 1.0, "latency_p99 = 90 ms, limit ≤ 80 ms"),
        Check("test_power::test_b", "b", Outcome.ERROR, 1.0, "TransferError: the link broke \x00"),
        Check("test_power::test_c", "c", Outcome.SKIPPED, 0.0, "no captures"),
        Check("test_power::test_d", "d", Outcome.PASSED, 0.0),
    )
    write_junit(example.report(results=example.results(checks=checks, planned=())), tmp_path / "junit.xml")
    root = check_junit(tmp_path / "junit.xml")
    hil = next(suite for suite in root if suite.attrib["name"].startswith("hil"))
    assert [hil.attrib[name] for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "1"]
    assert hil.find("testcase/failure").attrib["message"].startswith("latency_p99 = 90 ms")  # type: ignore[union-attr]
    assert hil.find("testcase/error").attrib["message"].startswith("TransferError")  # type: ignore[union-attr]
    assert any(p.attrib["name"] == "measurement.latency_p99" for p in hil.iter("property"))


def test_junit_of_the_pipeline_fails_for_a_failed_gate_and_step(tmp_path: Path) -> None:
    base = example.report()
    assert base.gate is not None
    report = replace(
        base,
        gate=replace(base.gate, verdict=Verdict.FAIL),
        steps=(replace(base.steps[0], state=StepState.FAILED),),
        measurements=(example.figure("x", 9.0, limit=Limit(high=1.0)),),
    )
    write_junit(report, tmp_path / "junit.xml")
    root = check_junit(tmp_path / "junit.xml")
    assert (root.attrib["failures"], root.attrib["errors"]) == ("2", "1")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, SuiteVerdict.PASS),
        ({"custody_verified": False}, SuiteVerdict.LIMIT_FAILED),
        ({"results": None}, SuiteVerdict.PASS),
        ({"results": example.results(board=None)}, SuiteVerdict.FAULT),
        ({"measurements": (example.figure("x", 2.0, limit=Limit(high=1.0)),)}, SuiteVerdict.LIMIT_FAILED),
    ],
)
def test_report_is_as_bad_as_its_worst_part(change: dict[str, object], verdict: SuiteVerdict) -> None:
    assert example.report(**change).verdict is verdict


def test_write_html_makes_its_folder(tmp_path: Path) -> None:
    write_html(example.report(), tmp_path / "a" / "report.html")
    assert (tmp_path / "a" / "report.html").stat().st_size > 10_000


def test_boxes_keep_their_place_in_the_page() -> None:
    report = full_report()
    assert report.pictures[0].panels[0].boxes[0] == DetectionBox((2.0, 3.0, 12.0, 10.0), "car", pytest.approx(0.8))  # type: ignore[arg-type]
    assert '<rect class="found" x="2.0" y="3.0" width="10.0" height="7.0"/>' in render_html(report)


def test_a_straggler_does_not_flatten_the_histogram_and_is_named() -> None:
    usual = [3.0 + 0.001 * i for i in range(200)]
    chart = latency_chart([*usual, 75.0], 80.0, 16.7)
    assert "1 of 201 frames beyond, slowest 75 ms" in chart
    assert chart.count("frames</title>") > 20
    assert "beyond" not in latency_chart(usual, 80.0, 16.7)


@pytest.mark.parametrize("latencies", [[3.0], [3.0] * 50, [0.04, 90.0]])
def test_latency_chart_of_odd_series_is_well_formed(latencies: list[float]) -> None:
    chart = latency_chart(latencies, 80.0, 16.7)
    assert ET.fromstring(chart).tag.endswith("svg")
    assert "nan" not in chart
