"""Run the HIL suite on one board in a process of its own, and return what it found.

Owns: turning a request into pytest's command line, following the child's progress, and reading its results back. A
child, because pytest keeps global state, and a hung board must not hang its caller. Knows nothing of the checks.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import hil.suite
from firmware_bridge.errors import InputError
from firmware_bridge.host.address import BoardAddress
from hil.boards import host_name
from hil.errors import ResultsError, SuiteError
from hil.measurements.recorder import EVENTS_VARIABLE
from hil.measurements.results import RESULTS_FILE, HilResults
from hil.measurements.results_folder import LOCK_VARIABLE, hold_results
from hil.plugin.endings import LIFELINE_VARIABLE
from hil.plugin.pool import FAULT
from hil.report.junit import JUNIT_FILE, write_results_junit
from hil.report.run_report import REPORT_FILE, write_run_report

__all__ = ["JUNIT_FILE", "LOG_FILE", "SuiteEvent", "run_suite"]

LOG_FILE = "pytest.log"
# pytest's own exit codes: with 4 and 5 the suite did not run as asked.
_NOT_AS_ASKED = (4, 5)
_INTERRUPTED = 2
_UNWIND_S = 15.0


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
    board: str,
    package: Path,
    trust: Path | None = None,
    captures: Path | None = None,
    results_dir: Path | None = None,
    *,
    profile: str | None = None,
    inventory: Path | None = None,
    tier: str | None = None,
    wait: str | None = None,
    frames: int | None = None,
    loop_frames: int | None = None,
    refuse: Mapping[str, Path] | None = None,
    select: str = "",
    arguments: Sequence[str] = (),
    progress: Callable[[SuiteEvent], None] | None = None,
    timeout_s: float = 1800.0,
) -> HilResults:
    """Run the suite and return its results, also when limits fail, the board breaks, or the run is INCOMPLETE.

    However it ends (also by an interrupt, which is raised again), ``results.json``, ``junit.xml`` and ``report.html``
    say so, and the child and what it started are gone.

    Args:
        board: the board, e.g. ``emu:`` or ``ssh://lab@board17``, or its name in the inventory.
        package: the signed package (.ksm).
        trust: the signed trust store; ``trust.ksr`` beside the package if None.
        captures: folder of hard-case captures; without it the accuracy checks are skipped.
        results_dir: where ``results.json``, ``junit.xml``, ``report.html`` and ``pytest.log`` go; a temporary folder
            if None.
        profile: the board's profile, a name or a TOML file; by default that of the kind that the board names.
        inventory: labgrid environment file that has the board's name.
        tier: ``smoke``, ``ci`` or ``release``; ``ci`` if None.
        wait: how long to wait for a board that is in use, e.g. ``10m``; not at all if None.
        frames: most captures to run on the board; chosen by the link's speed if None.
        loop_frames: counted inferences of the paced loop; the tier's if None.
        refuse: further packages that the board must refuse, by the code of the reason, e.g. ``{"rollback": old}``.
        select: a pytest ``-k`` expression.
        arguments: further arguments for pytest.
        progress: called with each event.
        timeout_s: the child is ended after this time; the results are INCOMPLETE then.

    Raises:
        SuiteError: the suite could not be run as asked (usage, nothing collected, folder in use); its text says why.
        ResultsError: the results cannot be written.
    """
    if results_dir is None:
        results_dir = Path(tempfile.mkdtemp(prefix="ks100-hil-"))
    results_dir = results_dir.resolve()
    options = {
        "--ks-package": package, "--ks-trust": trust, "--ks-captures": captures, "--ks-results": results_dir,
        "--ks-inventory": inventory,
    }  # fmt: skip
    # By its folder and not by --pyargs, which would also load a conftest.py of the folder that the caller stands in.
    suite = Path(hil.suite.__file__).parent
    command = [sys.executable, "-P", "-m", "pytest", str(suite), "--ks-board", board]
    command += [f"{name}={Path(value).resolve()}" for name, value in options.items() if value is not None]
    command += [f"--ks-profile={_profile(profile)}"] if profile is not None else []
    command += [f"--ks-tier={tier}"] if tier is not None else []
    command += [f"--ks-wait={wait}"] if wait is not None else []
    command += [f"--ks-frames={frames}"] if frames is not None else []
    command += [f"--ks-loop={loop_frames}"] if loop_frames is not None else []
    command += [f"--ks-refuse={reason}={path.resolve()}" for reason, path in (refuse or {}).items()]
    command += ["-k", select] if select else []
    # A project's own pytest settings must not change what is measured.
    command += ["-c", os.devnull, f"--rootdir={suite}", f"--confcutdir={suite}", "-p", "no:cacheprovider", "-ra"]
    command += arguments
    blank = HilResults(board, _link(board), time.time())
    with hold_results(results_dir, host_name()) as lock:
        try:
            for name in (RESULTS_FILE, JUNIT_FILE, REPORT_FILE):
                (results_dir / name).unlink(missing_ok=True)
            status, stopped = _run(command, results_dir, lock, progress, timeout_s)
        except OSError as error:
            raise ResultsError(f"results cannot be written to {results_dir}: {error.strerror}") from error
        except KeyboardInterrupt as stop:
            number = getattr(stop, "number", signal.SIGINT)
            _finish(results_dir, blank, _INTERRUPTED, signal.Signals(number).name)
            raise
        return _collect(results_dir, blank, status, stopped)


def _link(url: str) -> str:
    try:
        return "serial" if BoardAddress.parse(url).is_serial else "ssh"
    except InputError:
        return ""  # the plugin says so in a line


def _profile(profile: str) -> str:
    return str(Path(profile).resolve()) if profile.endswith(".toml") else profile


def _run(
    command: list[str], folder: Path, lock: int, progress: Callable[[SuiteEvent], None] | None, timeout_s: float
) -> tuple[int, str]:
    """Return the child's exit code, and why it was stopped or ``""``; whatever is raised, the child is gone."""
    read, write = os.pipe()
    lifeline, alive = os.pipe()
    inherited = {EVENTS_VARIABLE: write, LOCK_VARIABLE: lock, LIFELINE_VARIABLE: lifeline}
    environment = {**os.environ, **{name: str(at) for name, at in inherited.items()}, "PYTHONUNBUFFERED": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    stopped = ""
    with (folder / LOG_FILE).open("wb") as log, os.fdopen(alive, "wb"):
        # A session of its own: a terminal's Ctrl-C reaches the child once, from here.
        child = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment,
            pass_fds=tuple(inherited.values()), start_new_session=True,
        )  # fmt: skip
        os.close(write)
        os.close(lifeline)
        follower = threading.Thread(target=_follow, args=(read, progress), daemon=True)
        follower.start()
        try:
            status = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            stopped = f"it did not end within {timeout_s:.0f} s"
            status = _end(child)
        finally:
            _end(child)
            follower.join(5.0)
    return status, stopped


