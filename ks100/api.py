"""The Python API: the ten names that `ks100` exports, for scripts and notebooks.

Each corresponds to the command of the same name, works on plain files, and raises the errors that commands map to exit
codes (`ks100.cli.main.code_of`). Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hil.boards import open_board
from models.progress import Progress, silent

if TYPE_CHECKING:
    from firmware_bridge.host.fleet import FlashEvent, FlashResult
    from firmware_bridge.package.container import PackageFile
    from firmware_bridge.package.trust import VerifiedPackage
    from hil.comparison.runs import RunComparison
    from hil.measurements.results import HilResults
    from ks100.steps.quantizing import GraphSummary
    from models.captures import CaptureSet
    from models.evaluation.gate import GatePolicy, GateResult
    from models.evaluation.metrics import Evaluation

__all__ = [
    "compare", "evaluate", "flash", "judge", "load_captures", "open_board", "quantize", "read_package", "run_suite",
    "verify",
]  # fmt: skip


def load_captures(path: str | Path) -> CaptureSet:
    """Read a stored capture set, or a dataset from its annotations.

    Raises:
        DataError: it cannot be read.
    """
    from ks100.steps.captures import load_captures as load

    return load(Path(path))[0]


def quantize(
    graph: str | Path,
    calibration: str | Path,
    out: str | Path,
    *,
    plan: str | Path = "int8",
    runtime: str = "litert",
    progress: Progress = silent,
) -> GraphSummary:
    """Quantize a float ``.tflite`` (post-training), and check every operation against the plan.

    Args:
        graph: the float graph.
        calibration: a capture set, a dataset, or a folder of ``.npz`` samples.
        out: the graph to write.
        plan: ``int8``, ``int16``, ``mixed``, or a plan file.
        runtime: ``litert`` or ``tflite-runtime``.
        progress: called with (fraction, text).

    Raises:
        QuantizationError: an operation cannot be quantized, or an output collapses.
    """
    from ks100.steps.quantizing import post_training

    return post_training(Path(graph), plan, Path(calibration), Path(out), progress, runtime=runtime)


def evaluate(
    graph: str | Path, captures: CaptureSet | str | Path, *, runtime: str | None = None, progress: Progress = silent
) -> Evaluation:
    """Run a graph (``.tflite`` or ``.ksm``) over captures on this host: AP50, recall, errors, by condition.

    Raises:
        DataError: the captures cannot be read.
        InputError: the file is not a graph that the runtime can load.
    """
    from ks100.steps.evaluating import evaluate_graph

    chosen = load_captures(captures) if isinstance(captures, (str, Path)) else captures
    return evaluate_graph(Path(graph), chosen, progress, runtime=runtime)


def judge(parent: Evaluation, candidate: Evaluation, policy: GatePolicy | None = None) -> GateResult:
    """Judge a candidate against its float parent on the same hard cases: PASS, FAIL or INCONCLUSIVE.

    Raises:
        DataError: the evaluations are of different frames.
    """
    from models.evaluation.gate import GatePolicy, PairedEvaluations
    from models.evaluation.gate import judge as judge_pairs

    return judge_pairs(PairedEvaluations(parent, candidate), None, policy or GatePolicy())


def read_package(path: str | Path) -> PackageFile:
    """Read a package's head without verifying it; see `verify`.

    Raises:
        InputError: the file cannot be read.
        RejectedError: the package is incomplete or malformed.
    """
    from firmware_bridge.package.container import PackageFile

    return PackageFile.open(Path(path))


def verify(package: str | Path, trust: str | Path) -> VerifiedPackage:
    """Check a package by all rules that need no board.

    Raises:
        RejectedError: the first rule that refuses it.
    """
    from ks100.steps.packaging import read_trust, verify_file

    return verify_file(Path(package), read_trust(Path(trust)))


def flash(
    package: str | Path,
    boards: Sequence[str],
    *,
    trust: str | Path | None = None,
    activate: bool = True,
    confirm: bool = True,
    reinstall: bool = False,
    create: bool = False,
    events: Callable[[FlashEvent], None] | None = None,
) -> tuple[FlashResult, ...]:
    """Push a package to boards in parallel, run its trial on each, and confirm it.

    Args:
        package: the ``.ksm`` file.
        boards: addresses, such as ``ssh://lab@board17`` or ``emu:DIR``.
        trust: trust store for provisioning new virtual boards; ``trust.ksr`` beside the package if None.
        activate: activate it after the push.
        confirm: confirm it after the trial.
        reinstall: also on boards that already run it.
        create: create emulated boards (``emu:DIR``) that do not exist.
        events: called with each board's progress, in the calling thread.

    Returns:
        One result per board, in order; a failed board does not stop the others.

    Raises:
        RejectedError: the package violates a rule that needs no board.
    """
    from firmware_bridge.host.fleet import FlashOptions, FlashTarget, ModelIdentity
    from firmware_bridge.host.fleet import flash as flash_targets
    from ks100.steps.packaging import read_trust, verify_file

    file = Path(package)
    store = read_trust(file.parent / "trust.ksr" if trust is None else Path(trust))
    manifest = verify_file(file, store).manifest
    known = ModelIdentity.of(manifest)

    def target(url: str) -> FlashTarget:
        return FlashTarget(url, lambda: open_board(url, trust=store.raw, create=create))

    leave = known if activate and not reinstall else None
    options = FlashOptions(activate, confirm, unless_active=leave, digest=known.digest)
    return flash_targets([target(url) for url in boards], read_package(file), options, events=events)


def run_suite(
    package: str | Path,
    board: str = "emu:",
    *,
    trust: str | Path | None = None,
    captures: str | Path | None = None,
    results: str | Path | None = None,
    profile: str | None = None,
    progress: Progress = silent,
) -> HilResults:
    """Run the hardware-in-the-loop suite on a board: identity, latency, power, parity, accuracy, rejections.

    Args:
        package: the package to install and measure.
        board: its address.
        trust: the trust store; ``trust.ksr`` beside the package if None.
        captures: the hard cases; accuracy is not measured without them.
        results: folder for ``results.json`` and ``junit.xml``; temporary if None.
        profile: the board's profile, a name or a TOML file; if None, that of the kind that the board reports.
        progress: called with (fraction, text).

    Raises:
        SuiteError: the suite could not be run.
    """
    from hil.suite_runner import run_suite as run

    return run(
        board,
        Path(package),
        None if trust is None else Path(trust),
        None if captures is None else Path(captures),
        None if results is None else Path(results),
        profile=profile,
        progress=lambda event: progress(event.share, event.text),
    )


def compare(
    before: HilResults | str | Path,
    after: HilResults | str | Path,
    *,
    allow: Sequence[str] = (),
    policy: str | Path | None = None,
    history: str | Path | None = None,
) -> RunComparison:
    """Compare two runs figure by figure, by the interval of the difference and a margin; MISSING is not a pass.

    The variation between equal runs is taken from the history; without it, varying figures are inconclusive.

    Args:
        before: the baseline.
        after: the run under test.
        allow: permitted differences, e.g. ``link``; see `hil.comparison.comparable.DIFFERENCES`.
        policy: margins, limits and confidence (TOML); the defaults if None.
        history: the history of runs, written by `ks100 hil run`.

    Raises:
        EvidenceError: the runs are not comparable.
        SuiteError: the policy is invalid.
    """
    from hil.comparison.history import History
    from hil.comparison.policy import ComparisonPolicy
    from hil.comparison.runs import compare as compare_runs
    from hil.measurements.results import HilResults

    first, second = (item if isinstance(item, HilResults) else HilResults.load(Path(item)) for item in (before, after))
    rules = None if policy is None else ComparisonPolicy.load(Path(policy))
    spreads = None if history is None else History(Path(history)).spreads(first, second)
    return compare_runs(first, second, rules, allow=allow, spreads=spreads)
