"""Lies in texts and numbers: what a field of a message carries that no honest board would put there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.protocol import messages as m
from hil.conformance.host.board import AUDIT, INFO, WELCOME, Lies
from hil.conformance.host.cases import HostCase, HostRule

__all__ = ["RULES", "TEXTS"]

TEXTS: Mapping[str, str] = {
    "clear-screen": "x\x1b[2J\x1b[Hy",
    "clipboard": "x\x1b]52;c;cm0gLXJm\x07y",
    "title": "x\x1b]0;owned\x1b\\y",
    "c1-control": "x\x9b2Jy",
    "carriage-return": "x\rboard: passed",
    "new-line": "x\nks100: all boards passed\n",
    "backspaces": "failed\b\b\b\b\b\bpassed",
    "null": "x\x00y",
    "bidi": "x\u202egnp.exe\u2066",
    "invisible": "x\u200b\u2060\ufeffy",
    "markup-close": "[/x]",
    "markup-link": "[link=http://example.invalid]x[/link]",
    "markup-open": "[bold red]x\\",
    "html": "<script>alert(1)</script>&amp;",
    "format": "%s%n{0}{x!r}$(id)`id`",
    "path": "../../../../tmp/owned",
    "long": "m" * 4096,
    "wide": "\U0001f4a9" * 2000,
}
_REALS = {"nan": math.nan, "infinite": math.inf, "minus-infinite": -math.inf, "1e300": 1e300, "negative": -5.0}
_WHOLES = {"negative": -1, "most-negative": -(2**63), "beyond": 2**64 - 1}
_INFO, _AUDIT, _CONFIRM = (
    ("boards", "info", "{board}"),
    ("boards", "audit", "{board}"),
    ("boards", "confirm", "{board}"),
)
_FLASH = ("flash", "{package}", "--trust", "{trust}", "--board", "{board}")
_JSON = ("--json",)
_BOARD_FAULT, _REJECTED, _TRANSFER = (3,), (4,), (5,)
_NUMBER_WHY = "a figure that cannot be compared or formatted ends the command with a defect, or passes a limit"
_TEXT_WHY = "a board writes into the terminal, the clipboard or the report of who looks at it"


def _texts(
    name: str, what: str, command: tuple[str, ...], lie: Callable[[str], Lies], codes: tuple[int, ...] = (0,),
    *, terminal: bool = False,
) -> HostRule:  # fmt: skip
    cases = tuple(HostCase(label, command, lie(text), codes, terminal) for label, text in TEXTS.items())
    return HostRule(name, "text", f"{what} is shown as plain text", _TEXT_WHY, cases)


def _numbers(name: str, what: str, command: tuple[str, ...], lies: Mapping[str, Lies]) -> HostRule:
    cases = tuple(HostCase(label, command, lie, _TRANSFER) for label, lie in lies.items())
    return HostRule(name, "number", f"{what} out of range is refused, and named", _NUMBER_WHY, cases)


def _welcome(text: str) -> Lies:
    return Lies({m.Hello: replace(WELCOME, serial=text, board=text)})


def _info(text: str) -> Lies:
    slots = (m.SlotInfo("a", "confirmed", text, text, 1, "11" * 32), m.SlotInfo("b", "empty"))
    runtime = RuntimeInfo(text, text, (text,))
    told = replace(INFO, board=text, serial=text, agent=text, program=text, runtime=runtime, rails=(text,), slots=slots)
    return Lies({m.GetInfo: told})


def _audit(text: str) -> Lies:
    return Lies({m.GetAudit: m.Audit((replace(AUDIT, action=text, subject=text, result=text),))})


def _entry(**fields: object) -> Lies:
    return Lies({m.GetAudit: m.Audit((replace(AUDIT, **fields),))})  # type: ignore[arg-type]


def _changed(**fields: object) -> Lies:
    return Lies({m.GetInfo: replace(INFO, **fields)})  # type: ignore[arg-type]  # lies, some of them in their type


def _slot(**fields: object) -> Lies:
    return _changed(slots=(replace(INFO.slots[0], **fields), INFO.slots[1]))  # type: ignore[arg-type]


RULES = (
    _texts("welcome-text", "the greeting", _INFO, _welcome),
    _texts("welcome-text-flash", "the greeting, while a board is flashed,", _FLASH, _welcome),
    _texts("info-text", "what a board says of itself", _INFO, _info),
    _texts("info-text-json", "what a board says of itself, as JSON,", _INFO + _JSON, _info),
    _texts("audit-text", "the audit log", _AUDIT, _audit),
    _texts("busy-text", "who holds a board", _CONFIRM, lambda t: Lies({m.Confirm: m.Busy(12.0, t)}), _BOARD_FAULT),
    _texts("busy-text-flash", "who holds a board, while it is flashed,", _FLASH,
           lambda t: Lies({m.Offer: m.Busy(12.0, t)}), _BOARD_FAULT),
    _texts("fault-text", "why a board cannot", _CONFIRM,
           lambda t: Lies({m.Confirm: m.Fault(m.FaultKind.STATE, t)}), _BOARD_FAULT),
    _texts("refusal-text", "why a board refuses", _FLASH,
           lambda t: Lies({m.Offer: m.Refusal("signature", t)}), _REJECTED),
    _texts("refusal-code", "a refusal's unknown code", _CONFIRM,
           lambda t: Lies({m.Confirm: m.Refusal(t, "x")}), _BOARD_FAULT),
    _texts("close-text", "the farewell", _INFO, lambda t: Lies({m.GetInfo: lambda s: s.close(t)}), _TRANSFER),
    _texts("terminal-text", "what a board says of itself, on a terminal,", _INFO, _info, terminal=True),
    _texts("terminal-text-flash", "a fault while a board is flashed, on a terminal,", _FLASH,
           lambda t: Lies({m.Offer: m.Fault(m.FaultKind.STATE, t)}), _BOARD_FAULT, terminal=True),
    _numbers("info-number", "a number of what a board says of itself", _INFO, {
        **{f"floor-{label}": _changed(floor=value) for label, value in list(_WHOLES.items())[:2]},
        **{f"trust-version-{label}": _changed(trust_version=value) for label, value in list(_WHOLES.items())[:2]},
        **{f"capacity-{label}": _changed(capacity_bytes=value) for label, value in _WHOLES.items()},
        **{f"security-version-{label}": _slot(security_version=v) for label, v in list(_WHOLES.items())[:2]},
        "package-schema-negative": _changed(package_schema=-1),
    }),
    _numbers("slot", "a slot", _INFO, {
        "unknown-name": _slot(name="c"), "name-is-a-path": _slot(name="../a"), "no-name": _slot(name=""),
        "unknown-state": _slot(state="perfect"), "no-state": _slot(state=""), "digest-short": _slot(digest="11"),
        "digest-upper-case": _slot(digest="AB" * 32), "digest-text": _slot(digest="z" * 64),
        "unknown-active": _changed(active="c"),
    }),
    _numbers("audit-number", "a number of the audit log", _AUDIT, {
        **{f"time-{label}": _entry(time_s=value) for label, value in _REALS.items()},
        "time-year-10000": _entry(time_s=253402300800.0), "index-negative": _entry(index=-1),
    }),
    _numbers("busy-number", "how long a board has been held", _CONFIRM,
             {label: Lies({m.Confirm: m.Busy(value, "x")}) for label, value in _REALS.items()}),
    _numbers("confirmed-number", "a rollback floor", _CONFIRM,
             {label: Lies({m.Confirm: m.Confirmed("b", value)}) for label, value in list(_WHOLES.items())[:2]}),
)  # fmt: skip
