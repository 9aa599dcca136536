"""The JUnit XML that CI systems share: testsuites / testsuite / properties, testcase / failure, error, skipped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

__all__ = ["add_case", "add_properties", "counted", "mark", "new_suite", "write_suites"]

# XML 1.0 forbids these even when escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def new_suite(name: str, time_s: float) -> ET.Element:
    """Return an empty test suite."""
    stamp = datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return ET.Element("testsuite", {"name": _clean(name), "timestamp": stamp})


def add_case(suite: ET.Element, classname: str, name: str, seconds: float) -> ET.Element:
    """Append a test case and return it."""
    attributes = {"classname": _clean(classname), "name": _clean(name), "time": f"{seconds:.3f}"}
    return ET.SubElement(suite, "testcase", attributes)


def mark(case: ET.Element, tag: str, kind: str, message: str, detail: str) -> None:
    """Append ``failure``, ``error`` or ``skipped`` to a case."""
    attributes = {"message": _clean(message)} | ({} if tag == "skipped" else {"type": kind})
    ET.SubElement(case, tag, attributes).text = _clean(detail or message)


def add_properties(suite: ET.Element, facts: dict[str, str]) -> None:
    """Append a suite's properties."""
    holder = ET.SubElement(suite, "properties")
    for name, value in facts.items():
        ET.SubElement(holder, "property", {"name": _clean(name), "value": _clean(value)})


def counted(suite: ET.Element) -> ET.Element:
    """Set the suite's counts from its cases, and return it."""
    cases: Sequence[ET.Element] = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    return suite


def write_suites(suites: Iterable[ET.Element], name: str, path: Path) -> None:
    """Write the suites as one document."""
    root = ET.Element("testsuites", {"name": _clean(name)})
    root.extend(suites)
    for attribute in ("tests", "failures", "errors"):  # Jenkins' schema has no count of skipped ones here
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    ET.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
