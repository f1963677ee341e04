#!/usr/bin/env bash
# Makes .venv-training/ ready, from a bare Python 3.11 or newer; .venv/ is not touched.
#
#   scripts/bootstrap-training.sh evaluate   data sets, evaluation (training/requirements.lock)
#   scripts/bootstrap-training.sh train      the same and torch
#
# torch has no hash in the lock: one release comes in many builds (CPU only, each CUDA), each with a
# hash of its own, and pip takes the one that its configuration leads to. So torch has its version
# pinned and a step of its own, after everything that has hashes. For another build than pip's choice
# set pip's own PIP_INDEX_URL or PIP_EXTRA_INDEX_URL, as torch's site says for your card.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/python.sh
source scripts/python.sh

readonly VENV=.venv-training
readonly LOG=.cache/bootstrap-training.log
readonly LOCK=training/requirements.lock
readonly TORCH=torch==2.13.0
wanted="${1:-train}"
case "$wanted" in
  evaluate | train) ;;
  *) echo "usage: $0 [evaluate|train]" >&2; exit 2 ;;
esac

# The folder, because a venv cannot be moved.
lock_stamp() { printf '%s %s' "$PWD" "$(cksum <"$LOCK")"; }
stamped() { [ -f "$VENV/$1.stamp" ] && [ "$(cat "$VENV/$1.stamp")" = "$2" ]; }
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# The venv is whole, belongs to this lock, and is of the Python that was asked for, if one was.
venv_fits() {
  stamped lock "$(lock_stamp)" || return 1
  local version
  version="$(version_of "$VENV/bin/python")" || return 1
  [ -z "${PYTHON:-}" ] || [ "$version" = "$(version_of "$PYTHON")" ]
}

install() {
  "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off --no-input \
    --only-binary :all: "$@" >>"$LOG" 2>&1
}

fail() {
  echo "error: $1; the end of $LOG says:" >&2
  tail -n 6 "$LOG" | sed 's/^/  /' >&2
  exit 1
}

mkdir -p .cache
# Two makes at once must not build the same venv; macOS has no flock, and takes its chance.
if command -v flock >/dev/null; then
  exec 9>.cache/bootstrap-training.lock
  flock --nonblock 9 || { echo "waiting for another make that is setting up $VENV/ …"; flock 9; }
fi

if venv_fits && { [ "$wanted" = evaluate ] || stamped torch "$TORCH"; }; then
  exit 0
fi

started=$SECONDS
: >"$LOG"
if ! venv_fits; then
  python="$(find_python)"
  if [ -d "$VENV" ]; then
    echo "$VENV/ is incomplete, or was made for another lock, Python or folder: making it anew"
    rm -rf "$VENV"
  fi
  echo "setting up $VENV/ with Python $("$python" -c 'import platform; print(platform.python_version())') ($python)"
  "$python" -m venv "$VENV" >>"$LOG" 2>&1 || fail "$python -m venv failed"
  echo "installing $(grep -cE '^[a-z0-9]' "$LOCK") packages from $LOCK …"
  install --require-hashes -r "$LOCK" || fail "installing $LOCK failed"
  lock_stamp >"$VENV/lock.stamp"
fi

if [ "$wanted" = train ] && ! stamped torch "$TORCH"; then
  rm -f "$VENV/torch.stamp"
  echo "installing $TORCH: from 200 MB for a CPU to some GB with CUDA …"
  install "$TORCH" || fail "installing $TORCH failed"
  # What the lock pinned must have been good enough for this build.
  "$VENV/bin/python" -m pip check >>"$LOG" 2>&1 || fail "$TORCH and $LOCK do not fit together"
  echo "$TORCH" >"$VENV/torch.stamp"
fi
echo "$VENV/ is ready after $((SECONDS - started)) s"
