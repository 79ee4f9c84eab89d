# Two commands set everything up on a machine with python3 and make:
#   make demo    the teacher x student grid on real images, results in out/demo
#   make test    every check
# Each creates .venv once, installs from pyproject.toml and reuses it.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint unit nbval notebooks lab audit clean help

demo: $(READY)  ## train the grid and draw its figures (ARGS="--quick" for one seed)
	$(BIN)/python -m rdlite demo $(ARGS)

test: lint  ## everything that continuous integration checks
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest
	$(MAKE) nbval

lint: $(READY)  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

unit: $(READY)  ## unit tests and doctests only
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

nbval: $(READY)  ## run every notebook and compare each output with the stored one
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -o addopts= --nbval --nbval-current-env -q -n 2 --dist loadfile notebooks

notebooks: $(READY)  ## make the student and solution copies from notebooks/source
	$(BIN)/python notebooks/build.py

lab: $(READY)  ## open JupyterLab on the notebooks; it listens on this machine alone, with a token
	$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 $(ARGS) notebooks

audit: $(READY)  ## ask for known weaknesses of the installed packages (needs the network)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[audit]'
	$(BIN)/python tests/audit.py

clean:  ## remove what was made, but not .venv
	rm -rf out build *.egg-info .pytest_cache .ruff_cache .hypothesis

help:  ## this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*##/:/'

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[lab,test]'
	touch $@
