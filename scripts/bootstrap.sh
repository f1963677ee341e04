#!/usr/bin/env bash
# Makes .venv/ ready, from a bare Python 3.11 or newer: no root, no tool, nothing installed before.
#
#   scripts/bootstrap.sh app    what `inspector` needs to run (requirements.lock)
#   scripts/bootstrap.sh dev    the same and what the tests need (requirements-dev.lock)
#
# Every package comes from a lock with hashes; the project itself is installed without fetching anything.
# A stamp in .venv/ is written last, so that an interrupted installation is rebuilt, and a finished one
# costs only the comparison of the stamp.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/python.sh
source scripts/python.sh

readonly VENV=.venv
readonly LOG=.cache/bootstrap.log
wanted="${1:-dev}"
case "$wanted" in
  app) lock=requirements.lock size="140 MB" ;;
  dev) lock=requirements-dev.lock size="200 MB" ;;
  *) echo "usage: $0 [app|dev]" >&2; exit 2 ;;
esac

# Both locks, so that app and dev never mix versions; the folder, because a venv cannot be moved.
locks_stamp() { printf '%s %s' "$PWD" "$(cat requirements.lock requirements-dev.lock | cksum)"; }
project_stamp() { cat pyproject.toml inspector/__init__.py | cksum; }
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
stamped() { [ -f "$VENV/$1.stamp" ] && [ "$(cat "$VENV/$1.stamp")" = "$2" ]; }

# The venv is whole, belongs to these locks, and is of the Python that was asked for, if one was.
venv_fits() {
  stamped app "$(locks_stamp)" || stamped dev "$(locks_stamp)" || return 1
  local version
  version="$(version_of "$VENV/bin/python")" || return 1
  [ -z "${PYTHON:-}" ] || [ "$version" = "$(version_of "$PYTHON")" ]
}

# The tests' packages include the application's.
carries_wanted() { stamped "$wanted" "$(locks_stamp)" || stamped dev "$(locks_stamp)"; }

# Runs pip and shows how far it is: on a terminal one line that is rewritten.
install_lock() {
  local total
  total="$(grep -cE '^[a-z0-9]' "$lock")"
  echo "installing up to $total packages from $lock, about $size …"
  "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off --no-input \
    --only-binary :all: --require-hashes -r "$lock" 2>&1 | tee "$LOG" | show_progress "$total"
}

show_progress() {
  local line count=0
  while IFS= read -r line; do
    case "$line" in
      Collecting\ *)
        count=$((count + 1))
        line="${line#Collecting }"
        line="$count of $1  ${line%%==*}"
        ;;
      Installing\ collected*) line="unpacking $count packages …" ;;
      *) continue ;;
    esac
    [ ! -t 1 ] || printf '\r\033[K  %s' "$line"
  done
  [ ! -t 1 ] || printf '\r\033[K'
}

fail() {
  echo "error: $1; the end of $LOG says:" >&2
  grep -vE '^($|Ignoring )' "$LOG" | tail -n 6 | sed 's/^/  /' >&2
  exit 1
}

mkdir -p .cache
# Two makes at once must not build the same venv; macOS has no flock, and takes its chance.
if command -v flock >/dev/null; then
  exec 9>.cache/bootstrap.lock
  flock --nonblock 9 || { echo "waiting for another make that is setting up $VENV/ …"; flock 9; }
fi

if venv_fits && carries_wanted && stamped project "$(project_stamp)"; then
  exit 0
fi

started=$SECONDS
if ! venv_fits; then
  python="$(find_python)"
  if [ -d "$VENV" ]; then
    echo "$VENV/ is incomplete, or was made for other locks, another Python or another folder: making it anew"
    rm -rf "$VENV"
  fi
  echo "setting up $VENV/ with Python $("$python" -c 'import platform; print(platform.python_version())') ($python)"
  "$python" -m venv "$VENV" >"$LOG" 2>&1 || fail "$python -m venv failed"
fi

if ! carries_wanted; then
  rm -f "$VENV"/*.stamp
  install_lock || fail "installing $lock failed"
  locks_stamp >"$VENV/$wanted.stamp"
fi
rm -f "$VENV/project.stamp"
# As it was called before; both would own bin/inspector.
if compgen -G "$VENV/lib/python*/site-packages/inspector-*.dist-info" >/dev/null; then
  "$VENV/bin/python" -m pip uninstall --disable-pip-version-check --quiet --yes inspector >"$LOG" 2>&1 ||
    fail "removing the project under its former name failed"
fi
"$VENV/bin/python" -m pip install --disable-pip-version-check --quiet --no-input --no-index --no-deps \
  --no-build-isolation --editable . >"$LOG" 2>&1 || fail "installing the project itself failed"
project_stamp >"$VENV/project.stamp"
echo "$VENV/ is ready after $((SECONDS - started)) s"
