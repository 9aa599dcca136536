"""What other programs read of a run: JUnit by Jenkins and GitLab, JSON by a published schema, Markdown by people."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

import tests.hil.hil_examples as example
from hil.measurements.results import FILE, HilResults
from hil.report import write_junit
from hil.report.markdown import render_markdown
from hil.report.profile import attention_work
from ks100.steps.reporting import _group
from models.record_schema import schema_of
from tests.hil.report_pages import differences, failing_page, full_page, precision

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "hil-results.schema.json"

# Attributes (required ones with !) and children, as junit-10.xsd of Jenkins' xUnit plugin has them.
_RESULT = ({"type", "message"}, set[str]())
JENKINS = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name!", "tests!", "failures!", "errors!", "group", "time", "skipped", "timestamp", "hostname", "id",
         "package", "file", "log", "url"},
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set[str](), {"property"}),
    "property": ({"name!", "value!"}, set[str]()),
    "testcase": ({"name!", "time", "classname", "group"}, {"skipped", "error", "failure", "system-out", "system-err"}),
    "failure": _RESULT, "error": _RESULT, "skipped": _RESULT,
}  # fmt: skip
_TIME = re.compile(r"\d+(\.\d*)?")
# GitLab tells tests apart by these two, and shows one alone of those that are equal.
_GITLAB_IDENTITY = ("classname", "name")


def junit(tmp_path: Path, **changes: object) -> ET.Element:
    write_junit(replace(failing_page(), **changes), tmp_path / "junit.xml")  # type: ignore[arg-type]
    return ET.parse(tmp_path / "junit.xml").getroot()


def test_junit_has_only_what_the_schema_of_jenkins_allows(tmp_path: Path) -> None:
    for element in junit(tmp_path).iter():
        attributes, children = JENKINS[element.tag]
        assert {name.rstrip("!") for name in attributes} >= element.attrib.keys(), element.tag
        assert {name[:-1] for name in attributes if name.endswith("!")} <= element.attrib.keys(), element.tag
        assert children >= {child.tag for child in element}, element.tag
        assert _TIME.fullmatch(element.attrib.get("time", "0"))


def test_junit_names_are_unique_and_the_same_on_every_board_link_and_day(tmp_path: Path) -> None:
    run = replace(example.results(), url="ssh://lab@x:2222")
    found = []
    for results in (example.results(), replace(run, link="serial", started_s=1.9e9)):
        root = junit(tmp_path, results=results)
        names = [(s.attrib["name"], *(c.attrib[k] for k in _GITLAB_IDENTITY)) for s in root for c in s.iter("testcase")]
        assert len(set(names)) == len(names)
        found.append(names)
    assert found[0] == found[1]


def test_results_are_what_the_published_schema_says_and_the_schema_is_the_codes() -> None:
    schema = json.loads(SCHEMA.read_text())
    assert schema == schema_of(FILE, schema["title"]), "run: ks100 hil schema > docs/schemas/hil-results.schema.json"
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    for results in (example.results(), failing_page().results, HilResults("emu:", "ssh", 1.0)):
        assert results is not None
        check.validate(json.loads(json.dumps(results.to_json())))
    for change in ({"schema": 2}, {"url": 7}, {"verdict": "fine"}, {"surprise": 1}):
        with pytest.raises(jsonschema.ValidationError):
            check.validate({**example.results().to_json(), **change})


def test_markdown_says_the_verdict_first_then_what_changed_then_evidence() -> None:
    text = render_markdown(failing_page())
    assert text.startswith("### The run is INCOMPLETE (INCOMPLETE)\n")
    places = [text.index(words) for words in ("MISSING: soak", "Since the baseline", "| latency", "Evidence")]
    assert places == sorted(places)
    assert "| figure\\_worse | 3.5 ms | 3.6 |" in text
    assert "figure\\_same" not in text
    assert "WAIVED" in render_markdown(full_page())


def test_markdown_keeps_what_others_wrote_as_text() -> None:
    package = replace(example.results().package, model="<img src=x> | [a](b)")  # type: ignore[type-var]
    text = render_markdown(example.report(results=example.results(package=package)))
    assert not re.search(r"(?<!\\)<img", text)
    assert "\\<img src=x\\> \\| \\[a\\](b)" in text


def test_the_models_own_name_is_no_attention() -> None:
    assert _group("fusion_small_1/eo_stem_1/convolution") == ""
    assert _group("fusion_small_1/head_8_act_1/Relu6;fusion_small_1/head_8_1/convolution;12") == ""
    assert _group("fusion_small_1/fusion_8_1/fusion_8_query_1/MatMul") == "attention"
    rows = tuple(replace(row, group="attention" if i == 3 else "", macs=10) for i, row in enumerate(precision()[:20]))
    assert attention_work(rows) == 1 / 20
    assert attention_work(tuple(replace(row, group="") for row in rows)) is None


def test_page_shows_each_model_of_five_with_a_mark_of_its_own_and_its_interval() -> None:
    from hil.report.charts.differences import differences_chart

    chart = differences_chart([row for row in differences() if row.pool == "hard"], "FP32")
    root = ET.fromstring(chart)
    marks = [e for e in root.iter() if "dot" in e.attrib.get("class", "") and len(e)]
    assert len(marks) == 5 * 8
    shapes = {(e.tag.rpartition("}")[2], len(e.attrib.get("d", "").split("L"))) for e in marks}
    assert len(shapes) >= 3
    assert all("90 % interval" in "".join(e.itertext()) for e in marks)
