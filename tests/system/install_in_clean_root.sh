#!/usr/bin/env bash
# deploy/install.sh in a clean Debian of its own, under that Debian's own systemd: install, check, start,
# upgrade, remove, purge. Not part of the test suite: making the root takes minutes the first time. Needs
# root, mmdebstrap, a cgroup2 hierarchy; `make setup` before. The root has no network but loopback, and
# packages from a folder: the environment is installed from exactly what requirements.lock names.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly WORK="$PWD/.cache/clean-root"
readonly ROOT="$WORK/root" WHEELS="$WORK/wheels"
mkdir -p "$WORK"

say() { echo "== $SECONDS s: $*"; }
must() { # what, then a command that has to succeed
  local what="$1"
  shift
  "$@" || { echo "NOT SO: $what" >&2; exit 1; }
  say "$what"
}

prepare() {
  if [ ! -s "$WORK/base.tar" ]; then
    mmdebstrap --quiet --variant=minbase --include=systemd,dbus,python3,python3-venv,ca-certificates \
      bookworm "$WORK/base.part.tar"
    mv "$WORK/base.part.tar" "$WORK/base.tar"
  fi
  local lock pip=(.venv/bin/pip download --quiet --quiet --disable-pip-version-check --no-deps -d "$WHEELS")
  lock="$(grep -o '^async-timeout==[0-9.]*' requirements.lock)" # only Debian's older 3.11 asks for it
  "${pip[@]}" --only-binary :all: --require-hashes --python-version 3.11 --implementation cp --abi cp311 \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
    -r requirements.lock
  "${pip[@]}" "$lock"
  say "a clean Debian, and $(find "$WHEELS" -name '*.whl' | wc -l) packages"
}

# The first process of new namespaces: that Debian's systemd.
boot() {
  mount --make-rprivate /
  ip link set lo up
  mount -t tmpfs -o size=3g tmpfs "$ROOT"
  tar -C "$ROOT" -xf "$WORK/base.tar"
  mkdir -p "$ROOT/checkout" "$ROOT/wheels"
  git ls-files -z | tar --null -T - -cf - | tar -C "$ROOT/checkout" -xf -
  mount --bind "$WHEELS" "$ROOT/wheels"
  printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$ROOT/etc/pip.conf"
  mount -t proc proc "$ROOT/proc"
  mount -t sysfs -o ro sysfs "$ROOT/sys" 2>/dev/null || mount --rbind /sys "$ROOT/sys"
  mount -t tmpfs tmpfs "$ROOT/sys/fs/cgroup" 2>/dev/null || true
  mount -t cgroup2 cgroup2 "$ROOT/sys/fs/cgroup"
  mount -t tmpfs tmpfs "$ROOT/dev"
  local device
  for device in null zero full random urandom tty; do
    touch "$ROOT/dev/$device"
    mount --bind "/dev/$device" "$ROOT/dev/$device"
  done
  mkdir "$ROOT/dev/pts" "$ROOT/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$ROOT/dev/pts"
  mount -t tmpfs tmpfs "$ROOT/dev/shm"
  ln -s pts/ptmx "$ROOT/dev/ptmx"
  ln -s /proc/self/fd "$ROOT/dev/fd"
  mount -t tmpfs tmpfs "$ROOT/run"
  mount -t tmpfs tmpfs "$ROOT/tmp"
  local unit
  for unit in systemd-sysctl systemd-modules-load systemd-udevd systemd-udev-trigger systemd-remount-fs \
    kmod-static-nodes systemd-random-seed systemd-update-utmp; do
    ln -sf /dev/null "$ROOT/etc/systemd/system/$unit.service"
  done
  mount --make-rshared "$ROOT"
  hostname clean-root
  exec chroot "$ROOT" /usr/bin/env -i container=clean-root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no
}

outside() {
  prepare
  mkdir -p "$ROOT"
  local cgroup2 outer init=""
  cgroup2="$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/clean-root-$$"
  mkdir "$cgroup2"
  (
    echo "$BASHPID" >"$cgroup2/cgroup.procs"
    exec unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child bash "$0" boot
  ) >"$WORK/boot.log" 2>&1 &
  outer=$!
  # shellcheck disable=SC2064 # now, not then
  trap "kill -KILL $outer 2>/dev/null || true; wait $outer 2>/dev/null || true; sleep 1
    find '$cgroup2' -depth -type d -exec rmdir {} \; 2>/dev/null || true" EXIT
  until [ -n "$init" ] && grep -q '^systemd$' "/proc/$init/comm" 2>/dev/null; do
    kill -0 "$outer" || { cat "$WORK/boot.log"; exit 1; }
    init="$(cat "/proc/$outer/task/$outer/children" 2>/dev/null | tr -d ' ')"
    sleep 0.2
  done
  in_root() {
    nsenter -t "$init" -p -m -u -i -n -C -r -w /usr/bin/env -i \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
  }
  until in_root systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; do sleep 0.2; done
  say "its systemd is up: $(in_root systemctl --version | head -1)"
  drill
}

