"""Keys, packages and boards of this run."""

import pytest

from tests.agent.board_kit import Office, boot


@pytest.fixture(scope="session")
def office():
    return Office()


@pytest.fixture(scope="session")
def package(office):
    return office.package()


@pytest.fixture
def board(tmp_path, office):
    """A provisioned board without a model."""
    service = boot(tmp_path / "board")
    service.provision(office.trust())
    return service
