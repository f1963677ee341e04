"""Reads a `redis.url`: one server, Sentinels or a Cluster. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

SENTINEL_PORT = 26379
REDIS_PORT = 6379
_LARGEST_PORT = 65_535
_SENTINEL_USER, _SENTINEL_PASSWORD = "sentinel_username", "sentinel_password"


class Layout(Enum):
    """The kind of deployment: how many servers, and how the one that takes writes is found."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    """Sentinels know the present master."""
    CLUSTER = "cluster"
    """Every node knows the owner of a key."""


_SCHEMES = {
    f"{scheme}{suffix}": (layout, scheme == "rediss")
    for scheme in ("redis", "rediss")
    for suffix, layout in (
        ("", Layout.SINGLE),
        ("+sentinel", Layout.SENTINEL),
        ("+cluster", Layout.CLUSTER),
    )
}

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """A `redis.url` taken apart; `repr` shows no secret."""

    layout: Layout
    addresses: tuple[Address, ...]
    """The addresses of the server, the Sentinels, or some nodes of the Cluster; at least one."""
    service: str = ""
    """The Sentinels' name for the master; empty otherwise."""
    server_url: str = field(repr=False)
    """`redis://` or `rediss://` with login, database and options, and the first address."""
    sentinel_login: tuple[str | None, str | None] = field(default=(None, None), repr=False)
    """User and password for the Sentinels themselves."""


def parse_redis_url(text: str) -> RedisUrl:
    """Read a URL.

    `redis://`, `rediss://` (TLS): one server. `redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DB`:
    the login is for the server that the Sentinels name; theirs is in the query
    (`sentinel_username`, `sentinel_password`). `redis+cluster://HOST:PORT,HOST:PORT`. Both also
    with `rediss+`.

    Raises:
        ValueError: it is none of these; holds no password.

    """
    try:
        parts = urlsplit(text)
    except ValueError:
        # Its message quotes the login.
        raise ValueError("brackets that do not belong there") from None
    if parts.scheme not in _SCHEMES:
        raise ValueError("unknown scheme")
    if "#" in text or "@" in parts.path or any("=" not in option for option in _options(parts)):
        # It has no use for any of these: a password that was not percent-encoded has.
        raise ValueError("a login that is not percent-encoded")
    layout, tls = _SCHEMES[parts.scheme]
    login, at, hosts = parts.netloc.rpartition("@")
    default_port = SENTINEL_PORT if layout is Layout.SENTINEL else REDIS_PORT
    addresses = tuple(_address(host, default_port) for host in hosts.split(","))
    if layout is Layout.SINGLE and len(addresses) > 1:
        raise ValueError("more than one server")
    service, database = _path(layout, parts.path)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    sentinel_login = (options.pop(_SENTINEL_USER, None), options.pop(_SENTINEL_PASSWORD, None))
    host, port = addresses[0]
    shown = f"[{host}]" if ":" in host else host
    query = f"?{urlencode(options)}" if options else ""
    scheme = "rediss" if tls else "redis"
    return RedisUrl(
        layout=layout,
        addresses=addresses,
        service=service,
        server_url=f"{scheme}://{login}{at}{shown}:{port}{database}{query}",
        sentinel_login=sentinel_login,
    )


def with_sentinel_login(url: str, username: str | None, password: str | None) -> str:
    """The URL with the Sentinels' own login in it; the same if there is none."""
    named = ((_SENTINEL_USER, username), (_SENTINEL_PASSWORD, password))
    extra = urlencode({name: value for name, value in named if value is not None})
    if not extra:
        return url
    parts = urlsplit(url)
    return parts._replace(query=f"{parts.query}&{extra}" if parts.query else extra).geturl()


def _options(parts: SplitResult) -> list[str]:
    """The query's parts; anything but `name=value` would be dropped silently."""
    options = parts.query.split("&") if parts.query else []
    foreign = [option for option in options if "@" in option and not _is_login(option)]
    if "@" not in parts.netloc and foreign:
        raise ValueError("a login that is not percent-encoded")
    return options


def _is_login(option: str) -> bool:
    return option.partition("=")[0].removeprefix("sentinel_") in {"username", "password"}


def _address(text: str, default_port: int) -> Address:
    parts = urlsplit(f"//{text}")
    port = default_port if parts.port is None else parts.port
    if not parts.hostname or not 0 < port <= _LARGEST_PORT:
        raise ValueError("no host, or no such port")
    return parts.hostname, port


def _path(layout: Layout, path: str) -> tuple[str, str]:
    """The Sentinels' service, and the database as a path."""
    steps = path.strip("/").split("/") if path.strip("/") else []
    service = ""
    if layout is Layout.SENTINEL:
        if not steps:
            raise ValueError("no service")
        service = unquote(steps.pop(0))
    if len(steps) > 1 or (steps and not (steps[0].isascii() and steps[0].isdecimal())):
        raise ValueError("no database number")
    if layout is Layout.CLUSTER and steps not in ([], ["0"]):
        raise ValueError("a Cluster has database 0 only")
    return service, f"/{steps[0]}" if steps else ""
