# What can be done with this project. `make` alone lists it.

VENV := .venv
# What is installed: what running needs; what the tests need too; what the benchmarks need too.
RUN := $(VENV)/.installed
DEV := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench

# The first Python on this machine that is new enough; `make PYTHON=…` names another.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)

# Half a .venv, or one whose Python has gone, is made again.
WORKS := $(shell $(VENV)/bin/python -c 'import pip' 2>/dev/null && echo yes)

comma := ,
# Installs this project with the extras that $(1) names.
install = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt --editable '.[$(1)]'
# Says what is missing in a sentence, and ends.
stop = { echo $(1) >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help setup up bench bench-sweep test coverage faults hosts fresh lint format audit screenshots \
	tigerbeetle clean venv wrk

help: ## list what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(DEV) ## install everything into .venv (again only where something changed)
	@echo "Everything is installed in $(VENV)."

$(RUN): pyproject.toml constraints.txt $(if $(WORKS),,venv)
	@echo "Installing what the shop needs into $(VENV) …"
	@$(call install,embedded$(comma)schema$(comma)door)
	@touch $@

$(DEV): $(RUN)
	@echo "Installing what its tests need …"
	@$(call install,embedded$(comma)dev)
	@touch $@

$(BENCH): $(RUN)
	@echo "Installing what measures and draws …"
	@$(call install,embedded$(comma)bench)
	@touch $@

venv:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(call stop,\
	"TigerFans needs Python 3.11 or newer: install it (Debian$(comma) Ubuntu: sudo apt install \
	python3-venv)$(comma) or name it with make PYTHON=…")
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || $(call stop,"$(PYTHON) makes no virtual \
	environments: install python3-venv (Debian$(comma) Ubuntu: sudo apt install python3-venv).")
	@"$(PYTHON)" -m venv --clear $(VENV)

wrk:
	@command -v wrk >/dev/null || $(call stop,"The benchmarks need wrk: install it \
	(Debian$(comma) Ubuntu: sudo apt install wrk; macOS: brew install wrk).")

# What `up` starts besides, and the shop is told of it: a payment provider to test against.
ifeq ($(PROVIDER),stripe-test)
STRIPE_TEST = $(VENV)/bin/python -m tests.stripe_server --webhook-url \
	"http://127.0.0.1:$${TIGERFANS_PORT:-8000}/payments/webhook"
BY_STRIPE_TEST = TIGERFANS_PAYMENT_PROVIDER=stripe STRIPE_API_BASE=http://127.0.0.1:12111 \
	STRIPE_SECRET_KEY=sk_test_tigerfans STRIPE_WEBHOOK_SECRETS=whsec_tigerfans
endif

up: $(RUN) $(if $(STRIPE_TEST),$(DEV)) ## start the shop; OPS=ops/workers-4.env loads settings from a file
ifdef STRIPE_TEST
	@$(STRIPE_TEST) & provider=$$!; trap "kill $$provider 2>/dev/null" EXIT INT TERM; \
	$(BY_STRIPE_TEST) $(VENV)/bin/tigerfans up
else ifdef OPS
	@[ -r "$(OPS)" ] || { echo "OPS=$(OPS): there is no such file." >&2; exit 2; }
	@set -a; . "$(abspath $(OPS))"; set +a; exec $(VENV)/bin/tigerfans up
else
	@exec $(VENV)/bin/tigerfans up
endif

bench: wrk $(BENCH) ## measure the shop with each ops/workers-*.env, in under 3 minutes
	@exec $(VENV)/bin/python -m bench $(ARGS)

bench-sweep: wrk $(BENCH) ## the same at several concurrencies and again, in about forty minutes
	@exec $(VENV)/bin/python -m bench --sweep $(ARGS)

test: $(DEV) ## run the tests, on every core; ARGS='-k ledger' picks some
	@$(VENV)/bin/pytest -n auto --maxprocesses 8 $(ARGS)

coverage: $(DEV) ## run the tests and list what they do not reach
	@$(VENV)/bin/pytest $(ARGS) --cov

faults: $(DEV) ## kill everything, show that nothing is lost; ARGS='--seeds 20'
	@$(VENV)/bin/python -m tests.faults $(ARGS)

hosts: $(DEV) ## the same on several hosts (needs root, TigerBeetle); ARGS='--orders 20000'
	@$(VENV)/bin/python -m tests.hosts $(ARGS)

fresh: ## run the README's two commands on a bare Debian 12 and 13 (needs root and debootstrap)
	@exec $(or $(PYTHON),python3) -m tests.fresh $(ARGS)

lint: $(DEV) ## check style, formatting and types
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy

format: $(DEV) ## put the code into its form
	@$(VENV)/bin/ruff check --fix
	@$(VENV)/bin/ruff format

audit: $(DEV) ## look whether a weakness of what is installed is known (needs the network)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	@$(VENV)/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

screenshots: $(DEV) ## write pictures of all pages to docs/images
	@$(VENV)/bin/python -m tests.browser.screenshots

tigerbeetle: $(RUN) ## download the TigerBeetle server into ./bin
	@$(VENV)/bin/tigerfans tigerbeetle

clean: ## remove .venv and caches, never data
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Kept: data/ (the shop's) and bin/ (TigerBeetle's), where they are."
