# The steps of a drill, each told with its time. To be sourced; the drill says what `fail` shows.

say() { echo "== $SECONDS s: $*"; }
must() { # what, then a command that has to succeed
  local what="$1"
  shift
  "$@" || fail "$what"
  say "$what"
}
within() { # seconds, what, then a command that has to succeed by then
  local end=$((SECONDS + $1)) what="$2"
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "$what"
    sleep 1
  done
  say "$what"
}
