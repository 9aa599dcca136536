"""Examples at the end of each command's help, by the command's full name."""

from __future__ import annotations

__all__ = ["EXAMPLES"]

EXAMPLES: dict[str, tuple[str, ...]] = {
    "": ("ks100 demo --run runs/demo", "ks100 flash runs/demo/package.ksm --board emu:boards/one --create"),
    "demo": ("ks100 demo", "ks100 demo --run runs/lynx --profile lynx.toml --pairs train=400"),
    "scenes": ("ks100 scenes pools --out captures", "ks100 scenes sheet captures/hard-dev --out hard.png"),
    "scenes generate": ("ks100 scenes generate --count 50 --hardness 0.8 --out captures/hard",),
    "scenes pools": ("ks100 scenes pools --seed 1 --out captures",),
    "scenes sheet": ("ks100 scenes sheet captures/hard-dev --out hard.png --count 12",),
    "dataset": (
        "ks100 dataset inspect annotations/val.json",
        "ks100 dataset split LLVIP --part train=0.8 --part val=0.2 --out parts",
    ),
    "dataset inspect": ("ks100 dataset inspect annotations/val.json", "ks100 dataset inspect my-layout.toml"),
    "dataset overlap": ("ks100 dataset overlap captures/train captures/hard-holdout",),
    "dataset split": ("ks100 dataset split LLVIP --part train=0.8 --part validation=0.2 --out parts",),
    "hard": (
        "ks100 hard mine captures/pool --previous v1.ksm --previous v2.ksm --out hard",
        "ks100 hard check hard mixed.tflite",
    ),
    "hard accesses": ("ks100 hard accesses captures/hard-holdout",),
    "hard check": ("ks100 hard check hard mixed.tflite network/float.tflite",),
    "hard mine": (
        "ks100 hard mine captures/pool --previous v1.ksm --previous v2.json --out hard --holdout hard-holdout",
    ),
    "hard seal": ("ks100 hard seal captures/hard-holdout --purpose 'release 1.2'",),
    "calibration": (
        "ks100 calibration build captures/train --out calibration",
        "ks100 calibration check calibration --evaluation captures/validation",
    ),
    "calibration build": ("ks100 calibration build captures/train --count 128 --out calibration",),
    "calibration check": (
        "ks100 calibration check calibration --evaluation captures/validation --graph float.tflite --strict",
    ),
    "zoo": ("ks100 zoo list",),
    "zoo list": ("ks100 zoo list",),
    "zoo export": ("ks100 zoo export fusion-transformer --out network",),
    "zoo add": (
        "ks100 zoo add network --pool captures/validation --pool captures/hard-dev --commit HASH --out models/zoo",
    ),
    "train": ("ks100 train --captures captures --recipe fusion-small --out network",),
    "quantize": (
        "ks100 quantize tuned --calibration captures/calibration --out mixed.tflite",
        "ks100 quantize float.tflite --calibration samples --plan int8 --out int8.tflite",
    ),
    "finetune": (
        "ks100 finetune network --plan mixed --captures captures --out tuned",
        "ks100 finetune float.tflite --plan int8 --samples samples --out tuned",
    ),
    "import": (
        "ks100 import yolo.onnx --classes airplane,bird,drone,helicopter --out imported",
        "ks100 import detector.keras --shape image=1,256,320,3 --out imported",
    ),
    "card": ("ks100 card yolo.tflite --classes airplane,bird,drone,helicopter",),
    "operating-point": ("ks100 operating-point mixed.json --recall 0.7 --card mixed.card.toml --float float.json",),
    "evaluate": (
        "ks100 evaluate mixed.tflite --captures captures/hard-holdout --out mixed.json",
        "ks100 evaluate yolo.tflite --card yolo.card.toml --captures annotations/val.json",
    ),
    "gate": (
        "ks100 gate float.json mixed.json --captures captures/hard-holdout --out gate.json",
        "ks100 gate gate.json",
    ),
    "sensitivity": ("ks100 sensitivity network --captures captures --html map.html",),
    "plan": (
        "ks100 plan network --map sensitivity.json --captures captures --out plan.json",
        "ks100 plan float.tflite --map sensitivity.json --watts 6.1 --ms 16",
    ),
    "cost": ("ks100 cost mixed.tflite", "ks100 cost float.tflite --plan plan.json --profile lynx.toml --json"),
    "keys": ("ks100 keys ring keys", "ks100 keys new keys/program.pem"),
    "keys new": ("ks100 keys new keys/program.pem --algorithm ES384",),
    "keys ring": ("ks100 keys ring keys",),
    "keys show": ("ks100 keys show keys/program.pem",),
    "trust": ("ks100 trust init --keys keys --program demo", "ks100 trust show trust.ksr"),
    "trust add": ("ks100 trust add trust.ksr new.pem.pub --root keys/root-1.pem --root keys/root-2.pem",),
    "trust floor": ("ks100 trust floor trust.ksr 4 --root keys/root-1.pem --root keys/root-2.pem",),
    "trust init": ("ks100 trust init --keys keys --program demo --out trust.ksr",),
    "trust revoke": (
        "ks100 trust revoke trust.ksr b3533507 --reason 'laptop stolen' --root keys/root-1.pem --root keys/root-2.pem",
    ),
    "trust rotate": (
        "ks100 trust rotate trust.ksr --root old-1.pem --root old-2.pem --new-root new-1.pem --new-root new-2.pem",
    ),
    "trust show": ("ks100 trust show trust.ksr", "ks100 trust show trust.ksr --json"),
    "sign": (
        "ks100 sign mixed.tflite --gate gate.json --key keys/program.pem --program demo --out model.ksm",
        "ks100 sign mixed.tflite --gate gate.json --digest-out digest --public-key hsm.pub --program demo",
    ),
    "attach": ("ks100 attach mixed.unsigned --signature digest.sig --public-key hsm.pub --out model.ksm",),
    "verify": ("ks100 verify model.ksm --trust trust.ksr", "ks100 verify model.ksm --trust trust.ksr --json"),
    "verify-raw": ("ks100 verify-raw --public-key key.pub --message file --signature file.sig",),
    "inspect": ("ks100 inspect model.ksm", "ks100 inspect mixed.tflite --json"),
    "custody": ("ks100 custody show model.ksm", "ks100 custody verify model.ksm --key log.pem.pub"),
    "custody show": ("ks100 custody show model.ksm --log custody --html custody.html",),
    "custody verify": ("ks100 custody verify model.ksm --log custody --key keys/log.pem.pub",),
    "emulate": ("ks100 emulate boards/one --trust trust.ksr", "ks100 emulate boards/lynx --profile lynx.toml"),
    "boards": (
        "ks100 boards list",
        "ks100 boards info ssh://lab@board17",
        "ks100 boards confirm --inventory lab.yaml --all",
    ),
    "boards activate": (
        "ks100 boards activate ssh://lab@board17",
        "ks100 boards activate emu:boards/one --slot b --confirm",
    ),
    "boards audit": ("ks100 boards audit emu:boards/one", "ks100 boards audit bench-1 --inventory lab.yaml --since 40"),
    "boards check": ("ks100 boards check", "ks100 boards check --inventory lab.yaml --all"),
    "boards confirm": ("ks100 boards confirm ssh://lab@board17", "ks100 boards confirm --all --inventory lab.yaml"),
    "boards info": ("ks100 boards info ssh://lab@board17", "ks100 boards info --all --json"),
    "boards list": (
        "ks100 boards list",
        "ks100 boards list --inventory lab.yaml --watch",
        "ks100 boards list --no-ask --json",
    ),
    "boards provision": ("ks100 boards provision ssh://ks100@board17 --trust trust.ksr",),
    "boards reboot": ("ks100 boards reboot ssh://lab@board17",),
    "boards rollback": ("ks100 boards rollback ssh://lab@board17",),
    "provision": (
        "ks100 provision ssh://ks100@board17 --trust trust.ksr",
        "ks100 provision --inventory lab.yaml --all --trust trust.ksr --yes",
        "ks100 provision ssh://ks100@board17 --trust trust.ksr --authorize ~/.ssh/lab.pub",
    ),
    "setup": ("ks100 setup udev", "ks100 setup completion"),
    "setup udev": ("sudo ks100 setup udev", "ks100 setup udev --print"),
    "setup completion": ("ks100 setup completion", "ks100 setup completion --shell zsh"),
    "setup man": ("ks100 setup man build/man",),
    "agent": ("ks100 agent install root@board17 --wheel dist/ks100.whl",),
    "agent install": (
        "ks100 agent install root@board17 --wheel dist/ks100.whl",
        "ks100 agent install root@board17 --wheel ks100.whl --dry-run",
    ),
    "flash": (
        "ks100 flash model.ksm --board ssh://lab@board17",
        "ks100 flash model.ksm --all --inventory lab.yaml",
        "ks100 flash model.ksm --retry-failed",
    ),
    "hil": ("ks100 hil run model.ksm --board ssh://lab@board17 --results before", "ks100 hil compare before after"),
    "hil run": (
        "ks100 hil run model.ksm --board ssh://lab@board17 --captures captures/hard-holdout --results run-1",
        "ks100 hil run model.ksm --board bench-1 --inventory lab.yaml --json",
        "ks100 hil run new.ksm --board bench-1 --inventory lab.yaml --against released.ksm --policy policy.toml",
    ),
    "hil compare": ("ks100 hil compare run-1 run-2", "ks100 hil compare run-1 run-2 --policy policy.toml --json"),
    "hil report": ("ks100 hil report run-2 --baseline run-1 --markdown summary.md",),
    "hil schema": ("ks100 hil schema",),
    "hil history": ("ks100 hil history list", "ks100 hil history trend latency_p99"),
    "hil history list": ("ks100 hil history list --last 5",),
    "hil history show": ("ks100 hil history show 12",),
    "hil history trend": ("ks100 hil history trend energy_per_frame --svg energy.svg",),
    "conformance": ("ks100 conformance emu: --html conformance.html", "ks100 conformance emu: --only signature --json"),
    "report": ("ks100 report runs/demo",),
    "version": ("ks100 version", "ks100 version --json"),
}
"""By name without ``ks100``; the empty name is the command itself."""