service_says() { in_root python3 -c "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8090$1').read().decode())"; }
settings='
[station]
site = "plant1"
line = "smt2"
name = "aoi"
[cameras.top]
source = "sim:?fps=4"
size = "640x480"
[redis]
url = "embedded"
'

drill() {
  must "an unprivileged user is refused" bash -c "! nsenter -t '$init' -p -m -u -i -n -C -r -w setpriv --reuid=nobody --clear-groups /checkout/deploy/install.sh 2>/dev/null"
  must "it installs" in_root /checkout/deploy/install.sh
  must "the user is there, without a shell" in_root sh -c 'getent passwd inspector | grep -q nologin'
  must "the command is there" in_root inspector --version
  must "not started yet, but enabled" in_root sh -c 'systemctl is-enabled inspector && ! systemctl is-active inspector'
  in_root sh -c "cat >/etc/inspector/inspector.toml" <<<"$settings"
  in_root sh -c 'printf %s secret >/etc/credstore/inspector.http.token && chmod 600 /etc/credstore/inspector.http.token'
  # As docs/operations.md says it. Triton is not there, and is what it finds.
  must "the doctor works as the service's user, with its secrets" in_root sh -c '
    systemd-run --quiet --pipe --wait -p User=inspector -p StateDirectory=inspector \
      -p LoadCredential=redis.password:inspector.redis.password -p LoadCredential=http.token:inspector.http.token \
      /usr/local/bin/inspector check --config /etc/inspector/inspector.toml >/tmp/said 2>&1; code=$?
    cat /tmp/said; [ "$code" = 1 ] && [ "$(grep -c ^fail /tmp/said)" = 1 ] && grep -q "^ok *disk /var/lib/inspector" /tmp/said'
  in_root rm /etc/credstore/inspector.http.token
  must "it starts" in_root systemctl start inspector
  must "as its own user" in_root sh -c '[ "$(stat -c %U /proc/$(systemctl show -P MainPID inspector))" = inspector ]'
  must "units get verdicts" bash -c "$(declare -f in_root service_says | sed "s/\"\$init\"/$init/"); for _ in \$(seq 60); do service_says /metrics 2>/dev/null | grep -q 'inspector_units_total{result=\"NOT_INSPECTED\"} [1-9]' && exit 0; sleep 0.5; done; exit 1"
  local before after release
  release="$(in_root readlink -f /opt/inspector)"
  in_root sh -c 'echo "# mine" >>/etc/inspector/inspector.toml; rm -rf /checkout/docs/images'
  before="$(numbers)"
  must "the same again upgrades" in_root /checkout/deploy/install.sh
  must "to another release" test "$(in_root readlink -f /opt/inspector)" != "$release"
  must "it runs again" in_root systemctl is-active inspector
  must "with the configuration as it was" in_root grep -q '^# mine' /etc/inspector/inspector.toml
  after="$(numbers)"
  must "and a journal that goes on: unit $before, then $after" test "$after" -ge "$before"
  must "a wrong configuration ends it, for good" in_root sh -c 'echo "[nonsense]" >>/etc/inspector/inspector.toml; ! systemctl restart inspector; [ "$(systemctl show -P ExecMainStatus inspector)" = 78 ]'
  must "it goes" in_root /checkout/deploy/install.sh remove
  must "program and unit are gone" in_root sh -c '[ ! -e /opt/inspector ] && [ ! -e /opt/inspector.releases ] && [ ! -e /usr/local/bin/inspector ] && ! systemctl cat inspector 2>/dev/null'
  must "configuration and journal are kept" in_root sh -c '[ -s /etc/inspector/inspector.toml ] && [ -s /var/lib/inspector/journal.sqlite ]'
  must "all of it goes" in_root sh -c '/checkout/deploy/install.sh remove --purge'
  must "nothing is left" in_root sh -c '[ ! -e /etc/inspector ] && [ ! -e /var/lib/inspector ] && ! getent passwd inspector && [ -z "$(find / -xdev -name "*inspector*" -not -path "/checkout/*" -not -path "/proc/*" -print -quit)" ]'
}

# The number of the newest unit in the journal.
numbers() {
  in_root python3 -c "
import sqlite3
db = sqlite3.connect('file:/var/lib/inspector/journal.sqlite?mode=ro', uri=True)
print(db.execute(\"SELECT value FROM counters WHERE name = 'units:top'\").fetchone()[0])"
}

case "${1:-}" in
  boot) boot ;;
  *) outside ;;
esac
