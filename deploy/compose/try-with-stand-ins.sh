#!/usr/bin/env bash
# Runs docker-compose.yml on a real Docker engine where no image can be fetched: in a network and mount
# namespace of its own, with images made here from Debian's packages in place of those it names. Triton
# is the embedded server (CPU); Grafana has no stand-in and is left out. docs/compose.md says what this
# shows, and tests/system/test_install.py runs it. Needs root, docker.io, mmdebstrap, and `make setup` before,
# and the embedded Triton's environment (any `make demo` makes it).
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=scripts/steps.sh
source scripts/steps.sh

readonly CACHE="$PWD/.cache/compose" SELF="$PWD/deploy/compose/try-with-stand-ins.sh"
readonly DEBIAN="$PWD/.cache/debian"
readonly PACKAGES=(python3 python3-venv libpython3.11 redis-server prometheus prometheus-alertmanager socat curl wget)
mkdir -p "$CACHE"
export DOCKER_CONFIG="$CACHE/docker"

prepare() {
  scripts/debian_parts.sh
  # Debian 12 has no Compose 2; the next one's runs on it.
  if ! docker compose version >/dev/null 2>&1; then
    rm -rf "$CACHE/next" && mkdir -p "$CACHE/docker"
    mmdebstrap --quiet --variant=extract --include=docker-compose trixie "$CACHE/next" || exit 75
    ln -sfn "$CACHE/next/usr/libexec/docker/cli-plugins" "$CACHE/docker/cli-plugins"
  fi
  say "Compose $(docker compose version --short)"
  deploy/compose/make-secrets.sh
}

fail() { # what was not so; then what a person would look at
  echo "NOT SO: $*"
  compose ps -a 2>&1 || true
  compose logs --no-color --tail 25 2>&1 || true
  tail -n 5 "$CACHE/dockerd.log"
  exit 1
}
tells() { # an expression, then a command whose output has to match it, however it ends
  local expression="$1" told
  shift
  told="$("$@" 2>&1)" || true
  grep -qE "$expression" <<<"$told"
}

# image, what it is built from; the lines of its Dockerfile after FROM are read
stand_in() {
  local image="$1"
  { echo "FROM $2"; cat; } >"$CACHE/Dockerfile"
  mkdir -p "$CACHE/context"
  docker build --quiet -t "$image" -f "$CACHE/Dockerfile" "$CACHE/context" >"$CACHE/build.log" 2>&1 || { cat "$CACHE/build.log"; return 1; }
}

build_images() {
  docker import "$DEBIAN/bare.tar" standin-bare >/dev/null
  rm -rf "$CACHE/context" && mkdir -p "$CACHE/context"
  stand_in standin-base standin-bare <<F
RUN apt-get -qq install -y --no-install-recommends ${PACKAGES[*]} >/dev/null && apt-get clean
F
  mkdir "$CACHE/context/wheels"
  find "$DEBIAN/wheels" -name '*.whl' -not -name 'nvidia*' -not -name 'onnxruntime*' -exec cp -t "$CACHE/context/wheels" {} +
  stand_in standin-python standin-base <<'F'
COPY wheels /wheels
RUN printf '[global]\nno-index = true\nfind-links = /wheels\n' >/etc/pip.conf && ln -s python3 /usr/bin/python
F
  rm -rf "$CACHE/context/wheels"
  stand_in redis:8.0-bookworm standin-base <<'F'
RUN groupmod -o -g 999 redis && usermod -o -u 999 -g 999 redis && chmod 0755 /etc/redis && install -d -o 999 -g 999 /data
VOLUME /data
F
  stand_in prom/prometheus:v2.53.3 standin-base <<'F'
RUN install -d -o 65534 -g 65534 /prometheus
USER 65534:65534
VOLUME /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
F
  stand_in prom/alertmanager:v0.28.1 standin-base <<'F'
RUN install -d -o 65534 -g 65534 /alertmanager
USER 65534:65534
VOLUME /alertmanager
ENTRYPOINT ["/usr/bin/prometheus-alertmanager"]
F
  # The embedded server listens on loopback; socat stands at the doors of the container.
  cat >"$CACHE/context/tritonserver" <<F
#!/bin/sh
for port in 8000 8001 8002; do socat TCP-LISTEN:\$port,fork,reuseaddr,bind=\$(hostname -i) TCP:127.0.0.1:\$port & done
exec $PWD/.venv/bin/inspector triton --repository /models
F
  chmod 0755 "$CACHE/context/tritonserver"
  stand_in nvcr.io/nvidia/tritonserver:24.10-py3 standin-base <<'F'
COPY tritonserver /usr/local/bin/tritonserver
RUN chmod 0755 /root
F
  docker build --quiet -t inspector:local --build-arg PYTHON_IMAGE=standin-python . >"$CACHE/build.log" 2>&1 || { cat "$CACHE/build.log"; return 1; }
}

