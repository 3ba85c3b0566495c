# make demo  installs into .venv, then runs the whole loop on real photographs (drawn scenes when offline)
# make test  installs what the tests need, lints, type-checks, runs every test
# make lint  formatting, style, types and the floors
# make bench prints the figures of benchmarks/RESULTS.md again

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench browser
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/milliner demo

test: lint browser
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed-dev
	$(BIN)/python -m benchmarks

# Debian's python3 comes without ensurepip: where venv fails, pip fetches virtualenv, which brings its own.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV) && \
	  $(PYTHON) -m pip install --quiet --target .bootstrap virtualenv && \
	  PYTHONPATH=.bootstrap $(PYTHON) -m virtualenv --quiet $(VENV) && rm -rf .bootstrap; }

$(VENV)/installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@ $(VENV)/installed

# Reports are looked at in a real browser; without root rights the tests that need one say so and are skipped.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null; } || \
	  echo "No chromium and chromedriver here: the tests of the report's looks will be skipped."
