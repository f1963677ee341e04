# Redis of docker-compose.yml: deploy/redis/, with the passwords' hashes put in, and without TLS, since
# only containers of the network "events" reach it.
set -eu

hash_of() { printf %s "$(cat "/run/secrets/redis_$1")" | sha256sum | cut -d ' ' -f 1; }

sed -e "s/plant1\.smt2\.aoi/$STATION/g" \
  -e "s/HASH-OF-INSPECTOR/$(hash_of inspector)/" -e "s/HASH-OF-MES/$(hash_of mes)/" \
  -e "s/HASH-OF-PLC/$(hash_of plc)/" -e "s/HASH-OF-ADMIN/$(hash_of admin)/" \
  /etc/redis/users.acl >/run/redis/users.acl

# What is other in the container: where it listens and where it keeps its files.
sed -E '/^(port|bind|tls-[a-z-]+|aclfile|dir) /d' /etc/redis/redis.conf >/run/redis/redis.conf
exec redis-server /run/redis/redis.conf \
  --port 6379 --bind '* -::*' --aclfile /run/redis/users.acl --dir /data
