# The verbs of this project. Each makes what it needs: a fresh machine with Python 3.11 can start with any of them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHOP := examples/shop

.PHONY: up test check bench museum docs conformance clean

up: $(VENV)/.installed ## Run the example shop behind Seawall (Ctrl-C ends it)
	@$(BIN)/seawall up $(SHOP)

test: $(VENV)/.installed-dev ## Run every test, the real Envoy and the Gateway API suite included
	@script/test

check: $(VENV)/.installed-dev ## Format, lint, types, layers, names
	@script/check

bench: $(VENV)/.installed-dev ## Measure what docs/benchmarks.md promises (some minutes)
	@$(BIN)/python -m bench all

museum: $(VENV)/.installed-dev ## Replay real outages against a real fleet and print what stopped them (some minutes; Linux, root or user namespaces)
	@$(BIN)/python -m tests.museum

docs: $(VENV)/.installed-dev ## Write the generated part of docs/reference
	@$(BIN)/python script/reference.py

conformance: $(VENV)/.installed-dev ## Run the Gateway API suite and print its table per profile
	@$(BIN)/python -m tests.conformance

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Seawall needs Python 3.11 or newer; $(PYTHON) is older. Name another: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Seawall and Envoy into $(VENV) (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing Seawall with its test and lint tools into $(VENV) (once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed
