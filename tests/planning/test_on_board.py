"""The most sensitive groups on an emulated board: real graphs, signed, pushed, run, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_bridge.package.signing import PemSigner
from firmware_bridge.package.trust_store import ProgramKey, build_store
from hil.boards import open_board
from hil.virtual.emulated import EmulatedBoard
from ks100.cli.main import main
from tests.sensitivity.small_study import stored


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    roots, key = ([PemSigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(n)] for n in (2, 1))
    store = build_store(
        program="bench", version=1, roots=[root.public_key_spki for root in roots], threshold=2,
        keys=[ProgramKey(key[0].public_key_spki, "bench", ("ks100",))], signers=roots, floors=[("bench", 2)],
    )  # fmt: skip
    (tmp_path / "trust.ksr").write_bytes(store.raw)
    key[0].save(tmp_path / "key.pem", "a passphrase of this run")
    (tmp_path / "passphrase").write_text("a passphrase of this run\n")
    (tmp_path / "passphrase").chmod(0o600)
    return tmp_path


@pytest.mark.slow
def test_a_board_gives_the_hosts_figures_and_keeps_its_floor(bench: Path, capsys) -> None:
    graph, captures = stored(bench)
    with EmulatedBoard.start(bench / "board") as board:
        url = f"emu:{bench / 'board'}"
        code = main([
            "sensitivity", str(graph), "--captures", str(captures), "--pool", "hard-dev", "--leaders", "2", "--no-ap",
            "--work", str(bench / "kept"), "--out", str(bench / "map.json"), "--on-board", url, "--board-groups", "2",
            "--board-frames", "4", "--key", str(bench / "key.pem"), "--passphrase-file", str(bench / "passphrase"),
            "--trust", str(bench / "trust.ksr"),
        ])  # fmt: skip
        shown = capsys.readouterr()
        assert code == 0, shown.err
        rows = [line.split() for line in shown.out.partition("real graphs on")[2].splitlines() if "…" in line]
        assert len(rows) == 2
        for row in rows:
            assert row[1] == row[5]  # the same value on the board and here
        with open_board(url) as held:
            info = held.info()
            assert info.floor == 2
            assert not any(slot.state == "confirmed" for slot in info.slots)
        assert board.state == bench / "board"


def test_a_board_needs_a_key(bench: Path, capsys) -> None:
    graph, captures = stored(bench)
    assert main(["sensitivity", str(graph), "--captures", str(captures), "--on-board", "emu:"]) == 2
    assert "--key" in capsys.readouterr().err
