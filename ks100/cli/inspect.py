"""``ks100 inspect``: what a package or a graph contains."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.tables import print_table

if TYPE_CHECKING:
    from firmware_bridge.device.graph import Graph
    from firmware_bridge.package.container import PackageFile

__all__ = ["command"]


@click.command(name="inspect")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="A package's bill of materials as JSON.")
def command(file: Path, as_json: bool) -> None:
    """Show FILE: a package (.ksm) with its manifest, unverified, or a graph (.tflite) with its operations."""
    from firmware_bridge.device.graph import Graph
    from ks100.steps.evaluating import read_graph

    if file.suffix == ".ksm":
        from firmware_bridge.package.container import PackageFile

        package = PackageFile.open(file)
        if as_json:
            click.echo(json.dumps(_bill(package), indent=1))
            return
        _show_package(file, package)
        _show_graph(Graph.parse(package.payload()))
    else:
        _show_graph(Graph.parse(read_graph(file)))


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
    """Return what a package is made of, for machines; digests are SHA-256 in hex, "" where nothing is stated."""
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
        "boards": list(manifest.boards),
        "runtimes": dict(manifest.runtimes),
        "made_of": {name: digest.hex() if any(digest) else "" for name, digest in made_of.items()},
        "gate": {"verdict": evidence.verdict, "waiver": evidence.waiver},
        "signer": {"key_id": signature.key_id.hex(), "algorithm": signature.algorithm.name},
        "custody": manifest.custody,
        "created_s": manifest.created_s,
    }


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
    click.echo(f"{len(graph.ops)} operations, {graph.macs / 1e6:.2f} M MAC a frame, {graph.parameters} parameters")


def _known(digest: bytes) -> str:
    """Return a digest for people; zeros stand for what was not given."""
    return digest.hex() if any(digest) else "not given"
