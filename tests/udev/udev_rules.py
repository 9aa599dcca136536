"""Reads udev rules as udev(7) describes them, and applies them to a device tree given as values; enough for here.

Known: ==, !=, =, += on KERNEL, SUBSYSTEM, ACTION, DRIVER, ATTR, ENV, their parents' forms, GOTO, LABEL, SYMLINK, TAG,
GROUP, MODE, IMPORT{builtin}. Anything else raises: a rule that this does not know is not tested by it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

_ENTRY = re.compile(r'\s*([A-Z]+)(?:\{([^}]*)\})?\s*(==|!=|\+=|:=|-=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')
_MATCH = {"ACTION", "KERNEL", "SUBSYSTEM", "DRIVER", "ATTR", "ENV"}
_PARENT_MATCH = {"KERNELS": "name", "SUBSYSTEMS": "subsystem", "DRIVERS": "driver", "ATTRS": "attributes"}
_ASSIGN = {"SYMLINK", "TAG", "GROUP", "MODE", "ENV", "ATTR", "IMPORT", "GOTO", "LABEL"}


@dataclass(frozen=True)
class Entry:
    key: str
    argument: str
    operator: str
    value: str


@dataclass
class Device:
    """One device; ``properties`` start as the kernel gives them, ``parent`` leads to the root."""

    name: str
    subsystem: str
    driver: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    parent: Device | None = None
    builtins: dict[str, dict[str, str]] = field(default_factory=dict)

    def chain(self) -> list[Device]:
        return [self, *(self.parent.chain() if self.parent else [])]


@dataclass
class Outcome:
    symlinks: list[str] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    owner: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)


def parse(text: str) -> list[list[Entry]]:
    rules = []
    for line in text.replace("\\\n", "").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entries, at = [], 0
        while at < len(line):
            found = _ENTRY.match(line, at)
            if found is None:
                raise ValueError(f"not a rule: {line[at:]!r}")
            entries.append(Entry(found[1], found[2] or "", found[3], found[4]))
            at = found.end()
        rules.append(entries)
    labels = [e.value for rule in rules for e in rule if e.key == "LABEL"]
    gotos = {e.value for rule in rules for e in rule if e.key == "GOTO"}
    if len(set(labels)) != len(labels) or gotos - set(labels):
        raise ValueError(f"labels {labels} do not fit the jumps {gotos}")
    return rules


def apply(rules: list[list[Entry]], device: Device, action: str = "add") -> Outcome:
    outcome, jump = Outcome(), ""
    for rule in rules:
        if jump and not any(e.key == "LABEL" and e.value == jump for e in rule):
            continue
        jump = ""
        if not _matches(rule, device, action):
            continue
        for entry in rule:
            if not _is_match(entry):
                jump = _assign(entry, device, outcome) or jump
    return outcome


def _is_match(entry: Entry) -> bool:
    return entry.operator in ("==", "!=")


def _matches(rule: list[Entry], device: Device, action: str) -> bool:
    own = [e for e in rule if _is_match(e) and e.key in _MATCH]
    parents = [e for e in rule if _is_match(e) and e.key in _PARENT_MATCH]
    unknown = [e for e in rule if _is_match(e) and e not in own and e not in parents]
    if unknown:
        raise ValueError(f"unknown match {unknown[0]}")
    # udev(7): all parent matches of one rule must hold for one and the same device.
    holds_for = [d for d in device.chain() if all(_holds(e, _parent_value(e, d)) for e in parents)]
    return bool(holds_for) and all(_holds(e, _own_value(e, device, action)) for e in own)


def _own_value(entry: Entry, device: Device, action: str) -> str | None:
    values = {"ACTION": action, "KERNEL": device.name, "SUBSYSTEM": device.subsystem, "DRIVER": device.driver}
    if entry.key == "ENV":
        return device.properties.get(entry.argument, "")
    return device.attributes.get(entry.argument) if entry.key == "ATTR" else values[entry.key]


def _parent_value(entry: Entry, device: Device) -> str | None:
    value = getattr(device, _PARENT_MATCH[entry.key])
    return value.get(entry.argument) if isinstance(value, dict) else value


def _holds(entry: Entry, value: str | None) -> bool:
    if value is None:
        return False
    # An empty alternative matches the empty value, any other one is a shell pattern.
    found = any(fnmatchcase(value, pattern) for pattern in entry.value.split("|"))
    return found is (entry.operator == "==")


def _assign(entry: Entry, device: Device, outcome: Outcome) -> str:
    if entry.key not in _ASSIGN:
        raise ValueError(f"unknown assignment {entry}")
    value = re.sub(r"\$env\{(\w+)\}", lambda found: device.properties.get(found[1], ""), entry.value)
    match entry.key:
        case "GOTO":
            return value
        case "SYMLINK":
            outcome.symlinks += value.split()
        case "TAG":
            outcome.tags.add(value)
        case "ENV":
            device.properties[entry.argument] = value
        case "ATTR":
            outcome.written[entry.argument] = value
        case "GROUP" | "MODE":
            outcome.owner[entry.key] = value
        case "IMPORT":
            device.properties.update(device.builtins[value])
    return ""
