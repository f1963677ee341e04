#!/usr/bin/env bash
# Makes .venv-exports/ ready, in which tests/exports makes and exports real models; .venv/
# is not touched. Every package comes from the lock with its hash; only torch and torchvision have none
# (see scripts/bootstrap-training.sh) and have a step of their own.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/python.sh
source scripts/python.sh

readonly VENV=.venv-exports
readonly LOG=.cache/bootstrap-exports.log
readonly LOCK=tests/exports/requirements.lock
readonly TORCH="torch==2.14.1 torchvision==0.29.1"
readonly PROOF="import onnx, torchvision, ultralytics"

# The folder, because a venv cannot be moved.
stamp() { printf '%s %s %s' "$PWD" "$TORCH" "$(cksum <"$LOCK")"; }

fail() {
  echo "error: $VENV cannot be made: $1 failed; the end of $LOG says:" >&2
  tail -n 6 "$LOG" | sed 's/^/  /' >&2
  exit 1
}

install() {
  "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off --no-input \
    --only-binary :all: "$@" >>"$LOG" 2>&1
}

mkdir -p .cache
if command -v flock >/dev/null; then
  exec 9>.cache/bootstrap-exports.lock
  flock 9
fi
if [ -f "$VENV/stamp" ] && [ "$(cat "$VENV/stamp")" = "$(stamp)" ]; then
  exit 0
fi

started=$SECONDS
python="$(find_python)"
rm -rf "$VENV"
echo "setting up $VENV/: $(grep -cE '^[a-z0-9]' "$LOCK") packages, and $TORCH (from 200 MB for a CPU to some GB with CUDA) …"
"$python" -m venv "$VENV" >"$LOG" 2>&1 || fail "$python -m venv"
install --no-deps --require-hashes -r "$LOCK" || fail "installing $LOCK"
# shellcheck disable=SC2086 # two words
install $TORCH || fail "installing $TORCH"
YOLO_OFFLINE=true YOLO_CONFIG_DIR=.cache/exports-settings "$VENV/bin/python" -c "$PROOF" >>"$LOG" 2>&1 ||
  fail "python -c '$PROOF'"
stamp >"$VENV/stamp"
echo "$VENV/ is ready after $((SECONDS - started)) s"
