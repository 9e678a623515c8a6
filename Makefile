# Everything below works in a fresh clone: it needs make and Python 3.11 or newer with venv, no root.
#
#   make crossmodal    install into .venv, train and score cross-modal models on the embedded walkers
#   make identity      the same for identification within one sensor
#   make test          all tests: core's here, each plugin's wheel where only what it declares is installed;
#                      'make --jobs 2 test' runs the two side by side
#   make test-plugins  the plugins' tests all here, which is quicker
#   make check         what a change must pass: format, lint, types, leaderboards, tests
#   make format        rewrite the source as 'make check' wants it
#   make bench         benchmarks
#
# MODELS="gaitgl gaittr" picks what 'make identity' compares, MODELS=tcfdnet what 'make crossmodal' does;
# 'gaitbench list models' shows all.
# PYTHON=python3.12 picks an interpreter, VENV=DIR another environment, ARGS="..." passes options on, and
# PIP_ARGS="--extra-index-url URL" with the address of PyTorch's CPU builds fetches a torch without CUDA (far smaller).

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PIP_ARGS ?=

BIN := $(VENV)/bin
PROJECTS := pyproject.toml $(sort $(wildcard plugins/*/pyproject.toml))
FOLDERS := $(patsubst %/,%,$(dir $(PROJECTS)))
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet $(PIP_ARGS)
EXTRAS = $(foreach folder,$(FOLDERS),--editable '$(folder)[$(1)]')

.PHONY: crossmodal identity test test-core test-plugins check lint types leaderboard wheels format bench install install-test install-dev

crossmodal: MODELS ?= nearest-raw two-stream
crossmodal: install
	$(BIN)/gaitbench run --task crossmodal --model $(MODELS) $(ARGS)

identity: MODELS ?= nearest-raw gei gaitset gaitbase
identity: install
	$(BIN)/gaitbench run --task identity --model $(MODELS) $(ARGS)

test: test-core wheels

test-core: install-test
	$(BIN)/python -m pytest gaitbench tests $(ARGS)

test-plugins: install-test
	$(BIN)/python -m pytest plugins $(ARGS)

check: lint types leaderboard test

lint: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install-dev
	$(BIN)/mypy

leaderboard: install
	$(BIN)/gaitbench leaderboard check leaderboards

wheels: install-dev
	.ci/wheels $(BIN)/python $(ARGS)

format: install-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install-test
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only $(ARGS)

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test
install-dev: $(VENV)/.installed-dev

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "gaitbench needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Each stamp is renewed when a pyproject.toml changes; until then nothing of pip runs.
$(VENV)/.installed: $(PROJECTS) | $(BIN)/python
	@echo "installing gaitbench and its plugins into $(VENV); torch is large, this takes some minutes once"
	$(PIP) install $(foreach folder,$(FOLDERS),--editable '$(folder)')
	@touch $@

$(VENV)/.installed-test: $(PROJECTS) | $(BIN)/python
	@echo "installing gaitbench, its plugins and what their tests need into $(VENV)"
	$(PIP) install $(call EXTRAS,test)
	@touch $(VENV)/.installed $@

$(VENV)/.installed-dev: $(VENV)/.installed-test
	$(PIP) install --editable '.[dev]'
	@touch $@
