"""The session's state machine, as one table: which event leads where, for each role. Everything else is an error.

Knows nothing of frames, windows or time.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["TRANSITIONS", "Event", "Role", "State", "next_state"]


class Role(Enum):
    """Which end of the line speaks."""

    HOST = "host"
    BOARD = "board"


class State(Enum):
    """Where a session is."""

    IDLE = "idle"  # a host that has not begun
    OPENING = "opening"  # a host that waits for the board's grant
    LISTENING = "listening"  # a board without a session
    OPEN = "open"  # messages may flow
    CLOSED = "closed"  # a host whose session ended as it should
    FAILED = "failed"  # a host whose session broke


class Event(Enum):
    """What moves a session on."""

    START = "start"
    OPEN = "open"  # the board got an Open frame
    OPENED = "opened"  # the host got an Opened frame
    CLOSE = "close"  # this end closes
    PEER_CLOSE = "peer close"  # the other end closes
    FAIL = "fail"  # silence, or bytes that break the protocol


TRANSITIONS: dict[Role, dict[State, dict[Event, State]]] = {
    Role.HOST: {
        State.IDLE: {Event.START: State.OPENING, Event.CLOSE: State.CLOSED, Event.FAIL: State.FAILED},
        State.OPENING: {
            Event.OPENED: State.OPEN,
            Event.CLOSE: State.CLOSED,
            Event.PEER_CLOSE: State.FAILED,
            Event.FAIL: State.FAILED,
        },
        State.OPEN: {
            Event.OPENED: State.OPEN,  # repeated, because the first Open was sent twice
            Event.CLOSE: State.CLOSED,
            Event.PEER_CLOSE: State.FAILED,
            Event.FAIL: State.FAILED,
        },
        State.CLOSED: {Event.CLOSE: State.CLOSED, Event.PEER_CLOSE: State.CLOSED, Event.FAIL: State.CLOSED},
        State.FAILED: {Event.CLOSE: State.FAILED, Event.PEER_CLOSE: State.FAILED, Event.FAIL: State.FAILED},
    },
    Role.BOARD: {
        State.LISTENING: {
            Event.OPEN: State.OPEN,
            Event.CLOSE: State.LISTENING,
            Event.PEER_CLOSE: State.LISTENING,
            Event.FAIL: State.LISTENING,
        },
        State.OPEN: {
            Event.OPEN: State.OPEN,  # repeated, or a new session: the host has started anew
            Event.CLOSE: State.LISTENING,
            Event.PEER_CLOSE: State.LISTENING,
            Event.FAIL: State.LISTENING,
        },
    },
}


def next_state(role: Role, state: State, event: Event) -> State | None:
    """Return where ``event`` leads, or None when it means nothing in ``state`` (a stray frame, to be ignored)."""
    return TRANSITIONS[role].get(state, {}).get(event)