def _end(child: subprocess.Popen[bytes]) -> int:
    """End the child; an interrupt lets its fixtures release the board, and only a child that ignores it is killed."""
    try:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                child.wait(_UNWIND_S)
    finally:
        if child.poll() is None:
            child.kill()
    return child.wait()


def _follow(descriptor: int, progress: Callable[[SuiteEvent], None] | None) -> None:
    """Turn the child's event lines into calls; ends when the child has closed its end."""
    with os.fdopen(descriptor, "r", encoding="utf-8") as stream:
        for line in stream:
            if progress is None:
                continue
            item = json.loads(line)
            progress(SuiteEvent(float(item["share"]), str(item["text"]), str(item["outcome"])))


def _collect(folder: Path, blank: HilResults, status: int, stopped: str) -> HilResults:
    exists = (folder / RESULTS_FILE).exists()
    if status in _NOT_AS_ASKED or (not exists and status >= 0 and not stopped):
        raise SuiteError(f"the suite did not run: {_reason(folder / LOG_FILE)} (pytest exit code {status})")
    if status < 0 and not stopped:
        memory = "; out of memory?" if -status == signal.SIGKILL else ""
        stopped = f"its process was ended by {signal.Signals(-status).name}{memory}"
    return _finish(folder, blank, status, stopped)


def _finish(folder: Path, blank: HilResults, status: int, stopped: str) -> HilResults:
    """Write and return the results with how the run ended; ``blank`` stands for those of a run that came to nothing."""
    found = HilResults.load(folder) if (folder / RESULTS_FILE).exists() else blank
    # A fault of the board has an exit code of its own; the results keep pytest's.
    own = found.exit_status if status == FAULT and found.exit_status >= 0 else status
    results = replace(found, exit_status=own, stopped=stopped or found.stopped)
    if results == found and (folder / REPORT_FILE).exists():
        return results
    try:
        results.save(folder)
        write_results_junit(results, folder / JUNIT_FILE)
        write_run_report(results, folder)
    except (InputError, OSError) as error:
        raise ResultsError(f"the results cannot be kept, and what is there is INCOMPLETE: {error}") from error
    return results


def _reason(log: Path) -> str:
    """Return the line of pytest's output that says why it stopped."""
    with suppress(OSError):
        text = log.read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith(("error", "e  ", "usage", "exit:"))]
        chosen = errors[-1:] or lines[-1:]
        if chosen:
            return f"{chosen[0].removeprefix('ERROR: ').removeprefix('Exit: ')}; see {log}"
    return f"see {log}"
