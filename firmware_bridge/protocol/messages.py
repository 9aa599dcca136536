"""The messages that a host and a board exchange, as values.

A request has exactly one answer, except `Chunk`, which has none unless it is refused. Every request may be
answered by `Refusal` (a rule of trust), `Busy` (another host holds the board) or `Fault` (the board cannot). Wire form:
`firmware_bridge.protocol.codec`. How a field or a message is added: `docs/protocol.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import FaultKind
from firmware_bridge.protocol.ranges import (
    Bytes48,
    Count,
    Digest,
    Milliseconds,
    Milliwatts,
    Seconds,
    SlotName,
    SlotOrNone,
    SlotState,
    UnixTime,
)

__all__ = [
    "ANSWERS",
    "REQUESTS",
    "Activate",
    "Activated",
    "Audit",
    "AuditEntry",
    "BoardInfo",
    "Busy",
    "Chunk",
    "ChunksNeeded",
    "Confirm",
    "Confirmed",
    "Done",
    "Fault",
    "FaultKind",
    "Finish",
    "GetAudit",
    "GetInfo",
    "GetTrust",
    "Hello",
    "Infer",
    "Inferred",
    "Installed",
    "Measure",
    "Measured",
    "Message",
    "Offer",
    "Provision",
    "RailTrace",
    "Reboot",
    "Refusal",
    "SlotInfo",
    "Tensor",
    "TrustState",
    "Welcome",
]


SINCE = "since"
"""Key in the metadata of a field that was added later: the version of the messages that has it first."""


class Message:
    """Base of all messages; a closed set, listed in `REQUESTS` and `ANSWERS`."""

    __slots__ = ()


# --- values inside messages ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """One model slot of a board.

    Attributes:
        name: ``a`` or ``b``.
        state: ``empty``, ``installed`` (verified, never run), ``trial``, ``confirmed`` or ``failed``.
        model: the model's name, or ``""``.
        version: the model's version, or ``""``.
        security_version: the package's rollback index, 0 if empty.
        digest: SHA-256 of the graph, hex, or ``""``.
        waiver: why it may run without a passed gate, as signed; ``""`` if there is no such waiver.
        package_digest: SHA-256 of the whole package, hex, as the custody log names it; ``""`` where that is not known.
    """

    name: SlotName
    state: SlotState
    model: str = ""
    version: str = ""
    security_version: Count = 0
    digest: Digest = ""
    waiver: str = field(default="", metadata={SINCE: 3})
    package_digest: str = field(default="", metadata={SINCE: 3})


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: NumPy dtype name, shape, and C-order little-endian bytes."""

    dtype: str
    shape: tuple[Count, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class RailTrace:
    """Power of one rail over a measurement.

    Attributes:
        rail: the rail's label, as hwmon gives it.
        time_s: sample times on the board's clock, the inference clock, seconds.
        power_mw: samples, milliwatts.
    """

    rail: str
    time_s: tuple[Seconds, ...]
    power_mw: tuple[Milliwatts, ...]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of a board's audit log.

    Attributes:
        index: its number.
        time_s: the board's time, seconds since 1970.
        action: what happened.
        subject: to what.
        result: how it ended.
        link: its chain and the line before it there, see `audit_chain`; ``""`` from older boards.
    """

    index: Count
    time_s: UnixTime
    action: str
    subject: str
    result: str
    link: str = field(default="", metadata={SINCE: 3})


# --- requests -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First message of a host: its newest version of the messages, and its name, which others see when it is busy."""

    version: int
    host: str


@dataclass(frozen=True, slots=True)
class GetInfo(Message):
    """Ask for `BoardInfo`."""


@dataclass(frozen=True, slots=True)
class GetTrust(Message):
    """Ask for `TrustState`."""


@dataclass(frozen=True, slots=True)
class Provision(Message):
    """Install a signed trust store (its bytes). Answer: `Done`."""

    store: bytes


@dataclass(frozen=True, slots=True)
class Offer(Message):
    """Offer a package: the container's first bytes, header through chunk table. Answer: `ChunksNeeded`."""

    head: bytes


@dataclass(frozen=True, slots=True)
class Chunk(Message):
    """One chunk of the offered payload. No answer unless refused.

    Attributes:
        index: position in the chunk table.
        data: the bytes, deflated (raw DEFLATE) when ``deflated``.
    """

    index: int
    data: bytes
    deflated: bool


@dataclass(frozen=True, slots=True)
class Finish(Message):
    """All chunks are sent. Answer: `Installed`."""


@dataclass(frozen=True, slots=True)
class Activate(Message):
    """Switch to this slot and run the trial. Answer: `Activated`."""

    slot: str


@dataclass(frozen=True, slots=True)
class Confirm(Message):
    """Confirm the active slot and raise the rollback floor. Answer: `Confirmed`."""


@dataclass(frozen=True, slots=True)
class Infer(Message):
    """Run the active model once. ``kernels`` is ``optimised`` or ``reference``. Answer: `Inferred`."""

    inputs: dict[str, Tensor]
    kernels: str = "optimised"


@dataclass(frozen=True, slots=True)
class Measure(Message):
    """Run the active model in a paced loop and sample the rails in the same run. Answer: `Measured`.

    Attributes:
        frames: how many inferences are counted.
        warmup: how many run before, not counted.
        rate_hz: frame rate of the pacing; 0 runs back to back.
        idle_s: how long the rails are sampled before the loop, for the idle power.
        inputs: the inputs of each frame; empty runs the package's zero input.
    """

    frames: int
    warmup: int
    rate_hz: float
    idle_s: float
    inputs: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GetAudit(Message):
    """Ask for audit entries from this index on. Answer: `Audit`."""

    since: int = 0


@dataclass(frozen=True, slots=True)
class Reboot(Message):
    """Restart the agent; the board boots its active slot anew. Answer: `Done`, then the link closes."""


# --- answers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """Answer to `Hello`: the version that both ends use from now on."""

    version: Count
    board: str
    serial: str


@dataclass(frozen=True, slots=True)
class BoardInfo(Message):
    """Identity and state of a board.

    Attributes:
        board: kind, the profile's name, e.g. ``ks100``.
        serial: the board's serial number.
        emulated: whether time and power are modelled (True) or come from hardware.
        agent: version of the agent.
        program: the program that its trust store names, or ``""`` before provisioning.
        trust_version: version of its trust store, 0 before provisioning.
        floor: rollback floor of the program.
        capacity_bytes: largest payload that fits.
        runtime: its inference runtime.
        rails: labels of its power rails.
        slots: its model slots.
        active: name of the active slot, or ``""``.
        package_schema: newest schema of a package's manifest that it reads.
    """

    board: str
    serial: str
    emulated: bool
    agent: str
    program: str
    trust_version: Count
    floor: Count
    capacity_bytes: Bytes48
    runtime: RuntimeInfo
    rails: tuple[str, ...]
    slots: tuple[SlotInfo, ...]
    active: SlotOrNone
    package_schema: Count = field(default=1, metadata={SINCE: 2})


@dataclass(frozen=True, slots=True)
class TrustState(Message):
    """The board's signed trust store, or ``b""``."""

    store: bytes


@dataclass(frozen=True, slots=True)
class ChunksNeeded(Message):
    """The package is acceptable so far; these chunks are needed.

    Attributes:
        slot: the spare slot that receives it.
        missing: bitmap, bit ``i`` (LSB first) is set when chunk ``i`` is needed.
    """

    slot: SlotName
    missing: bytes


@dataclass(frozen=True, slots=True)
class Installed(Message):
    """The payload is verified and durable in ``slot``; ``digest`` is the graph's SHA-256, hex."""

    slot: SlotName
    digest: Digest


@dataclass(frozen=True, slots=True)
class Activated(Message):
    """The slot is active, its trial run passed; it waits for `Confirm`."""

    slot: SlotName


@dataclass(frozen=True, slots=True)
class Confirmed(Message):
    """The active slot is confirmed; the floor is now ``floor``."""

    slot: SlotName
    floor: Count


@dataclass(frozen=True, slots=True)
class Inferred(Message):
    """Outputs by name, and the latency on the board's clock, milliseconds."""

    outputs: dict[str, Tensor]
    latency_ms: Milliseconds


@dataclass(frozen=True, slots=True)
class Measured(Message):
    """One measurement run on one clock.

    Attributes:
        start_s: begin of each counted inference, seconds on the board's clock.
        latency_ms: latency of each counted inference, milliseconds.
        idle_from_s: begin of the idle window; it ends at ``idle_to_s``.
        idle_to_s: end of the idle window.
        rails: one trace a rail, same clock.
        npu_ops: how many ops of the graph ran on the NPU (or its model).
        cpu_ops: how many fell to the CPU.
        dropped: rail samples that could not be read.
    """

    start_s: tuple[Seconds, ...]
    latency_ms: tuple[Milliseconds, ...]
    idle_from_s: Seconds
    idle_to_s: Seconds
    rails: tuple[RailTrace, ...]
    npu_ops: Count
    cpu_ops: Count
    dropped: Count


@dataclass(frozen=True, slots=True)
class Audit(Message):
    """Entries of the audit log."""

    entries: tuple[AuditEntry, ...]


@dataclass(frozen=True, slots=True)
class Done(Message):
    """The request was carried out."""


@dataclass(frozen=True, slots=True)
class Refusal(Message):
    """A rule refuses the request: the code of a `RejectReason`, and what exactly was found."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Fault(Message):
    """The board cannot do it: why, and what exactly."""

    kind: FaultKind
    detail: str


@dataclass(frozen=True, slots=True)
class Busy(Message):
    """Another host uses the board: for how many seconds, and its own name for itself."""

    since_s: Seconds
    holder: str


REQUESTS: tuple[type[Message], ...] = (
    Hello, GetInfo, GetTrust, Provision, Offer, Chunk, Finish, Activate, Confirm, Infer, Measure, GetAudit,
    Reboot,
)  # fmt: skip
ANSWERS: tuple[type[Message], ...] = (
    Welcome, BoardInfo, TrustState, ChunksNeeded, Installed, Activated, Confirmed, Inferred, Measured, Audit, Done,
    Refusal, Fault, Busy,
)  # fmt: skip
