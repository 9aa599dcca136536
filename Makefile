# Everything starts from here: `make demo` and `make test` create the virtual environment themselves.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ks100-installed
RUN    ?= runs/demo
INTEROP := $(VENV)/interop/.installed
MINUTES ?= 5
# What tiers use of Debian, as PACKAGE:COMMAND; `.ci/debian` installs what is missing where it may.
TEST_DEBIAN := openssh-server:sshd softhsm2:softhsm2-util udev:udevadm umockdev:umockdev-run tmux:tmux
QEMU_DEBIAN := qemu-system-arm:qemu-system-aarch64 gcc-12-aarch64-linux-gnu:aarch64-linux-gnu-gcc-12 kmod:depmod cpio:cpio \
	fakeroot:fakeroot

.PHONY: help setup debian check test properties fuzz mutation powercut conformance soak qemu slow demo docs docs-check \
	report-check fault-drill clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP)  ## create .venv with everything, at the pinned versions

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "make: Python 3.11 with its venv module is needed, as $(PYTHON): sudo apt-get install python3.11 python3.11-venv," \
	         "or name another with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@sh .ci/debian openssh-server:sshd
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[board,board-tflite,train,hil,hsm,dask,dev]'
	@touch $@

demo: setup  ## the main job on the emulated board: from captures to a measured, signed model
	$(BIN)/ks100 demo --run $(RUN)

check: setup  ## format, lint, types, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup $(INTEROP)  ## the default tests: no root needed, under 10 minutes on 2 cores
	@sh .ci/debian $(TEST_DEBIAN) -- $(BIN)/pytest -n 2 --dist loadfile

slow: setup $(INTEROP)  ## the slow tests: trainings, the whole demo, whole campaigns
	@sh .ci/debian $(TEST_DEBIAN) -- $(BIN)/pytest -m slow -o timeout=600 -n 2 --dist loadfile

powercut: setup  ## cut a board's power at every operation of its storage, and again while it recovers
	$(BIN)/python -m tests.powercut

conformance: setup  ## attack the emulated board in every known way, over SSH and over the serial line
	$(BIN)/ks100 conformance emu: --html runs/conformance-ssh.html --junit runs/conformance-ssh.xml
	$(BIN)/ks100 conformance "emu:?link=serial" --html runs/conformance-serial.html --junit runs/conformance-serial.xml

qemu: setup  ## the slower tests on the QEMU board, a real aarch64 Linux: under 10 minutes
	@sh .ci/debian $(QEMU_DEBIAN) -- sh -c '$(BIN)/python -m hil.virtual.qemu.image && $(BIN)/pytest -m qemu tests/qemu'

soak: setup  ## flash emulated boards while agents and hosts are killed, frozen and interrupted: make soak MINUTES=30
	$(BIN)/python -m tests.soak.run --minutes $(MINUTES)

properties: setup  ## look for new counterexamples to the tests that draw theirs: make properties MINUTES=30
	end=$$(($$(date +%s) + 60 * $(MINUTES))); while [ $$(date +%s) -lt $$end ]; do \
	    $(BIN)/pytest -q -n 2 --hypothesis-profile=search $$(grep -rl --include='test_*.py' '^from hypothesis' tests) || exit 1; done

# A COSE library by other people, which wants another cbor2 than ours: in an environment of its own.
$(INTEROP): $(STAMP)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check cwt==3.3.0 cbor2==5.9.0
	@touch $@

fuzz: setup  ## fuzz messages, container, CBOR and manifest: make fuzz MINUTES=30; the corpus is kept in runs/fuzz
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[assurance]'
	$(BIN)/python -m tests.fuzz.run --minutes $(MINUTES) --corpus runs/fuzz

mutation: setup  ## change the code that decides about trust in hundreds of ways: the tests must notice
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[assurance]'
	$(BIN)/python -m benchmarks.mutation --json runs/mutation.json

debian:  # what the tests use of Debian; without the right to install, the tests that need it skip and say so
	@sh .ci/debian $(TEST_DEBIAN)

bench-%: setup  ## run one benchmark, e.g. make bench-link; the rows go to runs/bench-NAME.json
	@sh .ci/debian lrzsz:sz -- $(BIN)/python -m benchmarks.$* --json runs/bench-$*.json

docs:  setup  ## build the documentation site into runs/site, offline, with strict links
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

docs-check: setup  ## run every command block of README and the guides, in order, in a fresh folder; needs runs/demo
	$(BIN)/python -m tests.docs.run_blocks

report-check: setup  ## open the report in a browser: accessibility (axe-core) in light and dark, narrow screens, print
	@sh .ci/debian chromium:chromium npm:npm -- $(BIN)/python -m tests.hil.report_check

fault-drill: setup  ## bring every fault of the emulated board about, and write how a run ends into docs/fault-drill.md
	$(BIN)/python -m tests.hil.fault_drill

clean:  ## remove the virtual environment, runs and caches
	rm -rf $(VENV) runs build *.egg-info .mypy_cache .ruff_cache .import_linter_cache .hypothesis
