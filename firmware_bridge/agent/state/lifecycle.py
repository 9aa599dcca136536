"""Which change of the slots is allowed when: all rules of install, trial, confirmation, fallback and floor, no I/O.

Every function takes a record and returns the next one, to be committed as a whole.

    empty ──received──> installed ──activate──> trial ──confirm──> confirmed
                            ^                     │ │                  │
                            └──not confirmed──────┘ └──fails──> failed <┘ does not verify any more

A trial that was not confirmed does not survive a restart: the board then runs the fallback again, as it does when the
trial fails or the agent dies in it. A new package is never written to the slot that the board would boot from.
"""

from __future__ import annotations

from dataclasses import replace

from firmware_bridge.agent.errors import StateError
from firmware_bridge.agent.state.slot_table import SLOT_NAMES, BoardRecord, SlotRecord, SlotState

__all__ = ["after_restart", "begin_trial", "cleared", "confirmed", "failed", "received", "spare_slot", "trial_passed"]

_OVERWRITE_ORDER = (SlotState.EMPTY, SlotState.FAILED, SlotState.INSTALLED, SlotState.TRIAL, SlotState.CONFIRMED)


def spare_slot(record: BoardRecord) -> str:
    """Return the slot for a new package; never the one that the next boot needs."""
    needed = record.fallback or record.active
    return min(
        (name for name in SLOT_NAMES if name != needed),
        key=lambda name: (_OVERWRITE_ORDER.index(record.slot(name).state), name),
    )


def cleared(record: BoardRecord, slot: str) -> BoardRecord:
    """Return the record before the files of ``slot`` change; if it was on trial, its fallback is active again."""
    emptied = record.with_slot(slot, SlotRecord())
    if record.active == slot:
        return replace(emptied, active=record.fallback, fallback="", trial_passed=False)
    return replace(emptied, fallback="" if record.fallback == slot else record.fallback)


def received(record: BoardRecord, slot: str, facts: SlotRecord) -> BoardRecord:
    """Return the record after a verified package is durable in ``slot``."""
    return record.with_slot(slot, replace(facts, state=SlotState.INSTALLED))


def begin_trial(record: BoardRecord, slot: str) -> BoardRecord:
    """Return the record with which the trial of ``slot`` begins: from now on it is active, with a way back.

    A slot that was confirmed before needs no new confirmation.

    Raises:
        StateError: the slot is empty.
    """
    state = record.slot(slot).state
    if state is SlotState.EMPTY:
        raise StateError(f"slot {slot} is empty; push a package first")
    left = record
    if record.active not in ("", slot) and record.slot(record.active).state is SlotState.TRIAL:
        left = record.with_state(record.active, SlotState.INSTALLED)
    fallback = next((name for name in SLOT_NAMES if name != slot and _is_confirmed(left, name)), "")
    if state is SlotState.CONFIRMED:
        return replace(left, active=slot, fallback="", trial_passed=True)
    return replace(left.with_state(slot, SlotState.TRIAL), active=slot, fallback=fallback, trial_passed=False)


def trial_passed(record: BoardRecord) -> BoardRecord:
    """Return the record after the active slot's trial run has succeeded."""
    return replace(record, trial_passed=True)


def failed(record: BoardRecord, slot: str) -> BoardRecord:
    """Return the record after ``slot`` failed its trial or does not verify; the other one is active if it can be."""
    marked = record.with_state(slot, SlotState.FAILED)
    if record.active != slot:
        return replace(marked, fallback="" if record.fallback == slot else record.fallback)
    other = next((name for name in SLOT_NAMES if _is_confirmed(marked, name)), "")
    return replace(marked, active=other, fallback="", trial_passed=bool(other))


def confirmed(record: BoardRecord) -> BoardRecord:
    """Return the record in which the active slot is confirmed and the floor is raised.

    The floor becomes the largest value that lets every confirmed slot boot, as Android Verified Boot has it; it never
    sinks.

    Raises:
        StateError: nothing is active, or its trial has not passed.
    """
    if not record.active:
        raise StateError("no slot is active; activate one first")
    if not record.trial_passed:
        raise StateError(f"the trial of slot {record.active} has not passed; activate it again")
    confirmed_record = replace(record.with_state(record.active, SlotState.CONFIRMED), fallback="")
    bootable = [slot.security_version for slot in confirmed_record.slots if slot.state is SlotState.CONFIRMED]
    return replace(confirmed_record, floor=max(record.floor, min(bootable)))


def after_restart(record: BoardRecord) -> tuple[BoardRecord, str]:
    """Return the record to boot with, and what became of an unconfirmed trial, ``""`` if there was none."""
    if not record.active or record.slot(record.active).state is not SlotState.TRIAL:
        return record, ""
    slot = record.active
    if not record.trial_passed:
        return failed(record, slot), f"slot {slot}: the agent died in its trial"
    back = failed(record, slot).with_state(slot, SlotState.INSTALLED)
    return back, f"slot {slot}: its trial passed and was not confirmed"


def _is_confirmed(record: BoardRecord, slot: str) -> bool:
    return record.slot(slot).state is SlotState.CONFIRMED
