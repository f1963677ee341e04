# GNU make. Every target sets up .venv/ by itself; `make` alone lists them.
#
#   make demo ARGS="--seconds 30"      arguments for the command behind the target
#   make test PYTHON=python3.12        another Python than the first one found

ARGS ?=
export PYTHON

VENV := .venv/bin
BENCHMARK := benchmarks/run.py

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check static format bench lock setup setup-app

# $(call step,name,command): runs it and says how long it took; the output of the tools stays as it is.
define step
	@started=$$(date +%s); $(2) || { echo "$(1): FAILED" >&2; exit 1; }; \
	echo "$(1): ok, $$(($$(date +%s) - started)) s"
endef

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-app ## the whole line on this machine: simulated camera, Triton, Redis, events
	@$(VENV)/inspector demo $(ARGS)

test: setup ## the tests
	@$(VENV)/python -m pytest $(ARGS)

check: static ## what CI runs: formatter, linter, types, import rules, hygiene, then the tests
	@$(VENV)/python -m pytest $(ARGS)

static: setup ## all of check but the tests
	$(call step,format,$(VENV)/ruff format --check .)
	$(call step,lint,$(VENV)/ruff check --quiet .)
	$(call step,types,$(VENV)/mypy)
	$(call step,imports,$(VENV)/lint-imports --no-logo >.cache/imports.log || { cat .cache/imports.log; false; })
	$(call step,hygiene,$(VENV)/python scripts/check_no_leaks.py)

format: setup ## formats the code and fixes what the linter can
	@$(VENV)/ruff format --quiet .
	@$(VENV)/ruff check --fix .

bench: ## measures this machine
ifeq ($(wildcard $(BENCHMARK)),)
	@echo "make bench: $(BENCHMARK) is not written yet" >&2; exit 2
else
	@scripts/bootstrap.sh app
	@$(VENV)/python $(BENCHMARK) $(ARGS)
endif

lock: ## writes both locks from pyproject.toml (ARGS=--upgrade: newest of everything)
	@scripts/lock.sh $(ARGS)

setup:
	@scripts/bootstrap.sh dev

setup-app:
	@scripts/bootstrap.sh app
