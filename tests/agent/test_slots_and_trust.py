"""What a board installs, runs and refuses; each refusal by its reason, with the active slot as it was."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.agent.errors import DamagedError, EngineError, StateError, UsageError
from firmware_bridge.agent.service import BoardService
from firmware_bridge.device.runtime import Kernels, default_runtime
from firmware_bridge.errors import RejectedError
from firmware_bridge.package.container import PackageFile
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.protocol import messages as m
from tests.agent.board_kit import (
    Graph,
    LocalStorage,
    boot,
    graph_bytes,
    install,
    message_inputs,
    parts,
    push,
    random_inputs,
    results,
    slot_states,
    wanted,
)

ROOT = Path(__file__).parents[2]


def _refused(service, call, reason):
    before = service.info()
    with pytest.raises(RejectedError) as caught:
        call()
    assert caught.value.reason is reason
    after = service.info()
    assert (after.active, after.floor) == (before.active, before.floor)
    assert any(reason.code in entry.result for entry in service.audit(0).entries), "the audit log does not have it"


def _forged(package, at):
    data = bytearray(package.data)
    data[at] ^= 1
    return PackageFile.of(bytes(data))


# --- trust --------------------------------------------------------------------------------------------------


def test_a_factory_new_board_installs_nothing(tmp_path, package):
    service = boot(tmp_path)
    assert service.info().trust_version == 0
    _refused(service, lambda: service.offer(package.head), RejectReason.NO_TRUST)


def test_another_programs_key_is_refused_before_any_chunk(board, office):
    _refused(board, lambda: board.offer(office.package(signer=office.other).head), RejectReason.PROGRAM)
    _refused(board, lambda: board.offer(office.package(signer=office.stranger).head), RejectReason.UNKNOWN_KEY)


def test_a_flipped_bit_in_the_head_is_refused(board, package):
    _refused(board, lambda: board.offer(_forged(package, len(package.head) - 1).head), RejectReason.CHUNK_TABLE)
    _refused(board, lambda: board.offer(_forged(package, 24 + 300).head), RejectReason.SIGNATURE)


def test_a_flipped_bit_in_a_chunk_is_refused_and_the_push_can_go_on(board, package):
    board.offer(package.head)
    bad = bytes([package.chunk(0)[0] ^ 1]) + package.chunk(0)[1:]
    _refused(board, lambda: board.chunk(0, bad), RejectReason.CHUNK)
    board.chunk(0, package.chunk(0))
    assert board.finish().digest == package.manifest_unverified.payload_sha256.hex()


def test_revoking_the_key_of_the_active_model_stops_it(board, office, package):
    install(board, package)
    board.provision(office.trust(version=2, revoked="laptop lost"))
    assert board.info().active == ""
    assert slot_states(board)["a"] == "failed"
    with pytest.raises(StateError):
        board.infer(m.Infer({}))


def test_an_older_trust_store_is_refused(board, office):
    board.provision(office.trust(version=2))
    _refused(board, lambda: board.provision(office.trust(version=1)), RejectReason.TRUST_VERSION)


def test_a_board_with_a_damaged_trust_store_takes_no_new_one(tmp_path, office):
    boot(tmp_path).provision(office.trust())
    for copy in ("trust.0", "trust.1"):
        (tmp_path / copy).write_bytes(b"KSR1" + bytes(60))
    service = boot(tmp_path)
    assert service.info().trust_version == 0
    with pytest.raises(DamagedError, match="factory state"):
        service.provision(office.trust())


def test_one_damaged_copy_of_a_record_costs_nothing(tmp_path, office, package):
    service = boot(tmp_path)
    service.provision(office.trust())
    install(service, package)
    for name in ("trust.0", "state.1"):
        (tmp_path / name).write_bytes(b"")
    info = boot(tmp_path).info()
    assert (info.active, info.trust_version, info.floor) == ("a", 1, 1)
    assert (tmp_path / "trust.0").read_bytes() == (tmp_path / "trust.1").read_bytes(), "it was not renewed"


# --- slots --------------------------------------------------------------------------------------------------


def test_a_package_goes_from_offer_to_confirmed(board, package):
    assert slot_states(board) == {"a": "empty", "b": "empty"}
    installed = push(board, package)
    assert slot_states(board)["a"] == "installed"
    assert board.info().active == ""
    board.activate(installed.slot)
    assert slot_states(board)["a"] == "trial"
    assert board.info().floor == 0, "the floor is raised only from a confirmed slot"
    assert board.confirm() == m.Confirmed("a", 1)
    actions = [entry.action for entry in board.audit(0).entries]
    assert actions[-5:] == ["offer", "install", "load", "activate", "confirm"]
    assert results(board, "confirm") == ["ok: floor 1"]


def test_a_slot_names_the_package_as_the_custody_log_does(tmp_path, board, package):
    install(board, package)
    assert [slot.package_digest for slot in board.info().slots] == [package.digest, ""]
    assert boot(tmp_path / "board").info().slots == board.info().slots


def test_the_second_package_goes_into_the_other_slot(board, office):
    install(board, office.package(graph_bytes(1)))
    assert install(board, office.package(graph_bytes(2), security_version=3)) == "b"
    info = board.info()
    assert (info.active, info.floor) == ("b", 1), "slot a, version 1, must still be able to boot"
    assert install(board, office.package(graph_bytes(3), security_version=3)) == "a"
    assert board.info().floor == 3


def test_a_package_below_the_floor_is_refused(board, office):
    install(board, office.package(security_version=4))
    _refused(board, lambda: board.offer(office.package(security_version=3).head), RejectReason.ROLLBACK)


def test_an_equal_security_version_is_accepted(board, office):
    install(board, office.package(security_version=4))
    install(board, office.package(graph_bytes(2), security_version=4))


def test_an_unconfirmed_trial_does_not_survive_a_restart(tmp_path, office, package):
    service = boot(tmp_path)
    service.provision(office.trust())
    install(service, package)
    service.activate(push(service, office.package(graph_bytes(2))).slot)
    assert service.info().active == "b"
    again = boot(tmp_path)
    assert again.info().active == "a"
    assert slot_states(again) == {"a": "confirmed", "b": "installed"}


def test_a_new_push_replaces_an_unconfirmed_trial_not_its_fallback(board, office, package):
    install(board, package)
    board.activate(push(board, office.package(graph_bytes(2))).slot)
    assert push(board, office.package(graph_bytes(3))).slot == "b"
    assert board.info().active == "a"
    assert board.infer(m.Infer(message_inputs(random_inputs(Graph.parse(package.payload()))))).outputs


def test_going_back_to_a_confirmed_slot_needs_no_confirmation(tmp_path, office):
    service = boot(tmp_path)
    service.provision(office.trust())
    install(service, office.package(graph_bytes(1)))
    install(service, office.package(graph_bytes(2)))
    service.activate("a")
    assert boot(tmp_path).info().active == "a"


def test_what_is_not_there_cannot_be_activated_or_confirmed(board):
    with pytest.raises(StateError, match="empty"):
        board.activate("a")
    with pytest.raises(StateError, match="no slot"):
        board.activate("../a")
    with pytest.raises(StateError, match="no slot is active"):
        board.confirm()
    with pytest.raises(StateError, match="offered"):
        board.chunk(0, b"")
    with pytest.raises(StateError, match="offered"):
        board.finish()


def test_a_push_resumes_after_a_restart(tmp_path, office):
    large = office.package(graph_bytes(padding_bytes=700_000))
    service = boot(tmp_path)
    service.provision(office.trust())
    service.offer(large.head)
    for index in range(20):
        service.chunk(index, large.chunk(index))
    again = boot(tmp_path)
    assert wanted(again.offer(large.head), large) == list(range(20, large.chunk_count))
    push(again, large)


def test_a_similar_package_sends_only_what_differs(board, office):
    first = office.package(graph_bytes(padding_bytes=400_000))
    install(board, first)
    again = office.package(graph_bytes(padding_bytes=400_000), version="1.0.1")
    assert wanted(board.offer(again.head), again) == []
    assert board.finish().slot == "b"


def test_chunks_of_an_abandoned_push_are_dropped(tmp_path, office, package):
    service = boot(tmp_path)
    service.provision(office.trust())
    other = office.package(graph_bytes(9, padding_bytes=100_000))
    service.offer(other.head)
    service.chunk(0, other.chunk(0))
    push(service, package)
    assert list((tmp_path / "chunks").iterdir()) == []


def test_a_package_larger_than_the_board_is_refused(tmp_path, office):
    service = boot(tmp_path, capacity_bytes=50_000)
    service.provision(office.trust())
    large = office.package(graph_bytes(padding_bytes=60_000))
    _refused(service, lambda: service.offer(large.head), RejectReason.CAPACITY)


def test_a_full_disk_is_refused_before_any_chunk(tmp_path, office, package):
    class FullStorage(LocalStorage):
        def free_bytes(self) -> int:
            return 4096

    service = BoardService(parts(FullStorage(tmp_path)))
    service.start()
    service.provision(office.trust())
    _refused(service, lambda: service.offer(package.head), RejectReason.CAPACITY)


# --- trial --------------------------------------------------------------------------------------------------


class _DyingModel:
    npu_ops = cpu_ops = 0

    def __init__(self, model):
        self.graph = model.graph

    def run(self, inputs):  # noqa: ARG002 - the protocol names it
        raise EngineError("the accelerator hangs")


class _DyingEngine:
    """The real engine, until a model of the wrong version is run."""

    def __init__(self, real, version):
        self._real, self._version = real, version

    def info(self):
        return self._real.info()

    def load(self, package, kernels):
        model = self._real.load(package, kernels)
        return _DyingModel(model) if package.manifest.version == self._version else model


def test_a_model_that_fails_its_trial_is_left_again(tmp_path, office, package):
    real = parts(tmp_path).engine
    service = boot(tmp_path, _DyingEngine(real, "2"))
    service.provision(office.trust())
    install(service, package)
    bad = push(service, office.package(graph_bytes(2), version="2")).slot
    _refused(service, lambda: service.activate(bad), RejectReason.TRIAL)
    assert slot_states(service) == {"a": "confirmed", "b": "failed"}
    assert service.infer(m.Infer(message_inputs(random_inputs(Graph.parse(package.payload()))))).outputs


def test_an_npu_that_takes_fewer_operations_than_planned_fails_the_trial_by_name(board, office):
    slot = push(board, office.package(npu_ops=5)).slot
    with pytest.raises(RejectedError, match="the NPU runs 0 operations, the package expects 5") as caught:
        board.activate(slot)
    assert caught.value.reason is RejectReason.TRIAL


def test_an_agent_that_dies_in_a_trial_falls_back(tmp_path, office, package):
    class Died(BaseException):
        pass

    class DeadlyModel(_DyingModel):
        def run(self, inputs):  # noqa: ARG002 - the protocol names it
            raise Died

    class DeadlyEngine(_DyingEngine):
        def load(self, package, kernels):
            model = self._real.load(package, kernels)
            return DeadlyModel(model) if package.manifest.version == self._version else model

    service = boot(tmp_path, DeadlyEngine(parts(tmp_path).engine, "2"))
    service.provision(office.trust())
    install(service, package)
    slot = push(service, office.package(graph_bytes(2), version="2")).slot
    with pytest.raises(Died):
        service.activate(slot)
    again = boot(tmp_path)
    assert again.info().active == "a"
    assert slot_states(again)["b"] == "failed"
    assert "died in its trial" in results(again, "fallback")[-1]


_ENDLESS_TRIAL = """
import sys, time
from pathlib import Path
from firmware_bridge.agent import service
from firmware_bridge.agent.deadline import process_deadline
from tests.agent.board_kit import boot, parts

