# GNU make. Every target sets up .venv/ by itself; `make` alone lists them.
#
#   make demo ARGS="--seconds 30"      arguments for the command behind the target
#   make test PYTHON=python3.12        another Python than the first one found
#   make train DATA=boards/data.yaml   the data set to train on, or to evaluate by

ARGS ?=
DATA ?=
export PYTHON

VENV := .venv/bin
TRAINING_VENV := .venv-training/bin

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test docs drills soak round-trip check static format bench lock setup setup-app train evaluate test-training test-exports

# $(call step,name,command): runs it and says how long it took; the output of the tools stays as it is.
define step
	@started=$$(date +%s); $(2) || { echo "$(1): FAILED" >&2; exit 1; }; \
	echo "$(1): ok, $$(($$(date +%s) - started)) s"
endef

# $(call need_data,target): a data set must be named.
define need_data
	@[ -n "$(DATA)" ] || { echo "usage: make $(1) DATA=PATH (DeepPCB, YOLO or COCO; see training/README.md)" >&2; exit 2; }
endef

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-app ## the whole line on this machine: simulated camera, Triton, Redis, events
	@$(VENV)/inspector demo $(ARGS)

test: setup ## the tests
	@$(VENV)/python -m pytest $(ARGS)

check: static ## what CI runs besides test-training: formatter, linter, types, imports, hygiene, docs, tests
	@$(VENV)/python -m pytest $(ARGS)

static: setup ## all of check but the tests
	$(call step,format,$(VENV)/ruff format --check .)
	$(call step,lint,$(VENV)/ruff check --quiet .)
	$(call step,types,$(VENV)/mypy)
	$(call step,imports,$(VENV)/lint-imports --no-logo >.cache/imports.log || { cat .cache/imports.log; false; })
	$(call step,hygiene,$(VENV)/python scripts/check_no_leaks.py)
	$(call step,test mirror,$(VENV)/python scripts/check_test_mirror.py)
	$(call step,docs,$(VENV)/python scripts/build_docs.py --check)

docs: setup ## everything that is written as a searchable site; ARGS=--serve shows it
	@$(VENV)/python scripts/build_docs.py $(ARGS)

drills: setup ## breaks everything, one thing at a time, and writes docs/drills.md
	@$(VENV)/python -m tests.drills $(ARGS)

soak: setup ## ARGS="--minutes 60": load with random faults; is everything flat?
	@$(VENV)/python -m tests.drills.soak $(ARGS)

round-trip: setup ## units reviewed in a browser, exported, trained on, evaluated; ARGS="--units 50 --minutes 4"
	@$(VENV)/python -m tests.drills.round_trip $(ARGS)

format: setup ## formats the code and fixes what the linter can
	@$(VENV)/ruff format --quiet .
	@$(VENV)/ruff check --fix .

bench: setup-app ## every way to ask Triton, side by side: benchmarks/results.md
	@$(VENV)/python -m benchmarks.suite $(ARGS)

train: ## DATA=PATH: from a data set to model_repository/pcb_detector/1/model.onnx and its numbers
	$(call need_data,train)
	@scripts/bootstrap-training.sh train
	@$(TRAINING_VENV)/python -m training all --data "$(DATA)" $(ARGS)

evaluate: ## DATA=PATH: judges that model by a data set's test part; needs no torch
	$(call need_data,evaluate)
	@scripts/bootstrap-training.sh evaluate
	@$(TRAINING_VENV)/python -m training evaluate --data "$(DATA)" $(ARGS)

# Apart from `check`: it needs torch, which with CUDA is some GB.
test-training: ## the tests of training/, in .venv-training/
	@scripts/bootstrap-training.sh train
	@$(TRAINING_VENV)/python -m pytest tests/training $(ARGS)

test-exports: setup ## real exports (Ultralytics, torchvision, ...) added and served; makes .venv-exports/ (some GB)
	@scripts/bootstrap-exports.sh
	@$(VENV)/python -m pytest tests/exports $(ARGS)

lock: ## writes the locks (ARGS=--upgrade: newest of everything)
	@scripts/lock.sh $(ARGS)

setup:
	@scripts/bootstrap.sh dev

setup-app:
	@scripts/bootstrap.sh app
