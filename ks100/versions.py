"""All versions of this release, for display and bug reports; each is defined where it is used."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

__all__ = ["versions"]

_RUNTIMES = ("ai-edge-litert", "tflite-runtime", "tensorflow-cpu", "litert-quantizer")


def versions() -> dict[str, Any]:
    """Return the versions by area: toolkit, protocol, package, files, and libraries."""
    from firmware_bridge.package import layout, manifest, trust_store
    from firmware_bridge.protocol.connection import FRAMING_VERSION
    from firmware_bridge.protocol.versions import MESSAGES_VERSION, OLDEST_VERSION
    from hil.conformance.results import FILE as CONFORMANCE
    from hil.measurements.results import FILE as RESULTS
    from models import captures, seal
    from models.curation.mining_record import FILE as MINING
    from models.evaluation import gate
    from models.evaluation.evaluation import FILE as EVALUATION
    from models.quant import plan
    from models.quant.ranges import FILE as RANGES
    from models.sensitivity.map import FILE as MAP

    return {
        "toolkit": metadata.version("ks100"),
        "protocol": {"messages": MESSAGES_VERSION, "messages from": OLDEST_VERSION, "frames": FRAMING_VERSION},
        "package": {
            "container": layout.CONTAINER_VERSION,
            "manifest": manifest.SCHEMA,
            "payload": str(manifest.TFLITE),
            "trust store": trust_store.SCHEMA,
        },
        "files": {
            "captures": captures.SCHEMA,
            "seal": seal.SCHEMA,
            "mining record": MINING.schema,
            "ranges": RANGES.schema,
            "sensitivity map": MAP.schema,
            "plan": plan.SCHEMA,
            "evaluation": EVALUATION.schema,
            "gate evidence": gate.SCHEMA,
            "HIL results": RESULTS.schema,
            "conformance results": CONFORMANCE.schema,
        },
        "installed": {"python": platform.python_version(), **_installed()},
    }


def _installed() -> dict[str, str]:
    found = {}
    for name in _RUNTIMES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
