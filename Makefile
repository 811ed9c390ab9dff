# sketchpipe's stages as make targets. Each stage keeps sketches and shards that are up to date; train resumes an
# unfinished run, or starts a new one.
#
#   SKETCHES  folder of ndjson drawings        SHARDS  folder of shards
#   CLASSES   classes to take, "cat,hot dog"   EPOCHS  passes over the drawings; 12 for the sample
#   GPU=0     never install CUDA               PYTEST  options for the tests
#   DEV=1     also install what tests need     VENV    folder of the environment

PYTHON ?= python3
SKETCHES ?= sketches/sample
SHARDS ?= shards/sample
CLASSES ?=
# 12 epochs are enough for the sample, which is easy; real drawings need more.
EPOCHS ?= $(if $(filter sample,$(notdir $(patsubst %/,%,$(SKETCHES)))),12)
GPU ?= auto
PYTEST ?=

VENV ?= .venv
BIN := $(VENV)/bin
# Most targets install only what sketchpipe needs to run; these also need the packages of the tests.
DEV ?= $(filter test lint bench-render bench-shards bench-feed,$(MAKECMDGOALS))
SKETCHPIPE := $(BIN)/sketchpipe
# A run records its own shards; SHARDS replaces them only if it is set.
SHARDS_OPTION := $(if $(filter command environment,$(firstword $(origin SHARDS))),--shards "$(SHARDS)")
CLASSES_OPTION := $(if $(CLASSES),--classes "$(CLASSES)")

.PHONY: help install sketches shards train evaluate predict page test lint docs bench-render bench-shards bench-feed faults clean

help:
	@echo "make train        environment, drawings, shards, training, test accuracy"
	@echo "make test         the tests, in an environment with what they need"
	@echo "make install, sketches, shards, evaluate, predict, page, lint, docs, clean: one stage each"
	@echo "make bench-render, bench-shards, bench-feed: measurements, the last two on SKETCHES; make faults: trials"
	@echo "Google's drawings: make install && $(SKETCHPIPE) download cat dog && make train SKETCHES=sketches/quickdraw SHARDS=shards/quickdraw"
	@echo "Drawings of your own: make train SKETCHES=sketches/mine SHARDS=shards/mine CLASSES=\"cat,hot dog\""

install:
	@sh .ci/install.sh "$(PYTHON)" "$(VENV)" "$(GPU)" $(if $(filter-out 0,$(DEV)),dev)

sketches: install
	@if [ "$$(basename "$(SKETCHES)")" = sample ]; then \
	  echo "drawings: the built-in synthetic sample; for Google's drawings:"; \
	  echo "  $(SKETCHPIPE) download cat dog && make train SKETCHES=sketches/quickdraw SHARDS=shards/quickdraw"; \
	  $(SKETCHPIPE) sample --to "$(SKETCHES)"; fi

shards: sketches
	@$(SKETCHPIPE) shards "$(SKETCHES)" --to "$(SHARDS)" $(CLASSES_OPTION)

train: shards
	@$(SKETCHPIPE) train --shards "$(SHARDS)" $(if $(EPOCHS),--epochs $(EPOCHS))
	@$(SKETCHPIPE) evaluate --shards "$(SHARDS)"
	@echo "to predict a drawing: $(SKETCHPIPE) predict --random"

evaluate: install
	@$(SKETCHPIPE) evaluate $(SHARDS_OPTION)

predict: install
	@$(SKETCHPIPE) predict --random $(SHARDS_OPTION)

# The page to draw on, for the run that saved a checkpoint last, or the network that comes with sketchpipe.
page: install
	@$(SKETCHPIPE) export --to doodle.html

# Runs the test files in parallel, on up to four cores, in the order of tests/conftest.py.
test: install
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST)

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

# Generates the command reference and the tables of modules in the pages.
docs: install
	@$(BIN)/python docs/generate.py

# Compares the renderer with other libraries. `sketchpipe bench` measures every stage of sketchpipe alone.
bench-render: install
	@$(BIN)/python benchmarks/raster.py

# Compares builds of 1 and 3 GB, made from the lines in SKETCHES, with DuckDB, polars and a filter with shuf.
bench-shards: sketches
	@$(BIN)/python benchmarks/shards.py "$(SKETCHES)"

# Compares the loader with those of PyTorch, Grain and TensorFlow, as far as they are installed (pip install -e '.[bench]').
bench-feed: sketches
	@$(BIN)/python benchmarks/feed.py "$(SKETCHES)"

# Kills commands, fails disks, flips bits and sends signals, and checks what is left; takes an hour or two.
faults: install
	@$(BIN)/python benchmarks/faults.py

# Removes caches and build folders; keeps sketches, shards and runs.
clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
