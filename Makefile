# sketchpipe's stages as make targets. Each stage leaves unchanged sketches and shards as they are; train resumes an
# unfinished run, or else starts another.
#
#   SKETCHES  folder of ndjson drawings        SHARDS  folder of shards
#   CLASSES   classes to take, "cat,hot dog"   EPOCHS  passes over the drawings; 12 for the sample
#   GPU=0     never install CUDA               PYTEST  options for the tests
#   DEV=1     install what tests need as well  VENV    folder of the environment

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
# What sketchpipe needs to run is all that most targets install; these need the tests' packages too.
DEV ?= $(filter test lint bench bench-shards bench-feed,$(MAKECMDGOALS))
SKETCHPIPE := $(BIN)/sketchpipe
# A run knows its own shards; SHARDS counts only if it is given.
SHARDS_OPTION := $(if $(filter command environment,$(firstword $(origin SHARDS))),--shards "$(SHARDS)")
CLASSES_OPTION := $(if $(CLASSES),--classes "$(CLASSES)")

.PHONY: help install sketches shards train evaluate predict test lint docs bench bench-shards bench-feed kill clean

help:
	@echo "make train        environment, drawings, shards, training, test accuracy"
	@echo "make test         the tests, in an environment with what they need"
	@echo "make install, sketches, shards, evaluate, predict, lint, docs, clean: one stage each"
	@echo "make bench, bench-shards, bench-feed, kill: measurements, the last three on SKETCHES"
	@echo "Google's drawings: make install && $(SKETCHPIPE) download cat dog && make train SKETCHES=sketches/quickdraw SHARDS=shards/quickdraw"
	@echo "Drawings of your own: make train SKETCHES=sketches/mine SHARDS=shards/mine CLASSES=\"cat,hot dog\""

install:
	@sh .ci/install.sh "$(PYTHON)" "$(VENV)" "$(GPU)" $(if $(DEV),dev)

sketches: install
	@if [ "$$(basename "$(SKETCHES)")" = sample ]; then \
	  echo "drawings: the built-in synthetic sample; for Google's:"; \
	  echo "  $(SKETCHPIPE) download cat dog && make train SKETCHES=sketches/quickdraw SHARDS=shards/quickdraw"; \
	  $(SKETCHPIPE) sample --to "$(SKETCHES)"; fi

shards: sketches
	@$(SKETCHPIPE) shards "$(SKETCHES)" --to "$(SHARDS)" $(CLASSES_OPTION)

train: shards
	@$(SKETCHPIPE) train --shards "$(SHARDS)" $(if $(EPOCHS),--epochs $(EPOCHS))
	@$(SKETCHPIPE) evaluate --shards "$(SHARDS)"
	@echo "name a drawing: $(SKETCHPIPE) predict --random"

evaluate: install
	@$(SKETCHPIPE) evaluate $(SHARDS_OPTION)

predict: install
	@$(SKETCHPIPE) predict --random $(SHARDS_OPTION)

# Runs files of tests in parallel, on up to four cores.
test: install
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST)

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

# The generated parts of the pages: the command reference, the tables of modules.
docs: install
	@$(BIN)/python docs/generate.py

bench: install
	@$(BIN)/python benchmarks/raster.py

# Builds of 1 and 3 GB made from the lines in SKETCHES, compared with DuckDB, polars and a filter with shuf.
bench-shards: sketches
	@$(BIN)/python benchmarks/shards.py "$(SKETCHES)"

# The loader compared with those of PyTorch, Grain and TensorFlow that are installed (pip install -e '.[bench]').
bench-feed: sketches
	@$(BIN)/python benchmarks/feed.py "$(SKETCHES)"

# Builds killed at 100 random moments.
kill: sketches
	@$(BIN)/python benchmarks/kill.py "$(SKETCHES)"

# Leaves sketches, shards and runs alone.
clean:
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path "./$(VENV)/*" -prune -exec rm -rf {} +
