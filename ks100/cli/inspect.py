"""``ks100 inspect``: show the contents of a package or graph."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.output import json_option, print_json
from ks100.cli.tables import print_table

if TYPE_CHECKING:
    from firmware_bridge.device.graph import Graph
    from firmware_bridge.package.container import PackageFile

__all__ = ["command"]


@click.command(name="inspect")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Show FILE: a package (.ksm) with its manifest, unverified, or a graph (.tflite) with its operations.

    With --json, prints the package's bill of materials.
    """
    from firmware_bridge.device.graph import Graph
    from firmware_bridge.input_files import FileKind, kind_of, read_bytes
    from firmware_bridge.package.container import PackageFile
    from ks100.steps.evaluating import read_graph

    data = read_bytes(file, FileKind.GRAPH)
    package = PackageFile.open(file) if kind_of(data) is FileKind.PACKAGE or file.suffix == ".ksm" else None
    graph = Graph.parse(read_graph(file) if package is None else package.payload())
    if as_json:
        print_json(_graph_record(graph) if package is None else _bill(package))
        return
    if package is not None:
        _show_package(file, package)
    _show_graph(graph)


def _show_package(file: Path, package: PackageFile) -> None:
    from rich.markup import escape

    manifest, evidence = package.manifest_unverified, package.manifest_unverified.evidence
    signature = package.envelope_unverified.signature
    runtimes = ", ".join(f"{name} >= {least}" for name, least in manifest.runtimes)
    rows = [
        ("package", f"{len(package.data)} bytes, sha256 {package.digest}"),
        ("program", manifest.program),
        ("model", f"{manifest.model} {manifest.version}, security version {manifest.security_version}"),
        ("boards", ", ".join(manifest.boards)),
        ("runtimes", runtimes),
        ("graph", f"{manifest.payload_bytes} bytes, sha256 {manifest.payload_sha256.hex()}"),
        ("classes", "no model card" if manifest.card is None else ", ".join(manifest.card.classes) or "none"),
        ("decoding", "—" if manifest.card is None else manifest.card.decoding),
        ("gate", evidence.verdict + (f" [bold red]WAIVED: {escape(evidence.waiver)}[/]" if evidence.waiver else "")),
        ("signer", f"key {signature.key_id.hex()}, {signature.algorithm.name}"),
        ("evidence", _known(evidence.gate)),
        ("precision plan", _known(evidence.plan)),
        ("calibration set", _known(evidence.calibration)),
        ("float parent", _known(evidence.float_parent)),
        ("custody", manifest.custody or "—"),
        ("created", time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(manifest.created_s))),
    ]
    print_table(("", ""), rows, title=f"{file} (not verified: see ks100 verify)")


def _bill(package: PackageFile) -> dict[str, object]:
    """Return a package's bill of materials as JSON values; digests are SHA-256 in hex, "" if not stated."""
    manifest, signature = package.manifest_unverified, package.envelope_unverified.signature
    evidence = manifest.evidence
    made_of = {"precision_plan": evidence.plan, "calibration_set": evidence.calibration,
               "float_parent": evidence.float_parent, "gate_evidence": evidence.gate}  # fmt: skip
    return {
        "verified": False,
        "package": {"sha256": package.digest, "bytes": len(package.data), "id": manifest.package_id.hex()},
        "program": manifest.program,
        "model": {"name": manifest.model, "version": manifest.version, "security_version": manifest.security_version},
        "graph": {"sha256": manifest.payload_sha256.hex(), "bytes": manifest.payload_bytes, "ops": list(manifest.ops)},
        "card": None if manifest.card is None else manifest.card.values,
        "boards": list(manifest.boards),
        "runtimes": dict(manifest.runtimes),
        "made_of": {name: digest.hex() if any(digest) else "" for name, digest in made_of.items()},
        "gate": {"verdict": evidence.verdict, "waiver": evidence.waiver},
        "signer": {"key_id": signature.key_id.hex(), "algorithm": signature.algorithm.name},
        "custody": manifest.custody,
        "created_s": manifest.created_s,
    }


def _graph_record(graph: Graph) -> dict[str, object]:
    """Return a graph's properties as JSON values."""
    tensors = {
        way: [{"name": t.name, "type": t.dtype, "shape": list(t.shape), "scale": t.scale, "zero_point": t.zero_point}
              for t in items]
        for way, items in (("inputs", graph.inputs), ("outputs", graph.outputs))
    }  # fmt: skip
    counts = Counter(op.type for op in graph.ops)
    return {**tensors, "operations": dict(sorted(counts.items())), "macs": graph.macs, "parameters": graph.parameters}


def _show_graph(graph: Graph) -> None:
    print_table(
        ("tensor", "type", "shape", ">scale", ">zero point"),
        [
            (f"{way} {t.name}", t.dtype, "x".join(map(str, t.shape)), f"{t.scale:.6g}", str(t.zero_point))
            for way, tensors in (("in", graph.inputs), ("out", graph.outputs))
            for t in tensors
        ],
    )
    counts = Counter(op.type for op in graph.ops)
    macs = Counter[str]()
    for op in graph.ops:
        macs[op.type] += op.macs
    print_table(
        ("operation", ">count", ">M MAC"),
        [(name, str(count), f"{macs[name] / 1e6:.3f}") for name, count in sorted(counts.items())],
    )
    click.echo(f"{len(graph.ops)} operations, {graph.macs / 1e6:.2f} M MAC per frame, {graph.parameters} parameters")


def _known(digest: bytes) -> str:
    """Return a digest for display; zeros mean that none was given."""
    return digest.hex() if any(digest) else "not given"
