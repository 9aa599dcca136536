"""Run the HIL suite on one board in a process of its own, and return what it found.

Owns: turning a request into pytest's command line, following the child's progress, and reading its results back. A
child, because pytest keeps global state, and a hung board must not hang its caller. Knows nothing of the checks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import hil.suite
from hil.errors import SuiteError
from hil.measurements.recorder import EVENTS_VARIABLE
from hil.measurements.results import RESULTS_FILE, HilResults
from hil.report.junit import write_results_junit

__all__ = ["JUNIT_FILE", "LOG_FILE", "SuiteEvent", "run_suite"]

JUNIT_FILE = "junit.xml"
LOG_FILE = "pytest.log"
# pytest's own exit codes: 0 and 1 are verdicts, 2 to 5 mean that the suite did not run as asked.
_RAN = (0, 1)
_INTERRUPTED = 2


@dataclass(frozen=True, slots=True)
class SuiteEvent:
    """Something happened in the run.

    Attributes:
        share: finished share of the checks, 0 to 1.
        text: what it is doing or what just ended, one line.
        outcome: outcome of the check that just ended, or ``""``.
    """

    share: float
    text: str
    outcome: str = ""


def run_suite(
    board_url: str,
    package: Path,
    trust: Path | None = None,
    captures: Path | None = None,
    results_dir: Path | None = None,
    *,
    profile: str | None = None,
    frames: int | None = None,
    loop_frames: int | None = None,
    refuse: Mapping[str, Path] | None = None,
    select: str = "",
    arguments: Sequence[str] = (),
    progress: Callable[[SuiteEvent], None] | None = None,
    timeout_s: float = 1800.0,
) -> HilResults:
    """Run the suite and return its results, also when limits fail or the board breaks.

    Args:
        board_url: the board, e.g. ``emu:`` or ``ssh://lab@board17``.
        package: the signed package (.ksm).
        trust: the signed trust store; ``trust.ksr`` beside the package if None.
        captures: folder of hard-case captures; without it the accuracy checks are skipped.
        results_dir: where ``results.json``, ``junit.xml`` and ``pytest.log`` go; a temporary folder if None.
        profile: the board's profile, a name or a TOML file; by default that of the kind that the board names.
        frames: most captures to run on the board; chosen by the link's speed if None.
        loop_frames: counted inferences of the paced loop; the suite's default if None.
        refuse: further packages that the board must refuse, by the code of the reason, e.g. ``{"rollback": old}``.
        select: a pytest ``-k`` expression.
        arguments: further arguments for pytest.
        progress: called with each event.
        timeout_s: the child is ended after this time.

    Raises:
        SuiteError: the suite could not be run as asked (usage, nothing collected, timeout); its text says why.
    """
    if results_dir is None:
        results_dir = Path(tempfile.mkdtemp(prefix="ks100-hil-"))
    results_dir = results_dir.resolve()
    results_dir.mkdir(parents=True, exist_ok=True)
    (results_dir / RESULTS_FILE).unlink(missing_ok=True)
    options = {"--ks-package": package, "--ks-trust": trust, "--ks-captures": captures, "--ks-results": results_dir}
    # By its folder and not by --pyargs, which would also load a conftest.py of the folder that the caller stands in.
    suite = Path(hil.suite.__file__).parent
    command = [sys.executable, "-P", "-m", "pytest", str(suite), "--ks-board", board_url]
    command += [f"{name}={Path(value).resolve()}" for name, value in options.items() if value is not None]
    command += [f"--ks-profile={_profile(profile)}"] if profile is not None else []
    command += [f"--ks-frames={frames}"] if frames is not None else []
    command += [f"--ks-loop={loop_frames}"] if loop_frames is not None else []
    command += [f"--ks-refuse={reason}={path.resolve()}" for reason, path in (refuse or {}).items()]
    command += ["-k", select] if select else []
    # A project's own pytest settings must not change what is measured.
    command += ["-c", os.devnull, f"--rootdir={suite}", f"--confcutdir={suite}", "-p", "no:cacheprovider", "-ra"]
    command += arguments
    status = _run(command, results_dir, progress, timeout_s)
    return _collect(results_dir, status)


def _profile(profile: str) -> str:
    return str(Path(profile).resolve()) if profile.endswith(".toml") else profile


def _run(command: list[str], folder: Path, progress: Callable[[SuiteEvent], None] | None, timeout_s: float) -> int:
    read, write = os.pipe()
    environment = {**os.environ, EVENTS_VARIABLE: str(write), "PYTHONUNBUFFERED": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    with (folder / LOG_FILE).open("wb") as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
            pass_fds=(write,),
        )  # fmt: skip
        os.close(write)
        follower = threading.Thread(target=_follow, args=(read, progress), daemon=True)
        follower.start()
        try:
            status = child.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise SuiteError(f"the suite did not end within {timeout_s:.0f} s; see {folder / LOG_FILE}") from error
        finally:
            if child.poll() is None:
                _end(child)
            follower.join(5.0)
    return status


def _end(child: subprocess.Popen[bytes]) -> None:
    # An interrupt lets the fixtures release the board; only a child that ignores it is killed.
    child.send_signal(2)
    with suppress(subprocess.TimeoutExpired):
        child.wait(15.0)
    if child.poll() is None:
        child.kill()
        child.wait()


def _follow(descriptor: int, progress: Callable[[SuiteEvent], None] | None) -> None:
    """Turn the child's event lines into calls; ends when the child has closed its end."""
    with os.fdopen(descriptor, "r", encoding="utf-8") as stream:
        for line in stream:
            if progress is None:
                continue
            item = json.loads(line)
            progress(SuiteEvent(float(item["share"]), str(item["text"]), str(item["outcome"])))


def _collect(folder: Path, status: int) -> HilResults:
    if not (folder / RESULTS_FILE).exists() or (status not in _RAN and status != _INTERRUPTED):
        raise SuiteError(f"the suite did not run: {_reason(folder / LOG_FILE)} (pytest exit code {status})")
    results = HilResults.load(folder).with_exit_status(status)
    results.save(folder)
    write_results_junit(results, folder / JUNIT_FILE)
    return results


def _reason(log: Path) -> str:
    """Return the line of pytest's output that says why it stopped."""
    with suppress(OSError):
        text = log.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith(("error", "e  ", "usage"))]
        chosen = errors[-1:] or lines[-1:]
        if chosen:
            return f"{chosen[0].removeprefix('ERROR: ')}; see {log}"
    return f"see {log}"
