#!/bin/sh
# Makes the environment that `make` keeps: .ci/install.sh PYTHON VENV GPU. Quick where it is up to date.
set -eu
python=$1 venv=$2 gpu=$3

remedy() {
  echo "sketchpipe: $1" >&2
  exit 3
}

command -v "$python" >/dev/null 2>&1 || remedy "$python is missing: install Python 3.11 or newer, or say make PYTHON=python3.12"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  remedy "$("$python" --version 2>/dev/null || echo "$python") will not do: install Python 3.11 or newer, or say make PYTHON=python3.12"

extras=dev
if [ "$gpu" != 0 ] && command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then
  # Driver 580 and newer run CUDA 13.
  major=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1 | cut -d. -f1)
  if [ "$major" -ge 580 ]; then extras=dev,cuda13; else extras=dev,cuda12; fi
fi

# Up to date: the same extras, Python and requirements as last time, and an environment that runs.
stamp=$venv/.installed
version=$("$python" --version 2>&1)
wanted="$extras $version $(cksum <pyproject.toml)"
has=$("$venv/bin/python" --version 2>&1 || true)
if [ "$has" = "$version" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

case $extras in
  *cuda*) echo "an NVIDIA driver answers: installing JAX with CUDA, a download of about 2.5 GB (GPU=0 refuses it)" ;;
  *) echo "installing into $venv: a download of about 600 MB" ;;
esac
{ [ "$has" = "$version" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; } ||
  "$python" -m venv --clear "$venv" ||
  remedy "$python has no venv: on Debian and Ubuntu, apt install python3-venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$extras]" ||
  remedy "the packages could not be installed: see pip's message above"
printf '%s' "$wanted" >"$stamp"
