# make demo  installs into .venv, then runs the whole loop on real photographs (drawn scenes when offline)
# make test  installs what the tests need, lints, type-checks, runs every test
# make lint  formatting, style, types and the floors
# make bench prints the figures of benchmarks/RESULTS.md again

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench outside browser camera
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(BIN)/milliner demo

test: lint outside
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

# What tests use of the system: without root rights those that need it say so and are skipped.
outside: browser camera

browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
	  { $(call apt,chromium chromium-driver); } || \
	  echo "No chromium and chromedriver here: the tests of the report's looks will be skipped."

camera:
	@$(PYTHON_OF_SYSTEM) -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null || \
	  { $(call apt,--no-install-recommends $(GSTREAMER)); } || \
	  echo "No RTSP server of GStreamer here: the tests with a camera will be skipped."

PYTHON_OF_SYSTEM := /usr/bin/python3
GSTREAMER := gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good
apt = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(1) >/dev/null
