#!/usr/bin/env bash
# The way of docs/operations.md from a bare Debian 12 to a watched station, and back: in a clean root of its
# own, under that Debian's own systemd. deploy/install.sh brings Python, the service and its unit; the doctor;
# a real Triton (the embedded one), verdicts; Debian's Prometheus and Alertmanager with the shipped files; an
# RTSP camera beside it, which is cut until the person on call hears of it; upgrade, a wrong configuration,
# remove, purge. test_install.py runs it. Needs root, mmdebstrap, a cgroup2 hierarchy, GStreamer's RTSP server,
# and `make setup` before. The root has no network but loopback: packages come from a folder, the environment
# from exactly what requirements.lock names.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/steps.sh
source scripts/steps.sh

readonly WORK="$PWD/.cache/clean-root"
readonly ROOT="$WORK/root" DEBIAN="$PWD/.cache/debian/bare.tar" WHEELS="$PWD/.cache/debian/wheels"
readonly CAMERA_PORT=8554 CALLS=/tmp/calls
mkdir -p "$WORK"

fail() { echo "NOT SO: $*"; tell_why; exit 1; }

# The first process of new namespaces: that Debian's systemd.
boot() {
  mount --make-rprivate /
  ip link set lo up
  mount -t tmpfs -o size=8g tmpfs "$ROOT"
  tar -C "$ROOT" -xf "$DEBIAN"
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
  hostname clean-root
  # Not chroot, inside which the kernel lets nobody make user namespaces (PrivateUsers=, of Debian's Prometheus).
  cd "$ROOT"
  pivot_root . mnt
  umount --lazy /mnt
  mount --make-rshared /
  exec /usr/bin/env -i container=clean-root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no
}

outside() {
  scripts/debian_parts.sh
  say "a bare Debian, and $(find "$WHEELS" -name '*.whl' | wc -l) Python packages"
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
  trap "kill -KILL \$camera $outer 2>/dev/null || true; wait \$camera $outer 2>/dev/null || true
    for _ in \$(seq 20); do
      find '$cgroup2' -depth -type d -exec rmdir {} \; 2>/dev/null || true
      [ -e '$cgroup2' ] || break
      sleep 1
    done" EXIT
  until [ -n "$init" ] && grep -q '^systemd$' "/proc/$init/comm" 2>/dev/null; do
    kill -0 "$outer" || { cat "$WORK/boot.log"; exit 1; }
    init="$(cat "/proc/$outer/task/$outer/children" 2>/dev/null | tr -d ' ')"
    sleep 0.2
  done
  in_root() {
    nsenter -t "$init" -p -m -u -i -n -C -r -w /usr/bin/env -i \
      PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
  }
  within 60 "its systemd is up" is_up
  drill
}

is_up() {
  local state
  state="$(in_root systemctl is-system-running)" || true
  [ "$state" = running ] || [ "$state" = degraded ]
}

# What a person would look at first, when something was not so.
tell_why() {
  [ -n "${init:-}" ] || return 0
  in_root systemctl --no-pager --full status inspector prometheus prometheus-alertmanager 2>&1 | head -60 || true
  in_root journalctl --no-pager -o cat -n 40 -u inspector 2>&1 || true
  in_root sh -c "tail -c 2000 $CALLS" 2>/dev/null || true
}

ask() { # port and path
  in_root python3 -c 'import sys, urllib.request as u; print(u.urlopen("http://127.0.0.1:" + sys.argv[1], timeout=5).read().decode())' "$1"
}
has() { # port and path, then what the answer has to match
  local answer
  answer="$(ask "$1")" && grep -qE "$2" <<<"$answer"
}
prometheus_has() { has "9090/api/v1/query?query=$1" '"value":\[[0-9.]+,"'"$2"'"\]'; }
called() { in_root grep -q "^$1 .*\"status\": *\"firing\".*\"alertname\": *\"$2\"" "$CALLS"; }
doctor_finds() { # its exit code, and each expression has to match a line
  local said code=0 expression
  said="$(in_root /opt/inspector/deploy/install.sh check 2>&1)" || code=$?
  echo "$said"
  [ "$code" = "$1" ] || return 1
  shift
  for expression; do grep -qE "$expression" <<<"$said" || return 1; done
}

# A machine of its own, on the network of the root.
camera=""
start_camera() {
  rm -f "$WORK/camera.log"
  nsenter -t "$init" -n env -u PYTHONPATH -u PYTHONHOME /usr/bin/python3 tests/kit/rtsp_server.py \
    "$CAMERA_PORT" --fps 4 >"$WORK/camera.log" 2>&1 &
  camera=$!
  within 30 "the camera sends" grep -q ready "$WORK/camera.log"
}
cut_camera() {
  kill -KILL "$camera"
  wait "$camera" 2>/dev/null || true
  camera=""
}

