# `make demo` and `make test` need nothing before them but Python 3.11 or later and make. pip follows its usual settings
# (pip.conf and PIP_* variables), so a mirror, or an index that holds CPU-only builds of torch, is chosen there.

VENV ?= .venv
BIN := $(VENV)/bin
FROM_TYPING := "$(if $(filter /%,$(VENV)),,$(CURDIR)/)$(VENV)/bin"
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for name in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if command -v $$name >/dev/null 2>&1 && $$name -c '$(SUITABLE)' 2>/dev/null; then echo $$name; break; fi; done)
endif

# What an installation depends on; a stamp in the environment remembers each set of extras that is up to date.
INSTALLED_FROM := pyproject.toml setup.py constraints.txt $(wildcard kernels/native/*)
INSTALL = $(BIN)/python -m pip install -qq --no-input --disable-pip-version-check -c constraints.txt -e

# Some tests take a thousand times as long as others: who is done takes some from who is not.
ON_ALL_CORES := --numprocesses auto --dist worksteal

export MPLBACKEND = Agg
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help demo test triton lint types docs bench wheel clean

help:  ## Say what can be made.
	@grep -E '^[a-z]+:.*  ## ' Makefile | awk -F ':.*  ## ' '{ printf "make %-6s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo  ## Forecast the bundled series and say where the pictures are.
	@$(BIN)/statespace demo --out demo/

test: $(VENV)/.test  ## Run the whole test suite on all cores; ARGS="-k zoh" is passed on to pytest.
	@$(BIN)/python -m pytest $(ON_ALL_CORES) $(ARGS)

triton: $(VENV)/.triton  ## Test the kernels for GPUs without one: interpreted, and compiled ahead of time.
	@TRITON_INTERPRET=1 $(BIN)/python -m pytest $(ON_ALL_CORES) tests/interpret $(ARGS)
	@TRITON_INTERPRET=0 $(BIN)/python -m pytest $(ON_ALL_CORES) tests/compile $(ARGS)
	@$(BIN)/python -m pytest tests/test_imports.py

lint: $(VENV)/.lint build/typing  ## Check style, format and the direction of imports.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@cd build/typing && $(FROM_TYPING)/lint-imports --config ../../pyproject.toml --cache-dir ../.imports

types: $(VENV)/.lint build/typing  ## Check the types of the library.
	@cd build/typing && $(FROM_TYPING)/mypy --config-file ../../pyproject.toml --cache-dir ../.mypy -p statespace

docs: $(VENV)/.docs  ## Build the documentation; it runs the examples.
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "The documentation is at docs/_build/html/index.html"

# A benchmark that lacks what it measures says so and exits with 2.
bench: $(VENV)/.bench  ## Run every benchmark, one after the other.
	@for script in $(wildcard benchmarks/*.py); do echo "== $$script"; \
		$(BIN)/python $$script || [ $$? -eq 2 ] || exit 1; done

wheel: $(VENV)/.lint  ## Build the wheel for this system, with the compiled core inside, into dist/.
	@rm -rf build/wheel && mkdir -p build/wheel dist
	@$(BIN)/python -m build --wheel --outdir build/wheel . >build/wheel/log 2>&1 || { tail -n 40 build/wheel/log; exit 1; }
	@case $$(uname) in \
		Linux) PATH="$(BIN):$$PATH" $(BIN)/python -m auditwheel repair --wheel-dir dist build/wheel/*.whl;; \
		*) cp build/wheel/*.whl dist;; esac
	@ls dist/*.whl

clean:  ## Remove what was built, but keep the environment.
	rm -rf build dist demo forecast docs/_build docs/auto_examples docs/api/generated docs/sg_execution_times.rst
	rm -rf .pytest_cache .ruff_cache .hypothesis lightning_logs
	find statespace kernels datasets tests examples benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

# Static tools do not follow the packaging map: links put every room below `statespace`, as it is when installed.
.PHONY: build/typing
build/typing:
	@rm -rf $@ && mkdir -p $@/statespace
	@for room in statespace/* kernels datasets; do \
		case $$room in *__pycache__) ;; *) ln -s ../../../$$room $@/statespace/;; esac; done

$(VENV)/.python:
	@$(if $(PYTHON),$(PYTHON) -c '$(SUITABLE)',false) || { \
		echo "Python 3.11 or later, with its venv module, is needed and was not found" \
		"(here: $(or $(PYTHON),$(shell python3 --version 2>&1)))." >&2; \
		echo "Install it, or say where it is: make $(or $(MAKECMDGOALS),demo) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Making the environment $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The tests draw and so does the demo: whoever has installed for the tests has installed for the demo.
$(VENV)/.demo: $(VENV)/.python $(INSTALLED_FROM)
	@echo "Installing statespace into $(VENV); the first time takes a minute or more"
	@$(INSTALL) '.[plot,parquet]'
	@touch $@

$(VENV)/.test: $(VENV)/.python $(INSTALLED_FROM)
	@echo "Installing statespace and what its tests need into $(VENV); the first time takes a minute or more"
	@$(INSTALL) '.[plot,parquet,test]'
	@touch $@ $(VENV)/.demo

$(VENV)/.triton: $(VENV)/.python $(INSTALLED_FROM)
	@echo "Installing statespace, Triton and what the tests need into $(VENV); the first time takes a minute or more"
	@$(INSTALL) '.[plot,parquet,test,triton]'
	@touch $@ $(VENV)/.demo $(VENV)/.test

# All that is checked before a change lands, in one installation: the core is compiled once.
$(VENV)/.check: $(VENV)/.python $(INSTALLED_FROM)
	@echo "Installing statespace and what its checks need into $(VENV); the first time takes a minute or more"
	@$(INSTALL) '.[plot,parquet,test,lint,triton]'
	@touch $@ $(VENV)/.demo $(VENV)/.test $(VENV)/.lint $(VENV)/.triton

$(VENV)/.lint $(VENV)/.docs $(VENV)/.bench: $(VENV)/.%: $(VENV)/.python $(INSTALLED_FROM)
	@echo "Installing statespace and what '$*' needs into $(VENV); the first time takes a minute or more"
	@$(INSTALL) '.[plot,$*]'
	@touch $@ $(VENV)/.demo
