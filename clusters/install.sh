#!/usr/bin/env bash
# The locked environment on one node: pyproject.toml and constraints.txt beside this script become ~/lab-environment.
# Run by `ray up` on every node; nothing is done where it was done from the same two files.
# Only what the project needs is installed, not the project: its code travels with every job.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
environment=${LAB_ENVIRONMENT:-$HOME/lab-environment}
python=${LAB_PYTHON:-python3} # 3.11 to 3.13, the same minor version as where jobs are submitted from
free_gb=${LAB_FREE_GB:-15}    # what torch with CUDA, and pip's copies while it installs, take

say() { echo "lab install on $(hostname): $*" >&2; }

files=$(cat "$here/pyproject.toml" "$here/constraints.txt" | sha256sum | cut -c1-12)
if [ "$(cat "$environment/.files" 2>/dev/null)" = "$files" ]; then exit 0; fi

command -v "$python" >/dev/null || { say "no $python: set LAB_PYTHON to a Python 3.11 to 3.13."; exit 1; }
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
  || { say "$("$python" -V) is not 3.11 to 3.13: set LAB_PYTHON to one that is."; exit 1; }
left=$(df --output=avail -BG "$HOME" | tail -1 | tr -dc 0-9)
[ "$left" -ge "$free_gb" ] || { say "$left GB free in $HOME, $free_gb are needed: give the node a larger disk."; exit 1; }

rm -rf "$environment"
"$python" -m venv "$environment" 2>/dev/null || {
  # Debian and Ubuntu keep venv in a package of its own.
  as_root=$([ "$(id -u)" = 0 ] || echo sudo)
  $as_root apt-get update -q && $as_root apt-get install -y -q python3-venv
  rm -rf "$environment" && "$python" -m venv "$environment"
}
index=()
command -v nvidia-smi >/dev/null || index=(--extra-index-url https://download.pytorch.org/whl/cpu)
PIP_CONSTRAINT="$here/constraints.txt" PIP_DISABLE_PIP_VERSION_CHECK=1 \
  "$environment/bin/python" -m pip install --quiet "${index[@]}" "$here[cluster]"
sha256sum "$here/constraints.txt" | cut -c1-12 > "$environment/lock" # what `lab submit` compares
echo "$files" > "$environment/.files"
