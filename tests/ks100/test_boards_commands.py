"""``ks100 boards`` and ``ks100 provision`` on a running board: each change says what it did, and one board's failure is
no other's."""

from __future__ import annotations

import json
import shutil

import pytest

from firmware_bridge.package.trust_store import ProgramKey, build_store
from ks100.cli.main import main
from ks100.custody.log import CustodyLog
from ks100.custody.statement import Act
from tests.agent.board_kit import Office, graph_bytes

pytestmark = pytest.mark.skipif(
    shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") is None,
    reason="no sshd: apt-get install openssh-server",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running emulated board, its inventory, a trust store, and two packages for it."""
    from hil.virtual.emulated import EmulatedBoard

    folder, office = tmp_path_factory.mktemp("lab"), Office()
    (folder / "trust.ksr").write_bytes(office.trust())
    for number in (1, 2):
        graph = graph_bytes(number)
        package = office.package(graph, security_version=number)
        (folder / f"p{number}.ksm").write_bytes(package.head + graph)
    with EmulatedBoard.start(folder / "board") as board:
        targets = {
            "bench-1": {"resources": {"KS100Board": {"url": f"emu:{folder}/board"}}},
            "absent": {"resources": {"RawSerialPort": {"port": "/dev/no-such-port"}}},
        }
        (folder / "lab.yaml").write_text(json.dumps({"targets": targets}))
        yield folder, board


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@pytest.fixture
def ks100(capsys, lab, monkeypatch):
    """Run a command with the lab's inventory; returns exit code, output and errors."""
    monkeypatch.setenv("KS100_INVENTORY", str(lab[0] / "lab.yaml"))

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def slots(ks100) -> dict[str, str]:
    code, out, err = ks100("boards", "info", "bench-1", "--json")
    assert code == 0, err
    [board] = json.loads(out)["boards"]
    return {slot["name"]: slot["state"] + ("*" if slot["name"] == board["active"] else "") for slot in board["slots"]}


def test_a_factory_new_board_is_bound_only_on_purpose_and_on_record(lab, ks100, tmp_path):
    folder, board = lab
    trust = str(folder / "trust.ksr")
    code, _, err = ks100("provision", "bench-1", "--trust", trust)
    assert code == 2
    assert "is of program" in err
    assert f"bench-1 ({board.serial_number}): factory-new" in err

    key, secret = tmp_path / "log.pem", tmp_path / "passphrase"
    secret.write_text("of a test\n")
    secret.chmod(0o600)
    assert ks100("keys", "new", str(key), "--passphrase-file", str(secret))[0] == 0
    record = ("--log", str(tmp_path / "custody"), "--log-key", str(key), "--log-passphrase-file", str(secret))
    assert ks100("provision", "bench-1", "--trust", trust, "--yes", *record)[0] == 0
    code, out, _ = ks100("provision", "bench-1", "--trust", trust, *record)
    assert code == 0, "a store that the board holds needs no answer"
    assert "version 1 already" in out
    [entry] = CustodyLog.open(tmp_path / "custody").entries
    assert entry.statement.act is Act.PROVISION
    assert entry.statement.parameter("board") == board.serial_number


def test_a_board_that_is_bound_elsewhere_says_how_it_is_reset(ks100, tmp_path):
    office = Office()
    roots = [root.public_key_spki for root in office.roots]
    keys = [ProgramKey(office.key.public_key_spki, "heron")]
    store = build_store(program="heron", version=1, roots=roots, threshold=2, keys=keys, signers=office.roots)
    (tmp_path / "other.ksr").write_bytes(store.raw)
    code, _, err = ks100("provision", "bench-1", "--trust", str(tmp_path / "other.ksr"))
    assert code == 3
    assert "is bound to program falcon" in err
    assert "rm -r /var/lib/ks100/*" in err


def test_pushed_activated_and_confirmed_are_three_things(lab, ks100):
    flash = ("flash", "--trust", str(lab[0] / "trust.ksr"), "--board", "bench-1")
    assert ks100(*flash, str(lab[0] / "p1.ksm"), "--no-activate")[0] == 0
    assert slots(ks100) == {"a": "installed", "b": "empty"}
    code, out, _ = ks100("boards", "activate", "bench-1")
    assert code == 0
    assert "activated, not confirmed" in out
    assert slots(ks100)["a"] == "trial*"
    assert "confirmed; rollback floor 1, it was 0" in ks100("boards", "confirm", "bench-1")[1]
    code, out, _ = ks100(*flash, str(lab[0] / "p1.ksm"), "--json")
    assert [b["outcome"] for b in json.loads(out)["boards"]] == ["unchanged"]

    code, out, _ = ks100(*flash, str(lab[0] / "p2.ksm"))
    assert code == 0
    assert "1 board: 1 confirmed" in out
    assert slots(ks100) == {"a": "confirmed", "b": "confirmed*"}
    code, out, _ = ks100("boards", "rollback", "bench-1")
    assert code == 0
    assert "from slot a again" in out
    assert slots(ks100) == {"a": "confirmed*", "b": "confirmed"}


def test_of_several_boards_each_answers_for_itself(lab, ks100):
    code, out, _ = ks100("boards", "info", "bench-1", "absent", "--json")
    assert code == 3
    first, second = json.loads(out)["boards"]
    assert (first["serial"], first["error"]) == (lab[1].serial_number, None)
    assert second["exit_code"] == 3
    assert "no serial port" in second["error"]
    code, out, err = ks100("boards", "audit", "bench-1", "absent")
    assert code == 3
    assert "provision" in out
    assert "absent: there is no serial port" in err


def test_a_single_board_that_fails_is_one_line_and_a_document_if_that_was_asked_for(ks100):
    code, out, err = ks100("boards", "info", "absent", "--json")
    assert code == 3
    assert err.count("\n") == 1
    document = json.loads(out)
    assert document["exit_code"] == 3
    assert "no serial port" in document["error"]


def test_the_list_merges_inventory_and_what_runs_here_and_says_how_each_is(lab, ks100):
    code, out, _ = ks100("boards", "list", "--json")
    assert code == 0
    boards = {board["name"]: board for board in json.loads(out)["boards"]}
    assert boards["bench-1"]["access"] == "ok"
    assert boards["bench-1"]["serial"] == lab[1].serial_number
    assert boards["bench-1"]["program"] == "falcon"
    assert "no such port" in boards["absent"]["access"]
    assert f"emu:{lab[0]}/board" not in boards, "the running board is the inventory's"


def test_check_says_in_a_line_why_a_board_can_or_cannot_be_used(lab, ks100):
    code, out, _ = ks100("boards", "check", "bench-1", "absent")
    assert code == 3
    lines = {line.partition(":")[0]: line for line in out.splitlines()}
    assert lines["bench-1"].startswith(f"bench-1: ok: ks100 {lab[1].serial_number}, program falcon")
    assert "there is no such port; is the board plugged in" in lines["absent"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("info",), "which board?"),
        (("info", "bench-2"), "did you mean bench-1?"),
        (("reboot", "emu:"), "new board each time"),
        (("activate", "bench-1", "bench-1"), "given twice"),
        (("list", "--watch", "--json"), "for terminals"),
    ],
)
def test_what_is_given_wrongly_is_one_line(ks100, arguments, text):
    code, _, err = ks100("boards", *arguments)
    assert code == 2
    assert text in err
    assert err.count("\n") == 1


def test_a_board_that_does_not_exist_is_not_made_by_looking_at_it(ks100, tmp_path):
    for command in ("info", "audit", "reboot", "confirm"):
        code, _, err = ks100("boards", command, f"emu:{tmp_path}/nothing")
        assert code == 3
        assert "ks100 emulate" in err
    assert not (tmp_path / "nothing").exists()


def test_a_board_whose_audit_log_was_changed_is_found_out(ks100, lab):
    code, out, _ = ks100("boards", "audit", "bench-1", "--verify", "--json")
    assert code == 0
    [answer] = json.loads(out)["boards"]
    assert answer["faults"] == []
    head = answer["heads"]["notes"]
    assert ks100("boards", "audit", "bench-1", "--verify", "--head", head)[0] == 0
    code, out, _ = ks100("boards", "audit", "bench-1", "--verify", "--head", "0:" + "0" * 16)
    assert code == 1
    assert "does not contain 0:0000000000000000 any more" in out
