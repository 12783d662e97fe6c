# `make run` and `make test` need only Python 3.11 or newer; they create .venv themselves.

SHELL := /bin/bash
BIN := .venv/bin
NODE := $(BIN)/python -m tools.node
NPM_CI := $(NODE) npm ci --no-fund --no-audit --loglevel error
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock

# Workers of pytest-xdist, and how they share the tests: by file, so that what a file's tests share is started once, in
# the order of tests/conftest.py.
SIDE_BY_SIDE := --numprocesses=3 --dist=loadfile --no-loadscope-reorder
# pytest keeps the test files as it rewrites them, which each of its processes would have to do anew otherwise.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run assets test test-hosts test-sites lint format dist bench quick soak lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/.site assets ## serve the site on http://127.0.0.1:8000 (HOST, PORT); stop with Ctrl-C
	@exec $(BIN)/gunicorn wsgi:app

# With CHAT_ASSETS=source the site serves the modules as they are, and nothing is built.
assets: $(if $(filter source,$(CHAT_ASSETS)),,chat/static/dist/manifest.json) ## build the front end if its sources have changed

test: .venv/.dev chat/static/dist/manifest.json ## run all tests (ARGS="-m 'not slow'" the quick ones, ARGS="-k name" some; -n 0 without workers)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-hosts: dist ## try the wheel with the lowest and newest versions of all it runs on, 6 minutes (ARGS="lowest gunicorn" selects)
	$(BIN)/python -m tests.hosts.run $(ARGS)

test-sites: dist ## add the chat to sites of others, each in a venv of its own, and remove it again, 12 minutes (ARGS="-k tutorial" one)
	CHAT_WHEEL=$$(echo dist/*.whl) $(BIN)/python -m pytest tests/hosts/sites $(ARGS)

lint: .venv/.dev node_modules/.dev ## check style, types and what imports what
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(NODE) npm run --silent lint

format: .venv/.dev node_modules/.dev ## sort imports and format the code
	$(BIN)/ruff check --fix --select I
	$(BIN)/ruff format
	$(NODE) npm run --silent format

dist: .venv/.dev chat/static/dist/manifest.json ## build the package's sdist and wheel into dist/
	rm -rf dist
	$(BIN)/uv build --quiet --out-dir dist
	@ls dist/*.whl dist/*.tar.gz

bench: .venv/.site ## benchmark it against other servers, an hour in total (ARGS="fanout paced --rounds 1" selects some)
	$(BIN)/python -m bench.run $(ARGS)

quick: .venv/.site ## benchmark six scenarios in 4 minutes; fail if a ratio got worse by more than a tenth (ARGS=--keep keeps it)
	$(BIN)/python -m bench.quick $(ARGS)

soak: .venv/.site ## run a long mixed load and check that nothing grows (MINUTES=30)
	$(BIN)/python -m bench.soak $(or $(MINUTES),30)

lock: .venv/.dev ## regenerate requirements.lock from the requirements files
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --custom-compile-command "make lock" \
		--output-file requirements.lock requirements.txt requirements-dev.txt

clean: ## remove what the targets above have built; keeps the site's data in instance/
	rm -rf .venv node_modules chat/static/dist dist .hosts .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Uses the first Python that is new enough. Removes an incomplete .venv, which the next run would take for complete.
.venv/bin/python:
	@for name in python3.11 python3.12 python3.13 python3.14 python3; do \
		if $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "Flask-Chat needs Python 3.11 or newer on the PATH; none was found." >&2; exit 1; fi; \
	echo "Creating .venv with $$($$python --version)"; \
	if ! $$python -m venv .venv; then \
		rm -rf .venv; echo "This Python cannot create a venv. Install its venv package (Debian: apt-get install python3-venv)." >&2; exit 1; \
	fi

.venv/.site: requirements.txt requirements.lock | .venv/bin/python
	@echo "Installing the site's packages into .venv (once)"
	@$(PIP) --requirement requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.site
	@echo "Installing the tests' packages into .venv (once)"
	@$(PIP) --requirement requirements.txt --requirement requirements-dev.txt
	@touch $@

# Node's packages: .site holds those of the build, .dev those of the linters too. `npm ci` empties the folder first.
node_modules/.site: package.json package-lock.json | .venv/.site
	@echo "Installing the front end's build into node_modules (once)"
	@$(NPM_CI) --omit=dev
	@touch $@

node_modules/.dev: package.json package-lock.json | .venv/.site
	@echo "Installing the front end's linters into node_modules (once)"
	@$(NPM_CI)
	@touch node_modules/.site $@

chat/static/dist/manifest.json: $(wildcard chat/static/*.* chat/static/js/*.js chat/static/css/*.css) tools/build.mjs package-lock.json | node_modules/.site
	@echo "Building the front end"
	@$(NODE) node tools/build.mjs
