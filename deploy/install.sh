#!/usr/bin/env bash
# Installs the inspection service from this checkout, on Debian or Ubuntu with systemd. As root:
#
#   deploy/install.sh                  installs; the same again upgrades. Configuration and journal stay.
#   deploy/install.sh check            the doctor, as the service would see it: its user, its folders, its secrets.
#   deploy/install.sh remove           removes the program and the unit. Configuration and journal stay.
#   deploy/install.sh remove --purge   removes those and the user too: events that Redis lacks are lost.
#
# What it makes: user inspector; /opt/inspector (a link to the release in /opt/inspector.releases), with an
# environment of its own; /etc/inspector/inspector.toml, if there is none; /var/lib/inspector, by systemd;
# inspector.service; the command `inspector`. PYTHON=/usr/bin/python3.12 picks another Python than the first
# that fits.
set -euo pipefail

readonly HOME_LINK=/opt/inspector RELEASES=/opt/inspector.releases
readonly CONFIG=/etc/inspector/inspector.toml STATE=/var/lib/inspector CACHE=/var/cache/inspector CREDENTIALS=/etc/credstore
readonly UNIT=/etc/systemd/system/inspector.service SYSUSERS=/usr/lib/sysusers.d/inspector.conf
readonly COMMAND=/usr/local/bin/inspector
readonly PARTS=(inspector config model_repository docs deploy scripts
  pyproject.toml requirements.lock requirements-dev.lock README.md LICENSE CHANGELOG.md)
readonly KEPT_RELEASES=2

fail() { echo "install.sh: $*" >&2; exit 1; }
say() { echo "install.sh: $*"; }

[ "$(id -u)" -eq 0 ] || fail "must run as root (sudo $0)"
command -v systemctl >/dev/null || fail "found no systemd; without it, use docker-compose.yml"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

need_python() {
  # shellcheck source=scripts/python.sh
  source scripts/python.sh
  if find_python >/dev/null 2>&1; then return; fi
  command -v apt-get >/dev/null || { find_python >/dev/null; exit 1; }
  say "installs python3-venv"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq)
  local install=("${apt[@]}" install -y --no-install-recommends python3 python3-venv)
  # A list of packages that is older than the mirror names files that are gone.
  "${install[@]}" >/dev/null 2>&1 || { "${apt[@]}" update && "${install[@]}" >/dev/null; }
  find_python >/dev/null || exit 1
}

# Prints where the new release is. A release that was interrupted has no mark, and is made anew.
make_release() {
  local version release part
  version="$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' inspector/__init__.py)"
  release="$RELEASES/$version-$(date -u +%Y%m%dT%H%M%SZ)"
  install -d -m 0755 "$RELEASES" "$release"
  for part in "${PARTS[@]}"; do cp -R --no-preserve=ownership "$part" "$release/"; done
  find "$release" -name __pycache__ -prune -exec rm -rf {} +
  chmod -R u+w,go-w,a+rX "$release"
  (cd "$release" && umask 022 && scripts/bootstrap.sh app) >&2 || { rm -rf "$release"; return 1; }
  "$release/.venv/bin/python" -m compileall -q "$release/inspector" >&2
  touch "$release/.complete"
  echo "$release"
}

remove_old_releases() {
  local current release kept=0
  current="$(readlink -f "$HOME_LINK")"
  for release in $(ls -1dt "$RELEASES"/*/); do
    release="${release%/}"
    if [ -e "$release/.complete" ] && [ "$kept" -lt "$KEPT_RELEASES" ]; then
      kept=$((kept + 1))
    elif [ "$release" != "$current" ]; then
      rm -rf "$release"
    fi
  done
}

install_service() {
  local release was_active=no
  [ ! -e "$HOME_LINK" ] || [ -L "$HOME_LINK" ] || fail "found a folder at $HOME_LINK; expected nothing, or our link"
  need_python
  say "sets up the environment (this takes a minute)"
  release="$(make_release)" || fail "the environment could not be set up; nothing was changed"

  install -D -m 0644 deploy/systemd/inspector.sysusers "$SYSUSERS"
  systemd-sysusers "$SYSUSERS"
  install -d -m 0750 -o root -g inspector /etc/inspector
  install -d -m 0700 "$CREDENTIALS"
  if [ ! -e "$CONFIG" ]; then
    install -m 0640 -o root -g inspector config/inspector.toml "$CONFIG"
    say "made $CONFIG: name your station, camera and Triton there"
  fi

  ! systemctl --quiet is-active inspector 2>/dev/null || was_active=yes
  install -m 0644 deploy/systemd/inspector.service "$UNIT"
  # In one step, so that there is always a whole release behind the link.
  ln -sfn "$release" "$HOME_LINK.new"
  mv -T "$HOME_LINK.new" "$HOME_LINK"
  ln -sfn "$HOME_LINK/.venv/bin/inspector" "$COMMAND"
  systemctl daemon-reload
  systemctl --quiet enable inspector
  remove_old_releases

  if [ "$was_active" = yes ]; then
    systemctl restart inspector
    say "upgraded and restarted: $(inspector --version)"
  else
    say "installed: $(inspector --version). Next:"
    say "  $HOME_LINK/deploy/install.sh check"
    say "  systemctl start inspector"
  fi
}

check_service() {
  [ -x "$COMMAND" ] && [ -e "$UNIT" ] || fail "found no installed service; expected $COMMAND and $UNIT"
  local options=(-p User=inspector -p Group=inspector -p SupplementaryGroups=video -p StateDirectory=inspector
    -p StateDirectoryMode=0750 -p CacheDirectory=inspector -p "Environment=INSPECTOR_CACHE=$CACHE") credential
  while IFS= read -r credential; do # of drop-ins too
    options+=(-p "LoadCredential=$credential")
  done < <(systemctl cat inspector | sed -n 's/^LoadCredential=\(.\)/\1/p')
  exec systemd-run --quiet --pipe --wait "${options[@]}" "$COMMAND" check --config "$CONFIG"
}

remove_service() {
  if [ -e "$UNIT" ]; then
    systemctl --quiet disable --now inspector || true
    rm -f "$UNIT"
    systemctl daemon-reload
  fi
  [ ! -L "$COMMAND" ] || rm -f "$COMMAND"
  [ ! -L "$HOME_LINK" ] || rm -f "$HOME_LINK"
  rm -rf "$RELEASES" "$CACHE"
  if [ "${1:-}" = --purge ]; then
    rm -rf /etc/inspector "$STATE" "$CREDENTIALS"/inspector.*
    rm -f "$SYSUSERS"
    ! getent passwd inspector >/dev/null || userdel inspector
    ! getent group inspector >/dev/null || groupdel inspector
    say "removed, with configuration, journal and user"
  else
    say "removed; $(dirname "$CONFIG") and $STATE are kept"
  fi
}

case "${1:-install}" in
  install) install_service ;;
  check) check_service ;;
  remove) remove_service "${2:-}" ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
