"""An agent that is killed during a push comes back with a verified model, and the push goes through."""

from __future__ import annotations

import pytest

from benchmarks.board_kills import survive_kills
from firmware_bridge.errors import BenchError
from hil.virtual.sshd import find_sshd


@pytest.mark.slow
def test_an_agent_that_is_killed_during_pushes_over_ssh_comes_back_and_the_push_resumes():
    try:
        find_sshd()
    except BenchError as error:
        pytest.skip(str(error))
    kills = survive_kills(3, seed=4)
    assert (kills.survived, kills.trouble) == (3, [])
    assert 0 < kills.resumed <= kills.within_push  # before the first chunks are synced, there is nothing to resume from
