#!/usr/bin/env bash
# Makes the environment of one contender, .cache/contenders/NAME/, if it is not there yet.
#
#   benchmarks/contenders/setup.sh NAME      ultralytics, roboflow or tutorial_http
#
# Every package comes from NAME/requirements.lock with its hash; only torch and torchvision have none
# (see scripts/bootstrap-training.sh) and have a step of their own. Ends with 1 and one line on stderr
# where the environment cannot be made.
set -euo pipefail
cd "$(dirname "$0")/../.."

# shellcheck source=scripts/python.sh
source scripts/python.sh

readonly FOLDER=benchmarks/contenders
name="${1:-}"
case "$name" in
  # What must be importable at the end: what the lock leaves out on purpose, pip cannot judge.
  ultralytics) proof="from ultralytics import YOLO" ;;
  roboflow) proof="from streamvision.stream.pipeline import InferencePipeline" ;;
  tutorial_http) proof="from tritonclient import http" ;;
  *) echo "usage: $0 ultralytics|roboflow|tutorial_http" >&2; exit 2 ;;
esac

readonly LOCK=$FOLDER/$name/requirements.lock
readonly VENV=.cache/contenders/$name
readonly LOG=.cache/contenders/$name.log
# Ultralytics asks for the version of torchvision when it is imported; here nothing loads it.
torch=()
if [ "$name" = ultralytics ]; then
  torch=("$(sed -n 's/^readonly TORCH=//p' scripts/bootstrap-training.sh)" torchvision==0.28.0)
fi

# The folder, because a venv cannot be moved.
stamp() { printf '%s %s %s' "$PWD" "${torch[*]}" "$(cksum <"$LOCK")"; }

fail() {
  echo "error: the environment of $name cannot be made: $1 failed; see $LOG" >&2
  exit 1
}

install() {
  "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off --no-input \
    --only-binary :all: "$@" >>"$LOG" 2>&1
}

mkdir -p .cache/contenders
if command -v flock >/dev/null; then
  exec 9>"$VENV.lock"
  flock 9
fi
if [ -f "$VENV/stamp" ] && [ "$(cat "$VENV/stamp")" = "$(stamp)" ]; then
  exit 0
fi

python="$(find_python)"
rm -rf "$VENV"
echo "setting up $VENV/: $(grep -cE '^[a-z0-9]' "$LOCK") packages${torch:+ and ${torch[*]}} …" >&2
"$python" -m venv "$VENV" >"$LOG" 2>&1 || fail "$python -m venv"
# --no-deps: the lock is complete but for what NAME/excludes.txt leaves out.
install --no-deps --require-hashes -r "$LOCK" || fail "installing $LOCK"
if [ "${#torch[@]}" -gt 0 ]; then
  install "${torch[@]}" || fail "installing ${torch[*]}"
fi
YOLO_OFFLINE=true YOLO_CONFIG_DIR=.cache/contenders/ultralytics-settings \
  "$VENV/bin/python" -c "$proof" >>"$LOG" 2>&1 || fail "python -c '$proof'"
stamp >"$VENV/stamp"
