# Each target sets itself up: it makes .venv and installs what setup.cfg asks for, at the
# versions of requirements.txt.
PYTHON ?= python3
BIN := .venv/bin
# Compiles no bytecode: most of the installed modules are never imported.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
  --constraint requirements.txt

.PHONY: demo test coverage check fix docs

demo: .venv/installed
	$(BIN)/python experiments/demo.py --workdir=runs/demo

test: .venv/installed
	$(BIN)/python -m pytest -n auto --dist loadfile

coverage: .venv/installed
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fix: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/installed-docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going -qb html docs docs/_build/html

.venv/installed: setup.cfg pyproject.toml requirements.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), \
	  f"Expected Python 3.11 or newer, got {sys.version.split()[0]}; set PYTHON=..."'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --editable '.[test]'
	touch $@

.venv/installed-docs: .venv/installed
	$(INSTALL) --editable '.[docs]'
	touch $@
