#!/usr/bin/env bash
# What the drills that install in a Debian 12 of their own have in place of a network; needs root, mmdebstrap,
# and `make setup` before. Ends with 75 where it cannot be fetched.
#
#   .cache/debian/bare.tar   a root file system with systemd and hardly more; packages to be installed there lie
#                            in apt's cache, not installed
#   .cache/debian/wheels     what requirements.lock and the embedded Triton's name, for that Debian's Python 3.11
set -euo pipefail
cd "$(dirname "$0")/.."

readonly FOLDER=.cache/debian
readonly BARE=(systemd-sysv dbus ca-certificates)
readonly FOR_LATER=(python3 python3-venv libpython3.11 prometheus prometheus-alertmanager redis-server socat curl wget)
pip=(.venv/bin/pip download --quiet --quiet --disable-pip-version-check --no-deps -d "$FOLDER/wheels")
stamp="${BARE[*]} ${FOR_LATER[*]} $(date +%F)"

no_packages() { echo "debian_parts.sh: found no $1" >&2; exit 75; }

mkdir -p "$FOLDER"
if [ "$(cat "$FOLDER/stamp" 2>/dev/null)" != "$stamp" ]; then
  rm -f "$FOLDER/bare.tar"
  # shellcheck disable=SC2016 # the hook's $1
  mmdebstrap --quiet --variant=minbase --include="$(IFS=,; echo "${BARE[*]}")" --skip=cleanup/apt \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/{doc,man,locale}/*' \
    --customize-hook='chroot "$1" apt-get -qq --download-only --no-install-recommends -y install '"${FOR_LATER[*]}" \
    bookworm "$FOLDER/bare.tar" || no_packages "packages of Debian"
  echo "$stamp" >"$FOLDER/stamp"
fi

for lock in requirements.lock inspector/embedded/triton/requirements.txt; do
  "${pip[@]}" --only-binary :all: --require-hashes --python-version 3.11 --implementation cp --abi cp311 \
    --platform manylinux_2_35_x86_64 --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
    --platform manylinux2014_x86_64 -r "$lock" || no_packages "packages of $lock"
done
# Asked for by Python before 3.11.3 only: Debian's is 3.11.2, the one that downloads may not be.
"${pip[@]}" "$(grep -o '^async-timeout==[0-9.]*' requirements.lock)" || no_packages "async-timeout"
