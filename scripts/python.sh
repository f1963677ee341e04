# Sourced, not run: finds a Python that can carry the project.

# Prints the path of a Python >= 3.11 that has the venv module, or fails with one line that says what to do.
# $PYTHON, where set, is the only candidate. 3.11 comes first: the embedded Triton server is built for it.
find_python() {
  local candidates candidate path version without_venv="" too_old=""
  candidates="${PYTHON:-python3.11 python3.12 python3.13 python3}"
  for candidate in $candidates; do
    path="$(command -v "$candidate" 2>/dev/null)" || continue
    # A pyenv shim exists for Pythons that are not selected, and fails when called: skip it.
    version="$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" || continue
    if ! "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      too_old="$path is $version"
    elif ! "$path" -c 'from ensurepip import bootstrap; from venv import create' 2>/dev/null; then
      without_venv="$path"
    else
      echo "$path"
      return 0
    fi
  done
  if [ -n "$without_venv" ]; then
    echo "error: $without_venv has no venv module; install it (Debian, Ubuntu: apt install python3-venv)" >&2
  elif [ -n "$too_old" ]; then
    echo "error: Python 3.11 or newer is needed, but $too_old; name another with PYTHON=/path/to/python" >&2
  else
    echo "error: Python 3.11 or newer is needed, and none of these runs: $candidates (set PYTHON=/path/to/python)" >&2
  fi
  return 1
}
