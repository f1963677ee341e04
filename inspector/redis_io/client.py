"""Makes the Redis clients of all parts: without silent retries, and cancellable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from inspector.core.errors import ConfigurationError
from inspector.redis_io.cluster import OwnerConnection, OwnerSSLConnection, Topology
from inspector.redis_io.url import Layout, RedisUrl, parse_redis_url

EXPECTED_URL = (
    "redis://HOST:PORT/DB, rediss://, redis+sentinel://HOST:PORT,…/SERVICE/DB,"
    " redis+cluster://HOST:PORT,… or unix://"
)


def redis_client(
    url: str, *, password: str | None, timeout_s: float, connect_timeout_s: float, key: str = ""
) -> Redis:
    """A client that tries everything once; does not connect yet.

    redis-py's defaults send an XADD again whose reply was late, which writes it twice, and wait for
    seconds before they report that a server is down.

    `key` is one of the station's keys: in a Cluster every connection goes to the node that owns
    its slot, so that the client works as it does with one server.

    Raises:
        ConfigurationError: the URL is not one of Redis's.

    """
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": connect_timeout_s,
        "health_check_interval": 15,
        # Without HELLO, which proxies, Redis 5 and some providers lack; nothing here needs RESP3.
        # `?protocol=3` in the URL takes precedence.
        "protocol": 2,
    }
    if password is not None:
        options["password"] = password
    try:
        return _checked(_client(url, options, key))
    except (ValueError, TypeError) as error:
        # The reason may quote the URL, and the URL may hold a password.
        raise ConfigurationError(f"redis.url: cannot be read; expected {EXPECTED_URL}") from error


def _client(url: str, options: dict[str, Any], key: str) -> Redis:
    if url.startswith("unix://"):
        return Redis.from_url(url, **options)
    parsed = parse_redis_url(url)
    match parsed.layout:
        case Layout.SINGLE:
            # The URL takes precedence over separate options, as in redis-py.
            return Redis.from_url(parsed.server_url, **options)
        case Layout.SENTINEL:
            return _through_sentinels(parsed, options)
        case Layout.CLUSTER:
            return _to_the_owner(parsed, options, key)


def _checked(client: Redis) -> Redis:
    """Refuse options unknown to a connection, before one is needed; opens nothing."""
    client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    return client


def passwords_of(client: Redis) -> list[str]:
    """The parts of a client's login that must never be shown."""
    password = client.connection_pool.connection_kwargs.get("password")
    return [password] if password else []


class _SentinelRedis(Redis):
    """Also closes the connections to the Sentinels."""

    sentinels: Sentinel

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - as its base
        """Disconnect from the server and from the Sentinels."""
        await super().aclose(close_connection_pool)
        for sentinel in self.sentinels.sentinels:
            await sentinel.aclose()


def _server_options(parsed: RedisUrl, options: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Makes connections to a server whose address is looked up, with or without TLS."""
    found: dict[str, Any] = options | dict(parse_url(parsed.server_url))
    for name in ("host", "port"):
        found.pop(name, None)
    return found, found.pop("connection_class", None) is not None


def _through_sentinels(parsed: RedisUrl, options: dict[str, Any]) -> Redis:
    server, tls = _server_options(parsed, options)
    username, password = parsed.sentinel_login
    # Sentinels are contacted like servers: same certificates, same time limits.
    asked = {k: v for k, v in server.items() if k not in ("username", "password", "db")}
    sentinels = Sentinel(  # type: ignore[no-untyped-call]
        parsed.addresses,
        sentinel_kwargs=asked | {"username": username, "password": password, "ssl": tls},
    )
    client = sentinels.master_for(parsed.service, redis_class=_SentinelRedis, ssl=tls, **server)
    client.sentinels = sentinels
    return client  # type: ignore[no-any-return]


def _to_the_owner(parsed: RedisUrl, options: dict[str, Any], key: str) -> Redis:
    server, tls = _server_options(parsed, options)
    topology = Topology(parsed.addresses, key=key, server_options=server | {"ssl": tls})
    pool = ConnectionPool(
        connection_class=OwnerSSLConnection if tls else OwnerConnection,
        topology=topology,
        **server,
    )
    return Redis.from_pool(pool)


@contextmanager
def cancellable() -> Iterator[None]:
    """Wrap calls of redis.asyncio: a cancellation that arrives inside them is not lost.

    redis-py 8.1 sends through asyncio.wait_for, which in Python 3.11 drops a cancellation that
    comes when the sending is just done (11 of 60 moments tried while connecting): a cancelled task
    would run on for ever.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


async def ask(reply: Awaitable[Any]) -> Any:
    """Await a reply of redis.asyncio; a cancellation that arrives meanwhile is not lost."""
    with cancellable():
        return await reply