compose() { docker compose -f docker-compose.yml -f "$CACHE/stand-ins.yml" --profile cpu "$@"; }
readonly UNITS='inspector:{plant1.smt2.aoi}:units'
in_redis() { compose exec -T redis sh -c "REDISCLI_AUTH=\$(cat /run/secrets/redis_$1) redis-cli --user $1 $2"; }
units() { in_redis admin "XLEN $UNITS" | tr -cd 0-9; }
more_units_than() { [ "$(units)" -gt "$1" ]; }
in_prometheus() { compose exec -T prometheus wget -qO- "http://127.0.0.1:9090/api/v1/$1"; }

inside() {
  mount --make-rprivate /
  ip link set lo up
  export DOCKER_HOST="unix://$CACHE/docker.sock" DOCKER_BUILDKIT=0 COMPOSE_ANSI=never
  rm -f "$CACHE/docker.sock"
  # In memory: some 3 GB, of which nothing is left when this namespace ends.
  mkdir -p "$CACHE/engine"
  mount -t tmpfs -o size=8g tmpfs "$CACHE/engine"
  dockerd --data-root "$CACHE/engine" --exec-root "$CACHE/exec" -p "$CACHE/docker.pid" -H "$DOCKER_HOST" \
    --storage-driver overlay2 --default-ulimit nofile=1024:1024 --exec-opt native.cgroupdriver=cgroupfs \
    >"$CACHE/dockerd.log" 2>&1 &
  local engine=$!
  # shellcheck disable=SC2064 # now, not then
  trap "compose down --volumes --timeout 20 >/dev/null 2>&1 || true; kill $engine; wait $engine || true" EXIT
  within 120 "the engine answers" docker info
  say "engine $(docker version --format '{{.Server.Version}}'), compose $(docker compose version --short)"
  build_images
  say "images built, of them inspector:local by the Dockerfile as it is"

  # The embedded server's environment, for the user it runs as.
  cp -a "$HOME/.cache/inspector" "$CACHE/engine/triton-home"
  chown -R 10001:10001 "$CACHE/engine/triton-home"
  local python_home also=""
  python_home="$(.venv/bin/python -c 'import sys; print(sys.base_prefix)')"
  # Debian's own Python is in the image already.
  [ "$python_home" = /usr ] || also=", \"$python_home:$python_home:ro\""
  cat >"$CACHE/stand-ins.yml" <<F
services:
  triton-cpu:
    environment: {HOME: "$HOME"}
    volumes: ["$PWD:$PWD:ro"$also, "$CACHE/engine/triton-home:$HOME/.cache/inspector"]
F
  compose up -d --wait --wait-timeout 300 triton-cpu redis inspector prometheus alertmanager || {
    docker inspect --format '{{json .State.Health}}' "$(compose ps -aq redis)" | tail -c 1500
    fail "up and healthy"
  }
  say "up and healthy"
  compose ps --format 'table {{.Service}}\t{{.Status}}\t{{.Ports}}'

  local before
  must "the inspector is not root" test "$(compose exec -T inspector id -u)" = 10001
  must "its file system is read-only" tells 'Read-only file system' compose exec -T inspector touch /opt/x
  within 120 "units arrive in Redis" more_units_than 2
  within 120 "the MES reads that they were looked at" tells 'PASSED|FAILED' in_redis mes "XRANGE $UNITS - + COUNT 100"
  must "the MES may not delete" tells NOPERM in_redis mes 'DEL x'
  must "nobody gets in without a name" tells NOAUTH compose exec -T redis redis-cli ping
  within 120 "Prometheus sees the station" tells '"1"\]' in_prometheus 'query?query=inspector_ready'
  within 120 "Prometheus sees Triton" tells '"triton:8002"' in_prometheus 'query?query=nv_inference_count%3E0'
  within 120 "every rule is loaded" tells WatchingWorks in_prometheus rules
  within 120 "Alertmanager has its first alert" tells WatchingWorks \
    compose exec -T alertmanager wget -qO- http://127.0.0.1:9093/api/v2/alerts
  must "pictures go through shared memory" tells 'go through shared memory' compose logs inspector
  before="$(units)"
  compose restart redis >/dev/null 2>&1
  within 120 "units go on arriving after a restart of Redis" more_units_than "$((before + 2))"
  compose stop --timeout 20 inspector >/dev/null 2>&1
  must "the inspector drains and ends with 0" tells 'Exited \(0\)' compose ps -a inspector
}

export CACHE
if [ "${1:-}" = --inside ]; then
  inside
else
  prepare
  exec unshare --mount --net --fork bash "$SELF" --inside
fi
