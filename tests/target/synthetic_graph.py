"""Graphs of given work, without a file."""

from __future__ import annotations

from firmware_bridge.device.graph import Graph, GraphOp, GraphTensor


def graph_of_work(*parts: tuple[str, str, dict[str, float]]) -> Graph:
    """Return a graph whose operations sum up to the given totals: (op, dtype, macs, elements, weights, spilled)."""
    tensors: list[GraphTensor] = []
    ops: list[GraphOp] = []

    def tensor(dtype: str, elements: float, constant: bool = False) -> int:
        tensors.append(GraphTensor(f"t{len(tensors)}", dtype.lower(), (int(elements),), constant=constant))
        return len(tensors) - 1

    for name, dtype, total in parts:
        weight_bytes = total.get("weight_bytes", 0) * (4 if dtype == "FLOAT32" else 1)
        inputs = (tensor(dtype, total.get("spilled", 0)), tensor("INT8", weight_bytes, constant=True))
        ops.append(
            GraphOp(
                index=len(ops),
                op=name,
                dtype=dtype,
                inputs=inputs,
                outputs=(tensor(dtype, 1),),
                name=name,
                macs=int(total.get("macs", 0)),
                weight_bytes=int(weight_bytes),
                input_bytes=0,
                output_bytes=0,
                output_elements=int(total.get("elements", 0)),
            )
        )
    return Graph("", (), (), tuple(tensors), tuple(ops), 0)
