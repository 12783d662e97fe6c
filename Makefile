# `make run` and `make test` need nothing but Python 3.11 or newer: they build .venv themselves.

SHELL := /bin/bash
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock

.DEFAULT_GOAL := help
.PHONY: help run test lint format bench soak lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.site ## serve the site on http://127.0.0.1:8000 (HOST, PORT); Ctrl-C ends it
	@exec $(BIN)/gunicorn wsgi:app

test: .venv/.dev ## run every test (ARGS="-k name" picks some)
	$(BIN)/python -m $(if $(ARGS),pytest $(ARGS),tests.side_by_side)

lint: .venv/.dev ## check style, types and what imports what
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/.dev ## put imports and layout in order
	$(BIN)/ruff check --fix --select I
	$(BIN)/ruff format

bench: .venv/.site ## measure it beside its peers, an hour for all of it (ARGS="fanout paced --rounds 1" picks some)
	$(BIN)/python -m bench.run $(ARGS)

soak: .venv/.site ## a long mixed load, and whether anything grows (MINUTES=30)
	$(BIN)/python -m bench.soak $(or $(MINUTES),30)

lock: .venv/.dev ## write requirements.lock anew from the two requirements files
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command "make lock" \
		--output-file requirements.lock requirements.txt requirements-dev.txt

clean: ## remove what the targets above have built; the site's own data in instance/ stays
	rm -rf .venv .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The first Python that is new enough. A half-made .venv would look finished to the next run, so it goes.
.venv/bin/python:
	@for name in python3.11 python3.12 python3.13 python3.14 python3; do \
		if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "Flask-Chat needs Python 3.11 or newer on the PATH, and found none." >&2; exit 1; fi; \
	echo "Making .venv with $$($$python --version)"; \
	if ! $$python -m venv .venv; then \
		rm -rf .venv; echo "This Python cannot make a venv: install its venv package (Debian: apt-get install python3-venv)." >&2; exit 1; \
	fi

.venv/.site: requirements.txt requirements.lock | .venv/bin/python
	@echo "Installing what the site needs into .venv (once)"
	@$(PIP) --requirement requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.site
	@echo "Installing what the tests need into .venv (once)"
	@$(PIP) --requirement requirements.txt --requirement requirements-dev.txt
	@touch $@
