# Two commands set everything up on a machine with python3 and make:
#   make demo    the teacher x student grid on real images, results in out/demo
#   make test    every check
# Each creates .venv once, installs from pyproject.toml and reuses it.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check

LOWEST := .venv-lowest

.PHONY: demo test test-all lint unit nbval coverage mutate test-lowest notebooks lab class site slides \
	bench advisories clean help

demo: $(READY)  ## train the grid and draw its figures (ARGS="--quick" for one seed)
	$(BIN)/python -m rdlite demo $(ARGS)

test: lint  ## every check that needs no further packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not extra" -n 2 --dist loadfile
	$(MAKE) nbval

test-all: $(READY)  ## what `make test` leaves out: class, site and slides, for real; installs what they need
	$(INSTALL) -q -e '.[class,site]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m extra

lint: $(READY)  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

unit: $(READY)  ## unit tests and doctests only
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not extra" -n 2 --dist loadfile

nbval: $(READY)  ## run every notebook and compare each output with the stored one
	RDLITE_LESSONS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -o addopts= --nbval --nbval-current-env -q -n 2 --dist loadfile notebooks

coverage: $(READY)  ## lines of rdlite that tests and notebooks run; at least 95 %
	$(BIN)/coverage erase
	OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -m "not extra" -n 2 --dist loadfile
	RDLITE_LESSONS=1 OMP_NUM_THREADS=1 $(BIN)/coverage run -m pytest -o addopts= --nbval --nbval-current-env -q -n 2 --dist loadfile notebooks
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered

mutate: $(READY)  ## spoil the formulas, one at a time: which spoiled ones does no test notice?
	$(INSTALL) -q -e '.[mutate]'
	OMP_NUM_THREADS=1 $(BIN)/mutmut run
	$(BIN)/mutmut results

test-lowest:  ## the tests with the lowest versions that pyproject.toml allows (Python 3.11 or 3.12)
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python tests/lowest.py > $(LOWEST)/pins.txt
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check -r $(LOWEST)/pins.txt
	$(LOWEST)/bin/python -m pip install --disable-pip-version-check --no-deps -e .
	OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -m "not slow and not extra"

notebooks: $(READY)  ## make the student and solution copies from notebooks/source
	$(BIN)/python notebooks/build.py

lab: $(READY)  ## open JupyterLab on the notebooks; it listens on this machine alone, with a token
	$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 $(ARGS) notebooks

class: $(READY)  ## assignments for nbgrader, in out/class: release for students, source with solutions
	$(INSTALL) -q -e '.[class]'
	$(BIN)/python notebooks/build_class.py

site: $(READY)  ## the course as web pages that need no server and no network, in out/site
	$(INSTALL) -q -e '.[site]'
	$(BIN)/python notebooks/build_site.py

slides: $(READY)  ## slides of each notebook, in out/slides
	$(INSTALL) -q -e '.[site]'
	$(BIN)/python notebooks/build_slides.py

advisories: $(READY)  ## ask for known weaknesses of the installed packages (needs the network)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[advisories]'
	$(BIN)/python tests/advisories.py

bench: $(READY)  ## speed, side by side with other ways (ARGS="--only KEY", --strict, --quick)
	$(BIN)/python tests/benchmarks/bench.py $(ARGS)

clean:  ## remove what was made, but not .venv
	rm -rf out build *.egg-info .pytest_cache .ruff_cache .hypothesis mutants .coverage*

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*##/:/'

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) -e '.[lab,test]'
	touch $@