# Whom alertmanager.yml, as it is shipped, calls.
readonly PERSON='
import http.server, sys
class Person(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open(sys.argv[1], "a") as calls:
            calls.write(f"{self.path} {body}\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9099), Person).serve_forever()
'

settings="
[station]
site = 'plant1'
line = 'smt2'
name = 'aoi'
[cameras.top]
source = 'rtsp://127.0.0.1:$CAMERA_PORT/camera'
size = '640x360'
[batching]
max_age_ms = 15000.0
[inspection]
deadline_ms = 20000.0
[inference]
url = 'embedded'
[redis]
url = 'embedded'
"

drill() {
  must "it is bare" in_root sh -c '! command -v python3 && ! command -v prometheus'
  must "an unprivileged user is refused" as_nobody_refused
  must "it installs" in_root /checkout/deploy/install.sh
  must "the user is there, without a shell" in_root sh -c 'getent passwd inspector | grep -q nologin'
  must "the command is there" in_root inspector --version
  must "not started yet, but enabled" in_root sh -c 'systemctl is-enabled inspector && ! systemctl is-active inspector'
  inspected
  watched
  upgraded
  removed
}

as_nobody_refused() {
  ! nsenter -t "$init" -p -m -u -i -n -C -r -w setpriv --reuid=nobody --clear-groups /checkout/deploy/install.sh
}

inspected() {
  in_root sh -c "cat >/etc/inspector/inspector.toml" <<<"$settings"
  in_root sh -c 'printf %s secret >/etc/credstore/inspector.http.token && chmod 600 /etc/credstore/inspector.http.token'
  must "the doctor misses camera and libpython, as the service's user, with its secrets" \
    doctor_finds 1 '^fail *camera top' '^fail *triton.*apt-get install libpython3.11' '^ok *disk /var/lib/inspector'
  in_root rm /etc/credstore/inspector.http.token
  in_root apt-get -qq -o Dpkg::Use-Pty=0 install -y libpython3.11 >/dev/null
  start_camera
  must "the doctor is content" doctor_finds 0 '^ok *camera top' '^ok *disk /var/lib/inspector'
  must "it starts" in_root systemctl start inspector
  must "as its own user" in_root sh -c '[ "$(stat -c %U /proc/$(systemctl show -P MainPID inspector))" = inspector ]'
  within 180 "units are looked at" has 8090/metrics '^inspector_units_total\{result="(PASSED|FAILED)"\} [1-9]'
}

# The commands under a bold heading of docs/operations.md, as they stand there.
documented() {
  awk -v heading="**$1**" 'index($0, heading) == 1 { found = 1 } found && /^```sh/ { on = 1; next }
    on && /^```/ { exit } on' docs/operations.md
}
follow() {
  local commands
  commands="$(documented "$1")"
  [ -n "$commands" ] || return 1
  in_root env DEBIAN_FRONTEND=noninteractive sh -ec "cd /checkout; sudo() { \"\$@\"; }; $commands" >"$WORK/follow.log" 2>&1 || {
    cat "$WORK/follow.log"
    return 1
  }
}

watched() {
  # What somebody types when apt asks.
  in_root sh -c "echo 'APT::Get::Assume-Yes \"true\";' >/etc/apt/apt.conf.d/99yes"
  in_root systemd-run --quiet --unit=person python3 -c "$PERSON" "$CALLS"
  must "Prometheus and Alertmanager, by the commands of docs/operations.md" follow "4. Watch"
  within 120 "Prometheus sees the camera" prometheus_has inspector_camera_up 1
  within 120 "the watchman hears that watching works" called /alive WatchingWorks
  cut_camera
  within 180 "the camera is cut, and the pager goes" called /page CameraDown
  must "amtool shows it" amtool_shows CameraDown
  must "the station says so" has 8090/metrics '^inspector_fault\{fault="camera".* 1'
  start_camera
  within 120 "the camera is back, and the alert is gone" alert_gone
}
amtool_shows() {
  local shown
  shown="$(in_root amtool alert --alertmanager.url=http://127.0.0.1:9093)" && grep -q "$1" <<<"$shown"
}
alert_gone() { ! has '9090/api/v1/alerts' '"alertname":"CameraDown"' && prometheus_has inspector_camera_up 1; }

upgraded() {
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
}

removed() {
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
