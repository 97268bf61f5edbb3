# make demo, make test: each sets up all it needs in .venv (Python >= 3.11 and a C
# compiler must be there), builds, and runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# cython-lint calls pycodestyle by name.
export PATH := $(abspath $(BIN)):$(PATH)
SOURCES := $(shell find src meson.build meson.options pyproject.toml -type f ! -name '*.pyc')

.PHONY: demo test lint wheel bench clean

demo: $(VENV)/installed
	$(BIN)/fastgrad demo
	! $(BIN)/fastgrad demo --bug  # status 1: the planted bug was found

test: $(VENV)/installed
	$(BIN)/python -m pytest

lint: $(VENV)/linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cython-lint src
	$(BIN)/codespell
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports

wheel: $(VENV)/linters
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

bench: $(VENV)/installed
	$(BIN)/pip install --quiet asv virtualenv
	$(BIN)/asv machine --yes
	$(BIN)/asv run --quick --python=same

$(VENV)/installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet '.[test]'
	touch $@

$(VENV)/linters: $(VENV)/installed
	$(BIN)/pip install --quiet '.[lint]' build
	touch $@

clean:
	rm -rf $(VENV) build dist
