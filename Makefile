# make demo, make test: each sets up all it needs in .venv (Python >= 3.11 and a C
# compiler must be there), builds, and runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# cython-lint calls pycodestyle by name.
export PATH := $(abspath $(BIN)):$(PATH)
SOURCES := $(shell find src meson.build meson.options pyproject.toml -type f ! -name '*.pyc')

.PHONY: demo test test-interop arm lint docs wheel reliability bench bench-site clean

demo: $(VENV)/installed
	$(BIN)/fastgrad demo
	! $(BIN)/fastgrad demo --bug  # status 1: the planted bug was found

test: $(VENV)/tools
	$(BIN)/python -m pytest -n auto --dist worksteal

# TORCH=torch==2.13.0 names a build: the newest for Linux may bring CUDA, gigabytes.
TORCH ?= torch
test-interop: $(VENV)/tools
	$(BIN)/pip install --quiet '$(TORCH)' expecttest "$$(echo $(VENV)/wheel/*.whl)[torch,jax]"
	$(BIN)/python -m pytest tests/interop tests/test_features.py

# The C kernels on aarch64, emulated: gcc-aarch64-linux-gnu and qemu-user must be there.
arm:
	.ci/arm

lint: $(VENV)/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/cython-lint src
	$(BIN)/codespell
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports

# The site, in build/docs; a warning is an error.
docs: $(VENV)/installed
	$(BIN)/pip install --quiet "$$(echo $(VENV)/wheel/*.whl)[docs]"
	$(BIN)/sphinx-build -W --keep-going -q -E -b html docs build/docs

wheel: $(VENV)/tools
	rm -rf dist
	$(BIN)/python -m build $(BUILD_ARGS) --outdir dist .

# SHORT=1: what continuous integration runs, a minute.
reliability: $(VENV)/tools
	$(BIN)/python benchmarks/reliability $(if $(SHORT),--short,--write)

bench: $(VENV)/tools
	$(BIN)/pip install --quiet asv virtualenv
	$(BIN)/asv machine --yes
	$(BIN)/asv run --quick --python=same

# The history as a site in .asv/html, which `asv preview` shows; what has been measured
# on this machine before stays.
COMMITS ?= HEAD~20..HEAD
bench-site: $(VENV)/tools
	$(BIN)/pip install --quiet asv virtualenv
	$(BIN)/asv machine --yes
	$(BIN)/asv run --skip-existing-commits $(COMMITS)
	$(BIN)/asv publish

$(VENV)/installed: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or \
	  sys.exit("fastgrad needs Python 3.11 or newer, got " + sys.version.split()[0])'
	@echo "Building fastgrad in $(VENV): fetching NumPy and the build tools, then compiling"
	@echo "three variants of each kernel; together half a minute to a minute."
	$(PYTHON) -m venv $(VENV)
	rm -rf $(VENV)/wheel
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir $(VENV)/wheel .
	$(BIN)/pip install --quiet --force-reinstall --no-deps $(VENV)/wheel/*.whl
	$(BIN)/pip install --quiet $(VENV)/wheel/*.whl
	touch $@

# The extras of the wheel that is installed: nothing is compiled again.
$(VENV)/tools: $(VENV)/installed
	$(BIN)/pip install --quiet "$$(echo $(VENV)/wheel/*.whl)[test,lint]" build
	touch $@

clean:
	rm -rf $(VENV) build dist docs/generated
