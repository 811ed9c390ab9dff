#!/bin/sh
# Makes the environment that `make` uses: .ci/install.sh PYTHON VENV GPU [dev]. Does nothing if it is up to date.
# It holds what sketchpipe needs to run; with `dev` also what tests, lint and benchmarks need. It is never reduced.
set -eu
python=$1 venv=$2 gpu=$3 dev=${4:-}

remedy() {
  echo "sketchpipe: $1" >&2
  exit 3
}

command -v "$python" >/dev/null 2>&1 || remedy "$python is missing: install Python 3.11 or newer, or use make PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  remedy "$("$python" --version 2>/dev/null || echo "$python") is too old: install Python 3.11 or newer, or use make PYTHON=python3.12"

cuda=
if [ "$gpu" != 0 ] && command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then
  # Drivers from version 580 on run CUDA 13.
  major=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1 | cut -d. -f1)
  if [ "$major" -ge 580 ]; then cuda=cuda13; else cuda=cuda12; fi
fi

# Up to date: at least the same extras, the same Python and requirements as last time, and an environment that runs.
stamp=$venv/.installed
version=$("$python" --version 2>&1)
has=$("$venv/bin/python" --version 2>&1 || true)
if [ -f "$stamp" ]; then
  case $(cat "$stamp") in dev*) dev=dev ;; esac # an environment with the packages of the tests keeps them
fi
wanted="${dev:-run} ${cuda:-cpu} $version $(cksum <pyproject.toml)"
if [ "$has" = "$version" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

if [ -n "$dev" ]; then
  what="sketchpipe with what its tests need" size="a download of 590 MB, 2.2 GB on disk"
else
  what="sketchpipe" size="a download of 310 MB, 1.3 GB on disk"
fi
echo "installing $what into $venv: $size"
[ -z "$cuda" ] || echo "  and JAX with CUDA for the NVIDIA GPU: a download of 2.5 GB (make GPU=0 leaves it out)"
{ [ "$has" = "$version" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; } ||
  "$python" -m venv --clear "$venv" ||
  remedy "$python has no venv: on Debian and Ubuntu, apt install python3-venv"
extras=$dev${dev:+${cuda:+,}}$cuda
quiet=--quiet
[ ! -t 1 ] || quiet= # somebody watches: pip shows its progress
"$venv/bin/python" -m pip install $quiet --disable-pip-version-check --editable ".${extras:+[$extras]}" ||
  remedy "the packages could not be installed: see pip's message above"
printf '%s' "$wanted" >"$stamp"
