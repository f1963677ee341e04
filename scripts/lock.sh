#!/usr/bin/env bash
# Writes requirements.lock (to run) and requirements-dev.lock (to develop and test) from pyproject.toml,
# and training/requirements.lock, tests/exports/requirements.lock and
# benchmarks/contenders/*/requirements.lock each from the requirements.in beside it.
#
#   scripts/lock.sh              keeps every locked version that still fits
#   scripts/lock.sh --upgrade    takes the newest of everything
#
# One version of each package for every Python we support ("fewest"): what was tested is what runs.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly UV_VERSION=0.13.9
readonly TOOLS=.cache/lock-tools

# shellcheck source=scripts/python.sh
source scripts/python.sh
python="$(find_python)"

if ! "$TOOLS/bin/uv" --version 2>/dev/null | grep -q "^uv $UV_VERSION "; then
  rm -rf "$TOOLS"
  "$python" -m venv "$TOOLS"
  "$TOOLS/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
fi

compile() {
  "$TOOLS/bin/uv" pip compile --quiet --universal --python-version 3.11 \
    --fork-strategy fewest --generate-hashes --custom-compile-command "make lock" "$@" >/dev/null
}

project=(pyproject.toml --group embedded --group build)
compile "${project[@]}" --output-file requirements.lock "$@"
# The application's versions are the same in all three: the second lock only adds, the third takes.
compile "${project[@]}" --output-file requirements-dev.lock --group dev --constraints requirements.lock "$@"
compile training/requirements.in --output-file training/requirements.lock \
  --constraints requirements-dev.lock "$@"

# plain.py runs with the application's versions everywhere; foreign software has versions of its own, and
# what it asks for and does not need is in excludes.txt.
others=benchmarks/contenders
compile $others/tutorial_http/requirements.in --output-file $others/tutorial_http/requirements.lock \
  --constraints requirements.lock "$@"
for name in roboflow ultralytics; do
  compile $others/$name/requirements.in --output-file $others/$name/requirements.lock \
    --excludes $others/$name/excludes.txt "$@"
done

exports=tests/exports
compile $exports/requirements.in --output-file $exports/requirements.lock \
  --excludes $exports/excludes.txt "$@"

for lock in requirements.lock requirements-dev.lock training/requirements.lock \
  tests/exports/requirements.lock benchmarks/contenders/*/requirements.lock; do
  echo "$lock: $(grep -cE '^[a-z0-9]' "$lock") packages"
done
