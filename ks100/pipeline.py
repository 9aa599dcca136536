"""The steps from captures to a measured, signed model, with their inputs, outputs and dependencies.

`ks100.steps` implements the steps; `ks100.run_folder` decides which must run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.device.profile import DEFAULT_BOARD, BoardProfile, profile_text
from ks100.layout import (
    CANDIDATE,
    CAPTURES,
    FRONT,
    GRAPHS,
    POOLS,
    PROFILE,
    SENSITIVITY,
    TWIN,
    card_file,
    detections_file,
    evaluation_file,
)
from ks100.run_folder import Step
from models.progress import Progress, counted

__all__ = ["DemoOptions", "build_steps"]

_STUDIED = ("captures/validation", "captures/hard-dev", "captures/calibration")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Options of the demo.

    Attributes:
        seed: of the captures.
        recipe: training recipe, a shipped name or a file.
        program: program of the package.
        board: the kind of board, a profile's name or TOML file.
        frames: frame pairs by pool where they differ from the default.
        policy: the gate's policy (TOML). By default only the hard cases decide, and condition categories are reported:
            proving 1.8 points needs some thousand objects per category (docs/evaluation.md).
        headroom: power of the planned network above idle, relative to the same network in INT8. By default that of the
            board's published mixed plan; without one, only the board's budget applies.
        waiver: reason to release a candidate without a passed gate; ``""`` stops there.
    """

    seed: int = 1
    recipe: str = "fusion-small-demo"
    program: str = "demo"
    board: str = DEFAULT_BOARD
    frames: tuple[tuple[str, int], ...] = (("hard-holdout", 400),)
    policy: Path | None = None
    headroom: float | None = None
    waiver: str = ""


def build_steps(options: DemoOptions) -> tuple[Step, ...]:
    """Return the steps up to the signed package, in order.

    Raises:
        InputError: the board's profile cannot be read or is invalid.
    """
    runtime = BoardProfile.load(options.board).runtime
    return (
        _profile(options),
        _keys(options),
        _captures(options),
        _train(options),
        _sensitivity(),
        _plan(options),
        _post_training(runtime),
        _fine_tune(),
        _produce(runtime),
        *(_evaluate(model, pool) for pool in POOLS for model in GRAPHS),
        _gate(options),
        _operating_point(),
        _sign(options),
    )


def _keys(options: DemoOptions) -> Step:
    def work(run: Path, progress: Progress) -> None:
        from firmware_bridge.files import write_atomically
        from ks100.steps.keyring import Keyring

        progress(0.0, "two roots, the program's key, the custody log's key")
        ring = Keyring.create(run / "keys")
        write_atomically(run / "trust.ksr", ring.trust_store(options.program).raw)

    return Step(
        "keys", "Make keys and the trust store", work, outputs=("keys", "trust.ksr"),
        parameters={"program": options.program}, lasting=True,
    )  # fmt: skip


def _profile(options: DemoOptions) -> Step:
    text = profile_text(options.board)

    def work(run: Path, progress: Progress) -> None:
        progress(0.0, options.board)
        (run / PROFILE).write_text(text)

    return Step("profile", "Copy the board's profile", work, outputs=(PROFILE,), parameters={"profile": text})


def _captures(options: DemoOptions) -> Step:
    def work(run: Path, progress: Progress) -> None:
        from models.curation import generate_pools

        generate_pools(
            options.seed,
            dict(options.frames),
            run / "captures",
            counted(progress, "{done}/{total} frame pairs"),
        )

    return Step(
        "captures", "Generate EO + thermal captures", work,
        outputs=tuple(f"captures/{pool}" for pool in CAPTURES),
        parameters={"seed": options.seed, "frames": dict(options.frames)},
    )  # fmt: skip


def _train(options: DemoOptions) -> Step:
    from models.training.recipe import Recipe

    recipe = Recipe.load(options.recipe).to_toml()

    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.training import train_float

        train_float(run / "captures", options.recipe, run / "network", progress)

    return Step(
        "train", "Train the fusion detector (FP32)", work, outputs=("network",),
        inputs=("captures/train", "captures/validation"), parameters={"recipe": recipe},
    )  # fmt: skip


def _sensitivity() -> Step:
    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.sensitivity import map_network

        map_network(run / GRAPHS["FP32"], run / "captures", run / SENSITIVITY, progress)

    return Step(
        "sensitivity", "Measure the sensitivity of layers to INT8, by condition", work, outputs=(SENSITIVITY,),
        inputs=(GRAPHS["FP32"], *_STUDIED),
    )  # fmt: skip


