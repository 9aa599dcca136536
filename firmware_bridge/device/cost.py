"""What one inference of a graph costs on a board, by a model: latency and energy of each operation.

The model is a roofline with fixed costs. For an operation with M multiply-accumulates and E output elements in a
type, on an engine that keeps a fraction u of its units busy, and B bytes to and from DRAM:

    time   = fixed + max(M / (rate u), E / element rate, B / DRAM bandwidth)     with M > 0
             fixed + max(E / (element rate u), B / DRAM bandwidth)              without
    energy = M mac_pj + E element_pj + B dram_pj_per_byte

Weights come from DRAM once a frame, in the type in which the kernel reads them; an activation does only when it is
larger than half of the SRAM (the operation needs room for what it reads beside what it writes). What the NPU does
not run falls to the CPU, with a handover.
The roofline is that of Williams et al., CACM 2009. These figures are modelled: a report must state it.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_bridge.device.graph import Graph, GraphOp
from firmware_bridge.device.profile import BoardProfile, EngineCost

__all__ = ["GraphCost", "OpCost", "cost"]

# Runtimes resolve these at preparation or by renaming memory: no arithmetic, no traffic.
_FREE = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})


@dataclass(frozen=True, slots=True)
class OpCost:
    """Modelled cost of one operation.

    Attributes:
        op: the operation.
        on_npu: whether the NPU runs it; otherwise the CPU does.
        dram_bytes: bytes to and from DRAM.
        latency_us: microseconds.
        energy_uj: microjoules.
        bound: what limits it: ``macs``, ``elements``, ``dram`` or ``fixed``.
    """

    op: GraphOp
    on_npu: bool
    dram_bytes: int
    latency_us: float
    energy_uj: float
    bound: str

    @property
    def moved_bytes(self) -> int:
        """Bytes read and written, in any memory."""
        return self.op.weight_bytes + self.op.input_bytes + self.op.output_bytes


@dataclass(frozen=True, slots=True)
class GraphCost:
    """Modelled cost of one inference.

    Attributes:
        latency_ms: the operations one after another, milliseconds.
        energy_mj: on top of the idle power, millijoules.
        idle_mw: the board's idle power, milliwatts.
        ops: each operation's part, in execution order.
    """

    latency_ms: float
    energy_mj: float
    idle_mw: float
    ops: tuple[OpCost, ...]

    @property
    def npu_ops(self) -> int:
        """How many operations the NPU runs."""
        return sum(op.on_npu for op in self.ops)

    @property
    def cpu_ops(self) -> int:
        """How many operations fall to the CPU."""
        return len(self.ops) - self.npu_ops

    def watts(self, rate_hz: float) -> float:
        """Return the board's mean power at ``rate_hz`` inferences a second, watts (whether or not it keeps up)."""
        return self.idle_mw / 1e3 + rate_hz * self.energy_mj / 1e3

    def keeps_up(self, rate_hz: float) -> bool:
        """Return whether one inference fits into the period of ``rate_hz``."""
        return self.latency_ms * rate_hz <= 1e3


def cost(graph: Graph, profile: BoardProfile) -> GraphCost:
    """Model one inference of ``graph`` on the board of ``profile``."""
    fixed = _fixed(graph)
    ops = tuple(_op_cost(op, graph, fixed, profile) for op in graph.ops)
    return GraphCost(
        latency_ms=sum(op.latency_us for op in ops) / 1e3,
        energy_mj=sum(op.energy_uj for op in ops) / 1e3,
        idle_mw=profile.idle_mw,
        ops=ops,
    )


def _fixed(graph: Graph) -> frozenset[int]:
    """Return the tensors that are the same in every inference: constants, and what is computed from them alone."""
    found = {index for index, tensor in enumerate(graph.tensors) if tensor.constant}
    for op in graph.ops:
        if op.inputs and all(index < 0 or index in found for index in op.inputs):
            found.update(op.outputs)
    return frozenset(found)


def _op_cost(op: GraphOp, graph: Graph, fixed: frozenset[int], profile: BoardProfile) -> OpCost:
    on_npu = op.type in profile.npu_ops
    if op.op in _FREE or fixed.issuperset(op.outputs):  # constants are folded when the graph is prepared
        return OpCost(op, on_npu, 0, 0.0, 0.0, "fixed")
    engine = _npu_engine(op, profile) if on_npu else profile.cpu
    utilisation = profile.npu_utilisation.get(op.op, 1.0) if on_npu else 1.0
    dram_bytes = _dram_bytes(op, graph, fixed, profile)
    times = {
        "macs": op.macs / (engine.macs_per_s * utilisation),
        "elements": op.output_elements / (engine.elements_per_s * (1.0 if op.macs else utilisation)),
        "dram": dram_bytes / profile.dram_bytes_per_s,
    }
    fixed_s = profile.npu_op_s if on_npu else profile.cpu_op_s
    bound = max(times, key=lambda name: times[name])
    return OpCost(
        op=op,
        on_npu=on_npu,
        dram_bytes=dram_bytes,
        latency_us=1e6 * (fixed_s + times[bound]),
        energy_uj=1e-6 * _energy_pj(op, engine, dram_bytes, profile),
        bound=bound if times[bound] > fixed_s else "fixed",
    )


def _npu_engine(op: GraphOp, profile: BoardProfile) -> EngineCost:
    """Return the rates of the kernel's types, or of the activations' where the profile has none for these weights."""
    if op.kernel in profile.npu:
        return profile.npu[op.kernel]
    # A conversion runs at the rate of its wider end.
    return profile.npu["INT16" if "INT16" in op.dtype else op.dtype.split("_", maxsplit=1)[0]]


def _dram_bytes(op: GraphOp, graph: Graph, fixed: frozenset[int], profile: BoardProfile) -> int:
    sizes = {index: graph.tensors[index].size_bytes for index in (*op.inputs, *op.outputs) if index >= 0}
    limit_bytes = profile.sram_bytes // 2
    return sum(size for index, size in sizes.items() if index in fixed or size > limit_bytes)


def _energy_pj(op: GraphOp, engine: EngineCost, dram_bytes: int, profile: BoardProfile) -> float:
    return op.macs * engine.mac_pj + op.output_elements * engine.element_pj + dram_bytes * profile.dram_pj_per_byte
