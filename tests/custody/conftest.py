"""Keys of this run, in memory."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.package.signing import PemSigner
from ks100.custody.log import CustodyLog
from ks100.custody.statement import Act, Artifact, Statement


@pytest.fixture(scope="session")
def signer():
    return PemSigner(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="session")
def other():
    return PemSigner(ec.generate_private_key(ec.SECP384R1()))


@pytest.fixture
def log(tmp_path, signer):
    return CustodyLog.open(tmp_path / "log", signer)


@pytest.fixture(scope="session")
def statement():
    def make(name: str, act: Act = Act.TRAIN) -> Statement:
        return Statement(act, (Artifact.of(name, name.encode()),), actor="ci", tool="test", time_s=1)

    return make
