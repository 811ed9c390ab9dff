#!/bin/sh
# Runs the tests with the lowest versions that pyproject.toml promises: .ci/lowest.sh [OPTIONS OF PYTEST]
# PYTHON is the interpreter, VENV the folder of the environment, which is made anew.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} venv=${VENV:-.venv-lowest}

"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
# The lowest versions of what sketchpipe itself needs, with the newest of what these need; the tests' tools are new.
"$venv/bin/uv" pip compile --quiet --no-header --no-annotate --resolution lowest-direct --python "$venv/bin/python" \
  --extra tensorboard --extra onnx --extra page pyproject.toml --output-file "$venv/lowest.txt"
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --editable '.[dev]' --constraints "$venv/lowest.txt"
# Old libraries use what newer ones deprecate.
"$venv/bin/python" -m pytest -n auto --maxprocesses 4 --dist loadfile -W default::DeprecationWarning "$@"