class Endless:
    def __init__(self, real):
        self.info, self._real = real.info, real
    def load(self, package, kernels):
        while package.manifest.version == "2":
            time.sleep(1)
        return self._real.load(package, kernels)

service._TRIAL_S = 0.5
board = boot(Path(sys.argv[1]), Endless(parts(Path(sys.argv[1])).engine), deadline=process_deadline)
board.activate("b")
"""


def test_a_trial_without_end_ends_the_agent_and_the_board_falls_back(tmp_path, office, package):
    service = boot(tmp_path)
    service.provision(office.trust())
    install(service, package)
    push(service, office.package(graph_bytes(2), version="2"))
    agent = subprocess.run([sys.executable, "-c", _ENDLESS_TRIAL, tmp_path], cwd=ROOT, timeout=60, check=False)
    assert agent.returncode == -signal.SIGALRM
    again = boot(tmp_path)
    assert again.info().active == "a"
    assert slot_states(again)["b"] == "failed"
    assert "died in its trial" in results(again, "fallback")[-1]


# --- inference ----------------------------------------------------------------------------------------------


def test_reference_kernels_give_the_hosts_bits(board, package):
    install(board, package)
    graph = Graph.parse(package.payload())
    host = default_runtime("litert").load(package.payload(), Kernels.REFERENCE)
    for seed in range(5):
        inputs = random_inputs(graph, seed)
        answer = board.infer(m.Infer(message_inputs(inputs), "reference"))
        for name, expected in host.run(inputs).items():
            tensor = answer.outputs[name]
            assert (tensor.dtype, tensor.shape) == (expected.dtype.name, expected.shape)
            assert tensor.data == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"eo": m.Tensor("int8", (1, 16, 24, 3), bytes(1152))},
        {"eo": m.Tensor("int8", (1, 16, 24, 3), bytes(1151)), "lwir": m.Tensor("int8", (1, 16, 24, 1), bytes(384))},
        {"eo": m.Tensor("int8", (1, 16, 24, 4), bytes(1536)), "lwir": m.Tensor("int8", (1, 16, 24, 1), bytes(384))},
        {"eo": m.Tensor("uint8", (1, 16, 24, 3), bytes(1152)), "lwir": m.Tensor("int8", (1, 16, 24, 1), bytes(384))},
        {"eo": m.Tensor("int8", (-1, 16, 24, 3), b""), "lwir": m.Tensor("int8", (1, 16, 24, 1), bytes(384))},
    ],
    ids=["none", "one missing", "a byte short", "other shape", "other dtype", "negative shape"],
)
def test_wrong_inputs_are_the_hosts_fault(board, package, inputs):
    install(board, package)
    with pytest.raises(UsageError):
        board.infer(m.Infer(inputs))


def test_unknown_kernels_are_the_hosts_fault(board, package):
    install(board, package)
    with pytest.raises(UsageError, match="optimised"):
        board.infer(m.Infer({}, "fast"))
