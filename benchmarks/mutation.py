"""Mutation testing of the files that decide about trust: `make mutation`, or `python -m benchmarks.mutation --json F`.

Each mutant (cosmic-ray's operators) is one small change of one file. It runs in a forked process that has pytest and
every third-party library loaded already, and imports the changed source in place of the file, which stays untouched.

Left out: changes in annotations, which are never evaluated; == against `is`, the same between enums, types and small
integers; and the words of messages.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import select
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
PACKAGE = "firmware_bridge.package"
MODULES = ("cose", "layout", "container", "trust")
# The quickest to notice something come first: a mutant's run ends with its first failure.
TESTS = ("vectors", "trust_rules", "trust_values", "cose_profile", "package_file", "trust_store", "trust_store_amend",
         "signers", "trust_mutants")  # fmt: skip
TIMEOUT_S = 40.0
TARGET = 0.95
_SAME = ("Eq_Is", "Is_Eq", "NotEq_IsNot", "IsNot_NotEq")


@dataclass(frozen=True)
class Mutant:
    """One changed file."""

    module: str
    operator: str
    occurrence: int
    line: int
    change: str
    source: str

    @property
    def name(self) -> str:
        """What names it on the command line."""
        return f"{self.module}:{self.operator}:{self.occurrence}"


@dataclass(frozen=True)
class Outcome:
    """What the tests said of a mutant: killed, timeout (which counts as killed) or survived."""

    name: str
    line: int
    change: str
    verdict: str


class _Replacing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from changed source."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = f"{PACKAGE}.{mutant.module}"
        self._source = mutant.source

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(fullname, self) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._source, f"<mutant of {self._name}>", "exec"), module.__dict__)  # noqa: S102 - that is what mutation testing is


def mutants(module: str) -> Iterator[Mutant]:
    """Make all mutants of a module that are another program."""
    import cosmic_ray.plugins
    from cosmic_ray.mutating import MutationVisitor

    source = _path(module).read_text()
    known = {_program(source)}
    for operator_name in sorted(cosmic_ray.plugins.operator_names()):
        if operator_name.endswith(_SAME):
            continue
        make = cosmic_ray.plugins.get_operator(operator_name)
        if make.arguments():  # changes of names, that somebody would have to choose
            continue
        operator = make()
        for occurrence in range(10_000):
            changed = MutationVisitor.mutate_code(source, operator, occurrence)
            if changed is None:
                break
            program = _program(changed)
            if program not in known:
                known.add(program)
                yield Mutant(module, operator_name.split("/")[-1], occurrence, *_difference(source, changed), changed)


def _path(module: str) -> Path:
    return ROOT / Path(*PACKAGE.split(".")) / f"{module}.py"


def _program(source: str) -> str:
    """Return the syntax tree without annotations and formatted text, or the source if it is not a program."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        elif isinstance(node, ast.JoinedStr):
            node.values = []
    return ast.dump(tree)


def _difference(source: str, changed: str) -> tuple[int, str]:
    old, new = source.splitlines(), changed.splitlines()
    line = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    parts = [part for part in difflib.ndiff(old[line : line + 1], new[line : line + 1]) if part[0] in "-+"]
    return line + 1, " | ".join(part.strip() for part in parts)


