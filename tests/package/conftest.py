"""Keys and packages of this run: made in memory by the kit that also makes the published vectors."""

import importlib.util
import sys
from pathlib import Path

import pytest

from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.package.trust import BoardContext

VECTORS = Path(__file__).parent.parent / "vectors"


def _generator():
    spec = importlib.util.spec_from_file_location("ks100_vector_generator", VECTORS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def shop():
    return _generator().VectorKit()


@pytest.fixture(scope="session")
def store(shop):
    return shop.store()


@pytest.fixture(scope="session")
def package(shop):
    return shop.package()


@pytest.fixture(scope="session")
def context():
    return BoardContext("ks100", "falcon", RuntimeInfo("litert", "2.3.0", ("ADD:INT8",)), 3, 65536, 1_800_000_000.0)
