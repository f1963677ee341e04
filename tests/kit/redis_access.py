"""Redis as `deploy/redis` sets it up: its configuration, its users, its certificate."""

from __future__ import annotations

import hashlib
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.kit.redis_server import RedisServer
from tests.kit.redis_sites import system_redis
from tests.kit.rtsp_server import make_certificate

DEPLOY = Path(__file__).parents[2] / "deploy" / "redis"
USERS = ("inspector", "mes", "plc", "admin")
ONCE = Retry(NoBackoff(), 0)
STATION = "plant1.smt2.aoi"


def password_of(user: str) -> str:
    return f"canary-{user}"


def shipped_users(text: str) -> str:
    """users.acl with passwords in it, as its README says."""
    for user in USERS:
        hashed = hashlib.sha256(password_of(user).encode()).hexdigest()
        text = text.replace(f"HASH-OF-{user.upper()}", hashed)
    return text


def shipped_user(name: str) -> str:
    """The line of one user, with its password."""
    lines = shipped_users((DEPLOY / "users.acl").read_text()).splitlines(keepends=True)
    return next(line for line in lines if line.startswith(f"user {name} "))


class ShippedRedis(RedisServer):
    """redis.conf and users.acl as they are shipped; only places and ports are this test's own."""

    def __init__(
        self, folder: Path, *, station: str = STATION, options: tuple[str, ...] = ()
    ) -> None:
        folder.mkdir(exist_ok=True)
        make_certificate(folder)
        users = folder / "users.acl"
        users.write_text(
            shipped_users((DEPLOY / "users.acl").read_text()).replace(STATION, station)
        )
        self.ca = folder / "cert.pem"
        data = folder / "data"
        super().__init__(system_redis(), data)
        self._command = [
            *(system_redis(), str(DEPLOY / "redis.conf"), "--tls-port", str(self.port)),
            *("--dir", str(data), "--aclfile", str(users)),
            *("--tls-cert-file", str(self.ca), "--tls-key-file", str(folder / "key.pem")),
            *("--tls-ca-cert-file", str(self.ca), *options),
        ]

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.port}/0"

    def client(self, user: str = "admin") -> redis.Redis:
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username=user,
            password=password_of(user),
            ssl=True,
            retry=ONCE,
            ssl_ca_certs=str(self.ca),
            decode_responses=True,
        )

    def url_of(self, user: str) -> str:
        """With login and certificate, as the settings make it."""
        login = f"{user}:{password_of(user)}"
        return f"rediss://{login}@127.0.0.1:{self.port}/0?ssl_ca_certs={self.ca}"