def _start(mutant: Mutant) -> tuple[int, int]:
    """Fork a process that runs the tests on the mutant; return its id and a pipe that ends when it ends."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.close(reading)
    code = 99
    try:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        sys.meta_path.insert(0, _Replacing(mutant))
        # Now, for pytest will put a finder of its own in front of all others.
        importlib.import_module(f"{PACKAGE}.{mutant.module}")
        code = _run_tests()
    finally:
        os._exit(code)


def _run_tests() -> int:
    import pytest

    quiet = ["-x", "-q", "-p", "no:ks100-hil", "-p", "no:xdist", "-p", "no:terminalreporter", "--hypothesis-seed=0"]
    files = [f"tests/package/test_{name}.py" for name in TESTS]
    return int(pytest.main([*quiet, "-o", "addopts=--import-mode=importlib -p no:cacheprovider", *files]))


def _preload() -> None:
    """Load what every mutant's run needs and no mutant changes."""
    import cbor2
    import cryptography.hazmat.primitives.asymmetric.ec
    import flatbuffers
    import hypothesis.strategies
    import numpy as np
    import pytest
    import tflite

    del cbor2, cryptography, flatbuffers, hypothesis, np, pytest, tflite
    assert not any(name.startswith("firmware_bridge") for name in sys.modules)


def judge(work: Sequence[Mutant], jobs: int) -> Iterator[Outcome]:
    """Run all mutants, ``jobs`` at a time."""
    waiting = list(reversed(work))
    running: dict[int, tuple[Mutant, int, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            child, pipe = _start(mutant)
            running[pipe] = (mutant, child, time.monotonic() + TIMEOUT_S)
        ended, _, _ = select.select(list(running), [], [], 0.5)
        for pipe, (mutant, child, deadline) in list(running.items()):
            late = time.monotonic() > deadline
            if pipe not in ended and not late:
                continue
            if late:
                os.killpg(child, signal.SIGKILL)
            os.close(pipe)
            del running[pipe]
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            verdict = "timeout" if late else "survived" if code == 0 else "killed"
            yield Outcome(mutant.name, mutant.line, mutant.change, verdict)


def main() -> int:
    """Run, print the score as JSON, and return 1 when it is under the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="F", help="also write every outcome to this file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=Path, metavar="F", help="only those that survived in this earlier file")
    parser.add_argument("--module", action="append", choices=MODULES, help="only this file; may be repeated")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="only N of them, drawn by a fixed seed: a quick estimate"
    )
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    _preload()
    unchanged = Mutant(MODULES[0], "none", 0, 0, "", _path(MODULES[0]).read_text())
    if next(judge([unchanged], 1)).verdict != "survived":
        print("the tests fail without any mutant; repair them first", file=sys.stderr)
        return 2
    work = [mutant for module in options.module or MODULES for mutant in mutants(module)]
    if options.only is not None:
        earlier = {o["name"] for o in json.loads(options.only.read_text())["outcomes"] if o["verdict"] == "survived"}
        work = [mutant for mutant in work if mutant.name in earlier]
    if options.sample is not None:
        work = random.Random(0).sample(work, min(options.sample, len(work)))  # noqa: S311 - not a secret
    outcomes = _watch(work, options.jobs)
    score = _score(outcomes)
    print(json.dumps(score))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**score, "outcomes": [asdict(o) for o in outcomes]}, indent=1) + "\n")
    return 0 if score["mutants_killed_share"] >= TARGET else 1


def _watch(work: Sequence[Mutant], jobs: int) -> list[Outcome]:
    """Judge all mutants and print those that survive; an interrupt (Ctrl-C) ends it with what is known by then."""
    outcomes: list[Outcome] = []
    try:
        for outcome in judge(work, jobs):
            outcomes.append(outcome)
            if outcome.verdict == "survived":
                print(f"survived: {outcome.name}, line {outcome.line}: {outcome.change}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print(f"interrupted after {len(outcomes)} of {len(work)} mutants", file=sys.stderr)
    return outcomes


def _score(outcomes: Sequence[Outcome]) -> dict[str, float]:
    verdicts = Counter(outcome.verdict for outcome in outcomes)
    killed = verdicts["killed"] + verdicts["timeout"]
    return {
        "mutants_tried": len(outcomes),
        "mutants_killed": killed,
        "mutants_survived": verdicts["survived"],
        "mutants_killed_share": round(killed / max(1, len(outcomes)), 4),
        "target": TARGET,
    }


if __name__ == "__main__":
    sys.exit(main())
