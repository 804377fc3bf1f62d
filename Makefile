# `make` alone lists the targets. Needs Python 3.11 or later; `make PYTHON=python3.12 ...` names one.
# Works with GNU make from 3.81 on, as macOS has it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO := src/imagefinder/demo
DEMO_QUERY ?= $(firstword $(sort $(wildcard $(DEMO)/queries/*.*)))
DEMO_COLLECTION := .imagefinder/demo
PORT ?= 8000
SERVICE ?= http://127.0.0.1:$(PORT)
IMAGE_PATH ?= $(DEMO_QUERY)
IMAGE ?= imagefinder
ENGINE ?= docker
# Test files run side by side, as many as the machine has cores. WORKERS=0: one after the other.
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile
UV := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-progress \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

export PYTHON VENV IMAGE_PATH
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV IMAGEFINDER_COLLECTION
.DEFAULT_GOAL := help
.PHONY: help run request stop test test-all check format lint types layers containers docs docs-serve \
	notebooks screenshots bench bench-models lock wheel build run-container clean run-env dev-env all-env

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: run-env ## set up, index the demo images once, and serve them at http://127.0.0.1:8000 (PORT=)
	@$(BIN)/imagefinder serve -c ./$(DEMO_COLLECTION) --demo --port $(PORT) || { code=$$?; \
		[ $$code -ne 2 ] || echo "with make: make run PORT=$$(($(PORT) + 1))" >&2; exit $$code; }

request: run-env ## search with a picture at what `make run` started (IMAGE_PATH=, PORT=)
	@$(BIN)/imagefinder search "$$IMAGE_PATH" -k 5 -c $(SERVICE)

stop: run-env ## stop what `make run` or `make run-container` started
	@$(BIN)/python tools/stop_service.py ./$(DEMO_COLLECTION) --container $(IMAGE) --engine $(ENGINE)

test: dev-env ## run the tests that need only Python packages (ARGS='-k name' for some)
	@$(PYTEST) $(SIDE_BY_SIDE) -m "not torch and not emulated and not slow and not browser and not milvus and not ray and not mlflow" $(ARGS)

test-all: all-env ## run every test, installing what they need
	@$(PYTEST) $(SIDE_BY_SIDE) $(ARGS)

check: format lint types layers containers docs ## check format, lint, types, layers, docs, locks and layout
	@$(PYTEST) -q tests/test_project.py tests/test_locks.py

format: dev-env
	@$(BIN)/ruff format --check

lint: dev-env
	@$(BIN)/ruff check

types: dev-env
	@$(BIN)/mypy

layers: dev-env
	@$(BIN)/lint-imports --no-logo

containers: dev-env
	@$(BIN)/hadolint Dockerfile deploy/milvus/Dockerfile

docs: dev-env ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-serve: dev-env ## serve the documentation while you write it
	@$(BIN)/mkdocs serve

notebooks: dev-env ## run the notebooks anew, with what they show
	@$(BIN)/python tools/run_notebooks.py

screenshots: all-env ## make the pictures of the page anew, for the docs and the README
	@$(BIN)/python tools/make_screenshots.py

bench: dev-env ## run the benchmarks and compare with the last results
	@$(BIN)/python -m benchmarks $(ARGS)

bench-models: dev-env ## measure the models that are here, for the docs (ARGS='--model ./my-model')
	@$(BIN)/python -m benchmarks models $(ARGS)

wheel: dev-env ## build the wheel and the source archive into dist/
	@rm -rf dist
	@$(BIN)/hatchling build

build: ## build the container image (ENGINE=podman)
	@$(ENGINE) build --tag $(IMAGE) .

run-container: ## run the container image at http://127.0.0.1:8000 (PORT=); make stop ends it
	@$(ENGINE) run --detach --rm --name $(IMAGE) --read-only --tmpfs /tmp --cap-drop ALL \
		--security-opt no-new-privileges --stop-timeout 40 --publish 127.0.0.1:$(PORT):8000 $(IMAGE)
	@echo "ImageFinder runs at $(SERVICE); make request, make stop"

lock: dev-env ## renew requirements/*.txt (UPGRADE=1: to the newest versions)
	$(UV) pyproject.toml -o requirements/base.txt
	$(UV) pyproject.toml --extra map -c requirements/base.txt -o requirements/run.txt
	$(UV) --group pyproject.toml:build -o requirements/build.txt
	$(UV) pyproject.toml --extra all --group dev -c requirements/run.txt -c requirements/build.txt \
		-o requirements/dev.txt
	$(UV) pyproject.toml --extra milvus --extra s3 -c requirements/dev.txt -o requirements/cluster.txt

clean: ## remove the environment, the demo collection and everything built
	rm -rf $(VENV) .imagefinder tests/browser/node_modules site dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

run-env:
	@sh tools/environment.sh run

dev-env:
	@sh tools/environment.sh dev

all-env:
	@sh tools/environment.sh all
