# Every target sets up what it needs from a fresh clone. You need Python 3.11 or later, make, and the network once.

PYTHON ?= python3
# trust the same certificates as pip: those of this machine
export UV_SYSTEM_CERTS = 1
UV_COMPILE = .venv/bin/uv pip compile --no-config --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links
SOURCES = layers/bookkeeping/bookkeeping functions local operations tests

.DEFAULT_GOAL := help
.PHONY: help demo up operate test storms bench live-check lint format schemas build package checkov locks clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

# --- environments and the local build ----------------------------------------------------------------------------

# Several environments: the tests' libraries must not hide a dependency that is missing from the layer, and ministack
# and the SAM command line pin their own versions. The first one also holds uv, which installs into all of them.
define fill
	@echo "Setting up $(@D) from $< ..."
	@.venv/bin/uv pip install --quiet --python $(@D)/bin/python --no-deps --require-hashes --requirement $<
	@touch $@
endef

.venv/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or later is needed; choose one with: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Setting up for the first time, which takes a minute and the network ..."
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv/.ready: requirements/develop.txt .venv/.uv
	$(fill)

.venv-%/.ready: requirements/%.txt .venv/.uv
	@rm -rf $(@D)
	@$(PYTHON) -m venv --without-pip $(@D)
	$(fill)

# The functions and their layer for this machine's Python, built with the same recipes as `sam build`.
LOCAL_BUILD = .local/build/.ready
$(LOCAL_BUILD): .venv/.ready template.yaml layers/bookkeeping/Makefile layers/bookkeeping/requirements.txt \
		$(shell find layers/bookkeeping/bookkeeping functions -type f ! -name '*.pyc')
	@echo "Building the functions for this machine ..."
	@.venv/bin/python -m local.build

LOCAL_SYSTEM = .venv/.ready .venv-runtime/.ready .venv-ministack/.ready $(LOCAL_BUILD)

# --- targets -----------------------------------------------------------------------------------------------------

# `exec` makes make the program's parent, so that the program notices when make ends
demo: $(LOCAL_SYSTEM)  ## the whole system on this machine, with a simulated Xero
	@PYTHONPATH=layers/bookkeeping exec .venv/bin/python -m local.demo

up: $(LOCAL_SYSTEM)  ## the same without sample orders; takes XERO_*_URL from outside
	@PYTHONPATH=layers/bookkeeping exec .venv/bin/python -m local.up

operate: .venv-operations/.ready  ## the commands for whoever runs the stack: make operate ARGS="companies --help"
	@PYTHONPATH=layers/bookkeeping exec .venv-operations/bin/python -m operations $(ARGS)

test: $(LOCAL_SYSTEM)  ## every test of a few minutes or less
	@.venv/bin/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

storms: $(LOCAL_SYSTEM)  ## the simulations of many failures at once, in full: about three quarters of an hour
	@PYTHONPATH=layers/bookkeeping:. AWS_DEFAULT_REGION=eu-west-2 AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none \
		.venv/bin/python -m tests.storms

bench: $(LOCAL_SYSTEM)  ## pace and cost beside what people would use instead: about a quarter of an hour
	@PYTHONPATH=layers/bookkeeping:. AWS_DEFAULT_REGION=eu-west-2 AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none \
		.venv/bin/python -m benchmarks $(BENCH)

live-check: .venv/.ready  ## asks a Xero Demo Company what Xero's documentation leaves open; see docs/live-check.md
	@PYTHONPATH=layers/bookkeeping exec .venv/bin/python -m live_check

lint: .venv/.ready  ## formatting, lint, types, and the expanded template
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/python -m local.expand >/dev/null

format: .venv/.ready  ## format the sources
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

schemas: .venv/.ready  ## docs/schemas/ anew, from the code that reads orders and publishes events
	@PYTHONPATH=layers/bookkeeping .venv/bin/python -m local.schemas

build: .venv-build/.ready .venv/.ready  ## the packages for AWS: arm64, Python 3.13; docs/deploy.md says what comes next
	@PATH="$(CURDIR)/.venv-build/bin:$(CURDIR)/.venv/bin:$$PATH" SAM_CLI_TELEMETRY=0 sam build
	@.venv/bin/python -m local.release

package: build .venv/.ready  ## the same; their sizes, the libraries' licences, and a bill of materials
	@.venv/bin/python -m local.package

checkov: .venv-checkov/.ready .venv/.ready  ## the expanded template against common mistakes of security
	@mkdir -p .local && .venv/bin/python -m local.expand >.local/expanded.json
	@.venv-checkov/bin/checkov --config-file .checkov.yaml --file .local/expanded.json

locks: .venv/.ready  ## the newest versions the *.in files allow
	@for lock in layers/bookkeeping/requirements requirements/uv requirements/develop requirements/runtime \
			requirements/operations requirements/ministack requirements/build requirements/checkov; do \
		echo "Locking $$lock.txt ..."; $(UV_COMPILE) --upgrade $$lock.in --output-file $$lock.txt; done

clean:  ## remove everything that make created
	@rm -rf .venv .venv-operations .venv-runtime .venv-ministack .venv-build .venv-checkov .local .aws-sam \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
