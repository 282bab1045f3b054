# Everything starts from a fresh clone with Python 3.11-3.13 and make. `make demo` and `make test` set up what they need.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

VENV   ?= .venv
BIN    := $(VENV)/bin
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
	$(shell $(p) -c 'import sys; sys.exit(not (3,11) <= sys.version_info < (3,14))' 2>/dev/null && echo $(p))))
PIP    := PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet

export RAY_USAGE_STATS_ENABLED := 0
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: install
install: $(VENV)/.run ## Create .venv with what running needs
.PHONY: demo
demo: $(VENV)/.run ## The whole journey on small real data: train, sweep, search, table
	@$(BIN)/python -m sweeps.demo
.PHONY: edition
EDITION ?= table1 table2 table4 table5 table6 table7 figure3 figure5 figure6 text_imagenet
edition: $(VENV)/.run ## The laptop edition under docs/laptop: runs what is missing, some hours; EDITION='table1 ...' for others
	@for data in digits meshzoo eventclips; do $(BIN)/lab data prepare $$data || exit; done
	@for name in $(EDITION); do $(BIN)/lab sweep $$name || exit; done
	@$(BIN)/lab tables $(EDITION) --format html --out docs/laptop && rm docs/laptop/colophon.json
	@$(BIN)/lab pack docs/laptop/record.zip $(EDITION)
.PHONY: pages
pages: $(VENV)/.run ## docs/laptop from its own record, as tables are written now; trains nothing
	@$(BIN)/lab pack docs/laptop/record.zip --from docs/laptop/record.zip
	@$(BIN)/lab tables --from docs/laptop/record.zip --format html --out docs/laptop && rm docs/laptop/colophon.json
.PHONY: test
test: $(VENV)/.test ## The tests
	@$(BIN)/python -m pytest $(PYTEST)
.PHONY: test-slow
test-slow: $(VENV)/.test ## The tests that take minutes
	@$(BIN)/python -m pytest -m slow $(PYTEST)
.PHONY: rehearsal
rehearsal: $(VENV)/.cluster ## A cluster of three hosts on this machine, from ray up to ray down (root; ten minutes)
	@$(BIN)/python clusters/rehearsal.py
.PHONY: test-cluster
test-cluster: $(VENV)/.cluster $(VENV)/.test ## The tests on such clusters (root; half an hour)
	@$(BIN)/python -m pytest -m cluster $(PYTEST)
.PHONY: check
check: $(VENV)/.check ## ruff, mypy and import-linter
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && PYTHONPATH=. $(BIN)/lint-imports
.PHONY: format
format: $(VENV)/.check ## Let ruff put everything in order
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format --quiet .
.PHONY: lock
lock: ## Refresh constraints.txt: newest versions that pyproject.toml allows, torch as pinned there
	rm -rf $(VENV).lock && $(PYTHON) -m venv $(VENV).lock
	$(VENV).lock/bin/python -m pip install --quiet hatchling editables -e '.[test,check,cluster]'
	{ echo '# Every package of every environment. Refreshed by `make lock`, on the oldest Python that is supported.'; \
	  $(VENV).lock/bin/python -m pip freeze --exclude-editable | sed 's/+cpu//' | LC_ALL=C sort -f; } > constraints.txt
	rm -rf $(VENV).lock
.PHONY: clean
clean: ## Remove .venv and caches; .lab (data, checkpoints, the record) stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# The stamps: pip runs again only when pyproject.toml or constraints.txt changed.
$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'make: needs Python 3.11, 3.12 or 3.13, found none. Install one, or: make PYTHON=/path/to/python3'; exit 2; }
	@echo 'Creating $(VENV) (once)'
	@$(PYTHON) -m venv $(VENV)
$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV) (once, a minute or two)'
	@$(PIP) -e .
	@touch $@
$(VENV)/.cluster: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV) (once, a minute or two)'
	@$(PIP) -e '.[cluster]'
	@touch $@ $(VENV)/.run
$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV) (once, a minute or two)'
	@$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.run
$(VENV)/.check: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV) (once, a minute or two)'
	@$(PIP) -e '.[test,check]'
	@touch $@ $(VENV)/.test $(VENV)/.run
