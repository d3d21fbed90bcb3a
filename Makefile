# Everything from a fresh machine with Python, make, Node and apt: start with `make quickstart`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEER := .venv-peer
INSTALLED := $(VENV)/.installed
NODE_MODULES := labextension/node_modules/.package-lock.json
NOTEBOOK_TESTS := tests/browser tests/notebook
AGAIN := --last-failed --last-failed-no-failures=none
tested = $(BIN)/python -m pytest -o cache_dir=.pytest_cache/$(1) --durations=15 $(2) \
	|| $(BIN)/python -m pytest -o cache_dir=.pytest_cache/$(1) $(AGAIN) $(2)
FRONT_END := flyte_nb/notebook/static/widget.js
FRONT_END_SOURCES := $(shell find labextension/src labextension/style labextension/schema -type f 2>/dev/null)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DELETE_ON_ERROR:
.PHONY: help quickstart lab test test-engine test-notebook check format bench screens conformance chaos fuzz wheel install front-end chromium clean

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

quickstart: install ## Installs all, executes notebooks/quickstart.ipynb and prints its run tree
	$(BIN)/python scripts/quickstart.py

lab: install ## Opens JupyterLab on the notebooks
	$(BIN)/jupyter lab notebooks

test: install chromium ## All fast tests, those of the browser and the front end too, in two lanes
	$(MAKE) --jobs=2 --output-sync=target test-engine test-notebook

# The lanes take each other's time: what fails in one is run once more by itself, and has to pass then.
test-engine: install
	$(call tested,engine,$(addprefix --ignore=,$(NOTEBOOK_TESTS)))

test-notebook: install chromium
	npm --prefix labextension test
	$(call tested,notebook,$(NOTEBOOK_TESTS))

check: install ## ruff, mypy, tsc and the architecture test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	npm --prefix labextension run check
	$(BIN)/python -m pytest -q tests/test_architecture.py

format: install ## Formats the code and sorts the imports
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: install chromium $(PEER)/.installed ## Measures the figures, peers in the same run
	$(BIN)/python benchmarks/run.py --peer $(CURDIR)/$(PEER)/bin/python
	$(BIN)/python benchmarks/workers.py --peer $(CURDIR)/$(PEER)/bin/python
	$(BIN)/python benchmarks/cache.py --peer $(CURDIR)/$(PEER)/bin/python
	$(BIN)/python benchmarks/recovery.py
	$(BIN)/python benchmarks/store.py --rounds 2
	$(BIN)/python benchmarks/values.py
	$(BIN)/python benchmarks/checking.py
	$(BIN)/python benchmarks/cells.py
	$(BIN)/python benchmarks/live_kernel.py
	$(BIN)/python benchmarks/deployment.py
	$(BIN)/python benchmarks/server.py
	$(BIN)/python benchmarks/executing.py
	$(BIN)/python benchmarks/explorer.py --seconds 3 --kernel-seconds 15

screens: install chromium ## Keeps pictures of the explorer in screens/
	mkdir -p screens
	FLYTE_NB_PICTURES=$(CURDIR)/screens $(BIN)/python -m pytest -q tests/browser

conformance: install ## Compares with the official SDK's answers: make conformance CORPUS=folder
	$(BIN)/python scripts/conformance.py $(CORPUS)

chaos: install ## The long suites: processes killed, files torn, disks full
	$(BIN)/python -m pytest -m long --timeout=1800 -o faulthandler_timeout=7200

fuzz: install ## The property tests with fresh seeds and many examples
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile=fuzz --timeout=1800 -o faulthandler_timeout=7200

wheel: install ## Builds dist/*.whl and the sdist, front end included
	$(BIN)/python -m build --outdir dist

clean: ## Removes what was built, the virtual environment excepted
	rm -rf build dist labextension/lib flyte_nb/notebook/static flyte_nb/notebook/labextension

# ---- Set-up: each step is redone only when what it depends on has changed.

install: $(INSTALLED)
front-end: $(FRONT_END)

$(INSTALLED): pyproject.toml $(FRONT_END)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

$(BIN)/jupyter-builder:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "flyte_nb needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet 'jupyter_builder>=1.3'

$(NODE_MODULES): labextension/package.json labextension/package-lock.json
	npm --prefix labextension ci --no-audit --no-fund
	touch $@

$(FRONT_END): $(NODE_MODULES) $(FRONT_END_SOURCES) labextension/tsconfig.json | $(BIN)/jupyter-builder
	PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix labextension run build:prod
	touch $@

# The official SDK and what runs functions in processes, in an environment of their own: the peers of the benchmarks.
$(PEER)/.installed:
	$(PYTHON) -m venv $(PEER)
	$(PEER)/bin/pip install --quiet flyte ray joblib
	touch $@

chromium:
	@command -v chromium > /dev/null || { \
		if [ "$$(id -u)" != 0 ]; then sudo=sudo; fi; \
		$$sudo apt-get update -qq && $$sudo apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; }
