#!/usr/bin/env bash
# Writes random passwords into secrets/ for docker-compose.yml; those that are there stay.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p secrets
chmod 0700 secrets
for name in redis_inspector redis_mes redis_plc redis_admin http_token grafana_admin; do
  file="secrets/$name"
  if [ -s "$file" ]; then continue; fi
  # Compose mounts the file as it is, and the containers' users are not its owner: only the folder,
  # which is not mounted, keeps others out.
  head -c 32 /dev/urandom | base64 | tr -d '+/=\n' >"$file"
  chmod 0444 "$file"
  echo "made $file"
done
