"""An external delegate, compiled here: what it took is known, and fewer operations than planned are a failure."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from firmware_bridge.agent.inference.engine import RuntimeEngine
from firmware_bridge.agent.serve_command import main
from firmware_bridge.device.runtime import Kernels, LiteRt
from firmware_bridge.errors import BenchError, RejectedError
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.protocol import messages as m
from tests.agent.board_kit import Graph, boot, graph_bytes, install, push, random_inputs

_SOURCE = Path(__file__).with_name("tiny_delegate.c")
_ADD, _CONV_2D = 0, 3


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler; install one with: apt-get install gcc libc6-dev")
    folder = tmp_path_factory.mktemp("delegate")

    def build(takes: int) -> Path:
        library = folder / f"lib{takes}.so"
        subprocess.run([compiler, "-shared", "-fPIC", f"-DTAKES={takes}", "-o", library, _SOURCE], check=True)
        return library

    return build


@pytest.mark.parametrize(("takes", "taken"), [(_ADD, (2,)), (_CONV_2D, (0, 1)), (99, ())])
def test_which_operations_a_delegate_took_is_known(compiled, takes, taken):
    assert LiteRt(compiled(takes)).load(graph_bytes()).delegated_ops == taken


def test_reference_kernels_never_go_through_the_delegate(compiled):
    assert LiteRt(compiled(_ADD)).load(graph_bytes(), Kernels.REFERENCE).delegated_ops == ()


def test_a_board_with_its_planned_operations_on_the_npu_says_so(compiled, office, tmp_path):
    board = boot(tmp_path / "board", RuntimeEngine(LiteRt(compiled(_CONV_2D)), "libnpu.so"))
    board.provision(office.trust())
    install(board, office.package(npu_ops=2))
    measured = board.measure(m.Measure(3, 0, 0.0, 0.0, {}))
    assert (measured.npu_ops, measured.cpu_ops) == (2, 3)


def test_fewer_delegated_operations_than_planned_fail_by_name(compiled, office, tmp_path):
    board = boot(tmp_path / "board", RuntimeEngine(LiteRt(compiled(_ADD)), "libnpu.so"))
    board.provision(office.trust())
    slot = push(board, office.package(npu_ops=2)).slot
    with pytest.raises(RejectedError, match=r"libnpu.so took 1 of 5 operations, .* expects 2 .* 2 CONV_2D:INT8") as no:
        board.activate(slot)
    assert no.value.reason is RejectReason.TRIAL
    assert board.info().active == ""


def test_a_board_whose_delegate_takes_less_after_a_restart_does_not_run_the_model_slowly(compiled, office, tmp_path):
    board = boot(tmp_path / "board", RuntimeEngine(LiteRt(compiled(_CONV_2D)), "libnpu.so"))
    board.provision(office.trust())
    install(board, office.package(npu_ops=2))
    assert boot(tmp_path / "board", RuntimeEngine(LiteRt(compiled(99)), "libnpu.so")).info().active == ""


def test_the_rest_of_the_graph_still_runs_beside_a_delegate(compiled):
    session = LiteRt(compiled(99)).load(graph_bytes())
    inputs = random_inputs(Graph.parse(graph_bytes()))
    plain = LiteRt().load(graph_bytes(), Kernels.REFERENCE).run(inputs)
    assert abs(session.run(inputs)["map_2"].astype(int) - plain["map_2"]).max() <= 2


def test_a_library_that_is_no_delegate_is_an_error_in_one_line(tmp_path):
    library = tmp_path / "libnot.so"
    library.write_bytes(b"not a library")
    with pytest.raises(BenchError, match=r"libnot.so cannot be loaded.*built for this board"):
        LiteRt(library).load(graph_bytes())


def test_an_agent_with_a_missing_delegate_does_not_start(tmp_path, capsys):
    options = ["--state", str(tmp_path), "--socket", str(tmp_path / "s"), "--serial-number", "X"]
    assert main(["serve", *options, "--delegate", "/nowhere/libnpu.so"][1:]) == 3
    assert "there is no delegate /nowhere/libnpu.so" in capsys.readouterr().err
