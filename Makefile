# `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for candidate in python3.12 python3.11 python3.13 python3; do \
	"$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 \
	&& { echo "$$candidate"; break; }; done)
PACKAGES := proto runtime core registry store ingest trainer server clients/python cli
PIP := $(BIN)/python -m pip --disable-pip-version-check
PROTOS := $(wildcard proto/inference/*.proto proto/ondeck/v1/*.proto)
GEN := proto/gen/python
TYPED := runtime/ondeck_runtime core/ondeck_core registry/ondeck_registry store/ondeck_store ingest/ondeck_ingest trainer/ondeck_trainer server/ondeck_server \
	clients/python/ondeck_client cli/ondeck_cli tests benchmarks tools

.PHONY: help run setup test soak attack check gen train bench screenshots clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## start everything on this machine: database, models, gRPC server, ingest worker
	@exec $(BIN)/ondeck up

test: setup ## run the test suite
	$(BIN)/python -m pytest

soak: setup ## reload, cancel and restart under load for some minutes; no call may be lost or wrong; QUICK=1: some seconds
	$(BIN)/python -m benchmarks.soak $(if $(QUICK),--quick)

attack: setup ## attack the server on both transports for some minutes, beside a neighbour; QUICK=1: each attack for a moment
	$(BIN)/python -m tests.attack.run $(if $(QUICK),--quick)

check: setup ## check formats, lints, types, import contracts, the protobuf contract and generated files
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf lint
	$(BIN)/buf breaking --against proto/released.json
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/fill_document_tables.py --check

gen: setup ## regenerate the stubs in proto/gen, the client for threads, and the tables in README.md and docs/
	$(BIN)/python tools/generate.py
	$(BIN)/python tools/fill_document_tables.py

train: setup ## fit, evaluate and publish every model from the stored rows
	$(BIN)/ondeck train batted_ball
	$(BIN)/ondeck train called_strike
	$(BIN)/ondeck train whiff
	$(BIN)/ondeck train pitch_outcome

bench: setup ## measure the server beside bare ONNX Runtime, and ingest beside a bare COPY; QUICK=1 only runs each once
	$(BIN)/python -m benchmarks.run $(if $(QUICK),--quick)

screenshots: setup ## write pictures of every view of the dashboard to screenshots/; needs Chromium
	$(BIN)/python -m tools.screenshots screenshots $(DASHBOARD_HOME)

setup: $(VENV)/.installed ## create the environment in .venv/ (the other targets do it if needed)

clean: ## remove the environment and the caches; keeps .ondeck/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.installed: constraints.txt pyproject.toml $(PACKAGES:%=%/pyproject.toml)
	@test -n "$(PYTHON)" || { echo "Ondeck needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PIP) --version >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV)
	@echo "installing into $(VENV)/ ..."
	@$(PIP) install --quiet --constraint constraints.txt pip hatchling editables
	@$(PIP) install --quiet --no-build-isolation --constraint constraints.txt --group dev $(PACKAGES:%=--editable ./%)
	@$(BIN)/python tools/repair_scripts.py
	@touch $@