def _plan(options: DemoOptions) -> Step:
    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.planning import choose_plan

        choose_plan(
            run / GRAPHS["FP32"], run / "captures", run / SENSITIVITY, run / PROFILE, options.headroom,
            run / "plan.json", run / FRONT, progress,
        )  # fmt: skip

    return Step(
        "plan", "Choose the precision plan within the power budget", work, outputs=("plan.json", FRONT),
        inputs=(GRAPHS["FP32"], SENSITIVITY, PROFILE, *_STUDIED), parameters={"headroom": options.headroom},
    )  # fmt: skip


def _post_training(runtime: str) -> Step:
    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.quantizing import post_training

        post_training(
            run / GRAPHS["FP32"], "int8", run / "captures/calibration", run / GRAPHS["INT8 PTQ"], progress,
            runtime=runtime, allow_collapse=True,  # only for comparison, never released: a collapse is a result
        )  # fmt: skip

    return Step(
        "ptq", "Quantize to INT8 without training (PTQ)", work, outputs=(GRAPHS["INT8 PTQ"],),
        inputs=(GRAPHS["FP32"], "captures/calibration"), parameters={"runtime": runtime},
    )  # fmt: skip


def _fine_tune() -> Step:
    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.finetuning import TuningFiles, finetune

        finetune(TuningFiles(run / "network", run / "plan.json", run / "captures"), run / "qat", progress)

    return Step(
        "qat", "Fine-tune with simulated quantization (QAT), and the float twin", work, outputs=("qat",),
        inputs=("network", "plan.json", "captures/train", "captures/validation", "captures/calibration"),
    )  # fmt: skip


def _produce(runtime: str) -> Step:
    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.quantizing import trained

        progress(0.0, "one graph, each operation according to the plan")
        trained(run / "qat", run / GRAPHS[CANDIDATE], calibration=run / "captures/calibration", runtime=runtime)

    graph = GRAPHS[CANDIDATE]
    return Step(
        "graph", "Produce one mixed-precision graph and check each type", work,
        outputs=(graph, str(Path(graph).with_suffix(".lint.json"))),
        inputs=("qat", "captures/calibration"), parameters={"runtime": runtime},
    )  # fmt: skip


def _evaluate(model: str, pool: str) -> Step:
    out = evaluation_file(model, pool)
    found = detections_file(model, pool)

    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.evaluating import evaluate_graph

        evaluate_graph(
            run / GRAPHS[model], run / "captures" / pool, progress, model=model, detections_out=run / found
        ).save(run / out)

    return Step(
        f"evaluate-{Path(out).stem}", f"Evaluate {model} on {pool} captures", work, outputs=(out, found),
        inputs=(GRAPHS[model], f"captures/{pool}"),
    )  # fmt: skip


def _gate(options: DemoOptions) -> Step:
    judged = ("hard-holdout", "conditions")
    pairs = {pool: (evaluation_file(TWIN, pool), evaluation_file(CANDIDATE, pool)) for pool in judged}

    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.evaluating import judge_candidate
        from models.evaluation.gate import GatePolicy

        progress(0.0, "paired bootstrap over scenes")
        policy = GatePolicy(conditions_required=False) if options.policy is None else GatePolicy.load(options.policy)
        hard, conditions = ((run / a, run / b) for a, b in (pairs["hard-holdout"], pairs["conditions"]))
        judge_candidate(hard, conditions, policy).save(run / "gate.json")

    policy = "" if options.policy is None else options.policy.read_text("utf-8")
    return Step(
        "gate", "Judge the candidate on the hard cases", work, outputs=("gate.json",),
        inputs=tuple(file for pair in pairs.values() for file in pair), parameters={"policy": policy},
    )  # fmt: skip


def _operating_point() -> Step:
    evaluation, parent, out = evaluation_file(CANDIDATE, "conditions"), GRAPHS["FP32"], card_file(CANDIDATE)

    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.operating import write_card

        progress(0.0, write_card(run / evaluation, run / card_file("FP32"), run / out))

    return Step(
        "operating-point", "Choose the score threshold that promises a recall", work, outputs=(out,),
        inputs=(evaluation, parent),
    )  # fmt: skip


def _sign(options: DemoOptions) -> Step:
    def work(run: Path, progress: Progress) -> None:
        from ks100.steps.release import release

        progress(0.0, "manifest, signature, custody statements")
        release(run, options.program, options.waiver)

    return Step(
        "sign", "Sign the package, record its custody", work, outputs=("package.ksm",),
        inputs=(
            GRAPHS[CANDIDATE], card_file(CANDIDATE), GRAPHS["FP32"], "qat", PROFILE, "gate.json", "plan.json", "keys",
        ),
        parameters={"program": options.program, "waiver": options.waiver},
    )  # fmt: skip
